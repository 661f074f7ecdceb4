// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
		o.Spec, o.Status = appsv1.DeploymentSpec{Template: trimTemplate(&o.Spec.Template)}, appsv1.DeploymentStatus{}
	case *appsv1.StatefulSet:
		o.Spec, o.Status = appsv1.StatefulSetSpec{Template: trimTemplate(&o.Spec.Template)}, appsv1.StatefulSetStatus{}
	case *appsv1.DaemonSet:
		o.Spec, o.Status = appsv1.DaemonSetSpec{Template: trimTemplate(&o.Spec.Template)}, appsv1.DaemonSetStatus{}
	case *batchv1.Job:
		o.Spec, o.Status = batchv1.JobSpec{Template: trimTemplate(&o.Spec.Template)}, batchv1.JobStatus{Conditions: o.Status.Conditions}
	case *batchv1.CronJob:
		job := batchv1.JobSpec{Template: trimTemplate(&o.Spec.JobTemplate.Spec.Template)}
		o.Spec, o.Status = batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: job}}, batchv1.CronJobStatus{}
	case *corev1.PersistentVolumeClaim:
		o.Spec, o.Status = corev1.PersistentVolumeClaimSpec{Resources: o.Spec.Resources}, corev1.PersistentVolumeClaimStatus{}
	}
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
		o.SetLabels(nil)
		o.SetFinalizers(nil)
		if _, isJob := obj.(*batchv1.Job); !isJob {
			o.SetOwnerReferences(nil)
		}
	}
	return obj, nil
}

// subjectChanged reports whether two states of an object, as they are trimmed, differ in spec or status.
func subjectChanged(before, after client.Object) bool {
	for _, part := range []string{"Spec", "Status"} {
		was, is := reflect.ValueOf(before).Elem().FieldByName(part), reflect.ValueOf(after).Elem().FieldByName(part)
		if !equality.Semantic.DeepEqual(was.Interface(), is.Interface()) {
			return true
		}
	}
	return false
}

func trimTemplate(template *corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	trimPod(&template.Spec)
	return corev1.PodTemplateSpec{Spec: template.Spec}
}

func trimPod(spec *corev1.PodSpec) {
	*spec = corev1.PodSpec{
		Containers:     trimContainers(spec.Containers),
		InitContainers: trimContainers(spec.InitContainers),
		Resources:      spec.Resources,
	}
}

func trimContainers(containers []corev1.Container) []corev1.Container {
	for i := range containers {
		c := &containers[i]
		containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
	}
	return containers
}

// subject is one existing object that is held against the limits.
type subject struct {
	kind, name string
	findings   func(*check.Limits) []check.Finding
}

// subjects lists what exists in a namespace: pods that run, workload templates and claims.
func (o *observer) subjects(ctx context.Context, namespace string) ([]subject, error) {
	var out []subject
	for _, list := range []client.ObjectList{
		&corev1.PodList{}, &appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{},
		&batchv1.JobList{}, &batchv1.CronJobList{}, &corev1.PersistentVolumeClaimList{},
	} {
		if err := o.client.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %T in %s: %w", list, namespace, err)
		}
		err := meta.EachListItem(list, func(object runtime.Object) error {
			if s, ok := subjectOf(object); ok {
				out = append(out, s)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look through %T in %s: %w", list, namespace, err)
		}
	}
	return out, nil
}

// subjectOf leaves out what is finished, and a Job that a CronJob made, which counts as that CronJob's.
func subjectOf(object runtime.Object) (subject, bool) {
	switch o := object.(type) {
	case *corev1.Pod:
		return podSubject("Pod", o, &o.Spec), o.Status.Phase != corev1.PodSucceeded && o.Status.Phase != corev1.PodFailed
	case *appsv1.Deployment:
		return podSubject("Deployment", o, &o.Spec.Template.Spec), true
	case *appsv1.StatefulSet:
		return podSubject("StatefulSet", o, &o.Spec.Template.Spec), true
	case *appsv1.DaemonSet:
		return podSubject("DaemonSet", o, &o.Spec.Template.Spec), true
	case *batchv1.Job:
		owner := metav1.GetControllerOfNoCopy(o)
		scheduled := owner != nil && owner.Kind == "CronJob"
		return podSubject("Job", o, &o.Spec.Template.Spec), !scheduled && !finished(o)
	case *batchv1.CronJob:
		return podSubject("CronJob", o, &o.Spec.JobTemplate.Spec.Template.Spec), true
	case *corev1.PersistentVolumeClaim:
		check := func(l *check.Limits) []check.Finding { return l.Claim(&o.Spec) }
		return subject{kind: "PersistentVolumeClaim", name: o.Name, findings: check}, true
	default:
		return subject{}, false
	}
}

func podSubject(kind string, object metav1.Object, spec *corev1.PodSpec) subject {
	return subject{kind: kind, name: object.GetName(), findings: func(l *check.Limits) []check.Finding { return l.Pod(spec) }}
}

func finished(job *batchv1.Job) bool {
	for _, condition := range job.Status.Conditions {
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
