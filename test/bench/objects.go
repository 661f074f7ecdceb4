// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

const (
	managedBy = v1alpha1.LabelManagedBy
	fairlead  = v1alpha1.ManagedBy
	team      = "tier"
)

func namespaceName(i int) string { return fmt.Sprintf("team-%04d", i) }

// limitItems and hard are what the objects have to have to be whole.
func limitItems() []corev1.LimitRangeItem {
	return []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer,
		Max:  corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		Min:  corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}}
}

func hard() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceRequestsCPU: resource.MustParse("20")}
}

func policy() *v1alpha1.LimitPolicy {
	return &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Spec: v1alpha1.LimitPolicySpec{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{team: "team"}},
			Limits: []v1alpha1.LimitItem{{
				Type: corev1.LimitTypeContainer,
				Max:  v1alpha1.Amounts{corev1.ResourceMemory: "512Mi"},
				Min:  v1alpha1.Amounts{corev1.ResourceMemory: "256Mi"},
			}},
			Quota: &v1alpha1.Quota{Hard: map[corev1.ResourceName]v1alpha1.Amount{corev1.ResourceRequestsCPU: "20"}},
		},
	}
}

// each runs do for every number from first to last (exclusive), so many at the same time.
func each(ctx context.Context, first, last, parallel int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	next.Store(int64(first))
	var running sync.WaitGroup
	for range parallel {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= last {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// makeNamespaces makes labelled namespaces and waits until the controller manager is done with them.
func (b *bench) makeNamespaces(ctx context.Context, first, last int) error {
	b.say("making %d namespaces", last-first)
	stop := b.progress(func() string { return "" })
	defer stop()
	err := each(ctx, first, last, b.workers, func(ctx context.Context, i int) error {
		_, err := b.plain.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: namespaceName(i), Labels: map[string]string{team: "team"}},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	return each(ctx, first, last, 2, func(ctx context.Context, i int) error { return b.hasServiceAccount(ctx, namespaceName(i)) })
}

// hasServiceAccount waits until the controller manager is done with a namespace.
func (b *bench) hasServiceAccount(ctx context.Context, namespace string) error {
	for {
		_, err := b.plain.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		if err == nil || !apierrors.IsNotFound(err) {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// bareObjects are what the operator makes of a policy in all namespaces, by namespace, to the last byte: the mark of
// what was rendered aside, which is as long.
func (b *bench) bareObjects(owner *v1alpha1.LimitPolicy) ([]render.Effective, error) {
	parsed, err := render.Parse(owner)
	if err != nil {
		return nil, fmt.Errorf("parse the policy: %w", err)
	}
	all := make([]render.Effective, b.namespaces)
	for i := range all {
		all[i] = render.Namespace(namespaceName(i), []render.Policy{parsed})
		objects := []metav1.Object{all[i].LimitRange}
		for _, quota := range all[i].Quotas {
			objects = append(objects, quota)
		}
		for _, object := range objects {
			labels := maps.Clone(object.GetLabels())
			if labels == nil {
				labels = map[string]string{}
			}
			labels[managedBy] = fairlead
			object.SetLabels(labels)
			object.SetAnnotations(map[string]string{v1alpha1.AnnotationSet: "limits/" + namespaceName(i), v1alpha1.AnnotationRendered: "0123456789abcdef"})
		}
	}
	return all, nil
}

// bareCover writes objects as a plain client does.
func (b *bench) bareCover(ctx context.Context, all []render.Effective) error {
	return each(ctx, 0, len(all), b.workers, func(ctx context.Context, i int) error {
		if _, err := b.plain.CoreV1().LimitRanges(namespaceName(i)).Create(ctx, all[i].LimitRange, metav1.CreateOptions{}); err != nil {
			return err
		}
		_, err := b.plain.CoreV1().ResourceQuotas(namespaceName(i)).Create(ctx, all[i].Quotas[0], metav1.CreateOptions{})
		return err
	})
}

// clear deletes what a bare client made.
func (b *bench) clear(ctx context.Context) error {
	err := each(ctx, 0, b.namespaces, b.workers, func(ctx context.Context, i int) error {
		if err := b.plain.CoreV1().LimitRanges(namespaceName(i)).Delete(ctx, render.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		return b.plain.CoreV1().ResourceQuotas(namespaceName(i)).Delete(ctx, render.Name, metav1.DeleteOptions{})
	})
	if err != nil {
		return fmt.Errorf("clear: %w", err)
	}
	return b.watch.count(ctx, 0)
}

// progress says every few seconds that something goes on, until the returned function is called.
func (b *bench) progress(what func() string) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.say("… %s", what())
			}
		}
	})
	return func() { close(done); running.Wait() }
}
