// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// subjectKinds are the kinds that a report speaks of.
func subjectKinds() []client.Object {
	return []client.Object{
		&corev1.Pod{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{},
		&batchv1.Job{}, &batchv1.CronJob{}, &corev1.PersistentVolumeClaim{},
	}
}

// CacheOptions cut what the report reads down to the fields it looks at: a cluster has many pods, and of
// each only the resources matter here.
func CacheOptions() map[client.Object]cache.ByObject {
	out := map[client.Object]cache.ByObject{}
	for _, kind := range subjectKinds() {
		out[kind] = cache.ByObject{Transform: trim}
	}
	return out
}

func trim(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		trimPod(&o.Spec)
		o.Status = corev1.PodStatus{Phase: o.Status.Phase}
	case *appsv1.Deployment:
		trimPod(&o.Spec.Template.Spec)
		o.Spec = appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: o.Spec.Template.Spec}}
		o.Status = appsv1.DeploymentStatus{}
	case *appsv1.StatefulSet:
		trimPod(&o.Spec.Template.Spec)
		o.Spec = appsv1.StatefulSetSpec{Template: corev1.PodTemplateSpec{Spec: o.Spec.Template.Spec}}
		o.Status = appsv1.StatefulSetStatus{}
	case *appsv1.DaemonSet:
		trimPod(&o.Spec.Template.Spec)
		o.Spec = appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: o.Spec.Template.Spec}}
		o.Status = appsv1.DaemonSetStatus{}
	case *batchv1.Job:
		trimPod(&o.Spec.Template.Spec)
		o.Spec = batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: o.Spec.Template.Spec}}
		o.Status = batchv1.JobStatus{CompletionTime: o.Status.CompletionTime, Conditions: o.Status.Conditions}
	case *batchv1.CronJob:
		trimPod(&o.Spec.JobTemplate.Spec.Template.Spec)
		o.Status = batchv1.CronJobStatus{}
	case *corev1.PersistentVolumeClaim:
		o.Status = corev1.PersistentVolumeClaimStatus{}
	}
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
		o.SetLabels(nil)
	}
	return obj, nil
}

func trimPod(spec *corev1.PodSpec) {
	*spec = corev1.PodSpec{
		Containers:     trimContainers(spec.Containers),
		InitContainers: trimContainers(spec.InitContainers),
		Resources:      spec.Resources,
		Overhead:       spec.Overhead,
		HostNetwork:    spec.HostNetwork,
	}
}

func trimContainers(containers []corev1.Container) []corev1.Container {
	for i := range containers {
		c := &containers[i]
		containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
	}
	return containers
}

// subjects lists what exists in a namespace: pods that run, workload templates and claims. A Job that a
// CronJob made counts as that CronJob's.
func (o *observer) subjects(ctx context.Context, namespace string) ([]subject, error) {
	var out []subject
	pods := func(kind, name string, spec *corev1.PodSpec) {
		out = append(out, subject{kind: kind, name: name, findings: func(l *check.Limits) []check.Finding { return l.Pod(spec) }})
	}
	err := eachOf(ctx, o.client, namespace, &corev1.PodList{}, func(list *corev1.PodList) {
		for i := range list.Items {
			if phase := list.Items[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
				pods("Pod", list.Items[i].Name, &list.Items[i].Spec)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if err := o.templates(ctx, namespace, pods); err != nil {
		return nil, err
	}
	err = eachOf(ctx, o.client, namespace, &corev1.PersistentVolumeClaimList{}, func(list *corev1.PersistentVolumeClaimList) {
		for i := range list.Items {
			spec := &list.Items[i].Spec
			out = append(out, subject{kind: "PersistentVolumeClaim", name: list.Items[i].Name,
				findings: func(l *check.Limits) []check.Finding { return l.Claim(spec) }})
		}
	})
	return out, err
}

func (o *observer) templates(ctx context.Context, namespace string, add func(kind, name string, spec *corev1.PodSpec)) error {
	for _, list := range []func() error{
		func() error {
			return eachOf(ctx, o.client, namespace, &appsv1.DeploymentList{}, func(list *appsv1.DeploymentList) {
				for i := range list.Items {
					add("Deployment", list.Items[i].Name, &list.Items[i].Spec.Template.Spec)
				}
			})
		},
		func() error {
			return eachOf(ctx, o.client, namespace, &appsv1.StatefulSetList{}, func(list *appsv1.StatefulSetList) {
				for i := range list.Items {
					add("StatefulSet", list.Items[i].Name, &list.Items[i].Spec.Template.Spec)
				}
			})
		},
		func() error {
			return eachOf(ctx, o.client, namespace, &appsv1.DaemonSetList{}, func(list *appsv1.DaemonSetList) {
				for i := range list.Items {
					add("DaemonSet", list.Items[i].Name, &list.Items[i].Spec.Template.Spec)
				}
			})
		},
		func() error {
			return eachOf(ctx, o.client, namespace, &batchv1.JobList{}, func(list *batchv1.JobList) {
				for i := range list.Items {
					if job := &list.Items[i]; metav1.GetControllerOf(job) == nil && !finished(job) {
						add("Job", job.Name, &job.Spec.Template.Spec)
					}
				}
			})
		},
		func() error {
			return eachOf(ctx, o.client, namespace, &batchv1.CronJobList{}, func(list *batchv1.CronJobList) {
				for i := range list.Items {
					add("CronJob", list.Items[i].Name, &list.Items[i].Spec.JobTemplate.Spec.Template.Spec)
				}
			})
		},
	} {
		if err := list(); err != nil {
			return err
		}
	}
	return nil
}

func finished(job *batchv1.Job) bool {
	for _, condition := range job.Status.Conditions {
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func eachOf[L client.ObjectList](ctx context.Context, reader client.Reader, namespace string, list L, do func(L)) error {
	if err := reader.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list %T in %s: %w", list, namespace, err)
	}
	do(list)
	return nil
}
