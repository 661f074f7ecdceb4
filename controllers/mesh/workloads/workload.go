// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// annotationDeploymentRevision numbers the templates of a Deployment: on the Deployment the present one, on each ReplicaSet its own.
const annotationDeploymentRevision = "deployment.kubernetes.io/revision"

// base is what all kinds have in common.
func base(kind string, meta *metav1.ObjectMeta, template *corev1.PodTemplateSpec) *workload {
	return &workload{
		object: objectOf(meta), uid: meta.UID, generation: meta.Generation, labels: template.Labels,
		workloadFacts: workloadFacts{
			kind:        kind,
			cause:       template.Annotations[AnnotationCause],
			restartedAt: meta.Annotations[AnnotationRestartedAt],
			wants:       wants(&template.ObjectMeta, &template.Spec),
			ours:        meta.Labels[labelMesh] != "" || template.Labels[labelMesh] != "",
			untouchable: untouchable(meta),
		},
	}
}

// untouchable says why no workload of any kind would be restarted.
func untouchable(meta *metav1.ObjectMeta) string {
	switch {
	case meta.DeletionTimestamp != nil:
		return "it is being deleted"
	case meta.Annotations[v1alpha1.AnnotationPaused] == "true":
		return "its annotation " + v1alpha1.AnnotationPaused + " keeps Fairlead away"
	}
	return ""
}

// keep makes a workload untouchable whose controller replaces no pods, or not all.
func (w *workload) keep(why string) {
	w.still = true
	if w.untouchable == "" {
		w.untouchable = why
	}
}

func trimDeployment(d *appsv1.Deployment) *workload {
	w := base(rollout.Deployment, &d.ObjectMeta, &d.Spec.Template)
	w.replicas = int(ptr.Deref(d.Spec.Replicas, 1))
	w.template = d.Annotations[annotationDeploymentRevision]
	w.disrupts = w.replicas
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		w.disrupts = min(unavailable(d.Spec.Strategy.RollingUpdate, w.replicas), w.replicas)
	}
	s := &d.Status
	seen := s.ObservedGeneration >= d.Generation
	w.settled = seen && w.template != "" && int(s.UpdatedReplicas) >= w.replicas && s.Replicas <= s.UpdatedReplicas
	if d.Spec.Paused {
		w.keep("it is paused")
		w.settled = seen
	}
	return w
}

// unavailable resolves maxUnavailable as the controller of Deployments does: down, and to 1 if nothing may be added either.
func unavailable(update *appsv1.RollingUpdateDeployment, replicas int) int {
	quarter := intstr.FromString("25%")
	surge, down := &quarter, &quarter
	if update != nil {
		if update.MaxSurge != nil {
			surge = update.MaxSurge
		}
		if update.MaxUnavailable != nil {
			down = update.MaxUnavailable
		}
	}
	n := scaled(down, replicas, false)
	if n == 0 && scaled(surge, replicas, true) == 0 {
		return 1
	}
	return n
}

// scaled resolves a number or a percentage. The API server lets nothing else in.
func scaled(value *intstr.IntOrString, of int, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, of, up)
	if err != nil {
		return of
	}
	return n
}

func trimStatefulSet(s *appsv1.StatefulSet) *workload {
	w := base(rollout.StatefulSet, &s.ObjectMeta, &s.Spec.Template)
	w.replicas = int(ptr.Deref(s.Spec.Replicas, 1))
	w.template = s.Status.UpdateRevision
	w.disrupts = 1
	partition := 0
	if update := s.Spec.UpdateStrategy.RollingUpdate; update != nil {
		partition = int(ptr.Deref(update.Partition, 0))
		if update.MaxUnavailable != nil {
			w.disrupts = max(scaled(update.MaxUnavailable, w.replicas, true), 1)
		}
	}
	w.disrupts = min(w.disrupts, w.replicas)
	seen := s.Status.ObservedGeneration >= s.Generation
	w.settled = seen && int(s.Status.UpdatedReplicas) >= w.replicas-partition
	switch {
	case s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType:
		w.keep("its update strategy is OnDelete")
		w.settled = seen
	case partition > 0:
		w.keep(fmt.Sprintf("the partition of its update strategy keeps pods below number %d as they are", partition))
	}
	return w
}

func trimDaemonSet(d *appsv1.DaemonSet) *workload {
	w := base(rollout.DaemonSet, &d.ObjectMeta, &d.Spec.Template)
	w.replicas = int(d.Status.DesiredNumberScheduled)
	w.disrupts = 1
	if update := d.Spec.UpdateStrategy.RollingUpdate; update != nil {
		surge := 0
		if update.MaxSurge != nil {
			surge = scaled(update.MaxSurge, w.replicas, true)
		}
		if update.MaxUnavailable != nil {
			w.disrupts = scaled(update.MaxUnavailable, w.replicas, true)
		}
		if surge == 0 {
			w.disrupts = max(w.disrupts, 1)
		}
	}
	w.disrupts = min(w.disrupts, w.replicas)
	seen := d.Status.ObservedGeneration >= d.Generation
	w.settled = seen && d.Status.UpdatedNumberScheduled >= d.Status.DesiredNumberScheduled
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		w.keep("its update strategy is OnDelete")
		w.settled = seen
	}
	return w
}

// id tells workloads apart.
func (w *workload) id() string { return strings.Join([]string{w.kind, w.namespace, w.name}, "/") }
