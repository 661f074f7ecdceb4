// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// watcher sees the LimitRanges and ResourceQuotas as anybody outside the operator does, and notes when each
// event came.
type watcher struct {
	mu      sync.Mutex
	changed *sync.Cond
	// present are the objects of the operator's name.
	present map[object]metav1.Object
	// edited and repaired are the times of the last event of either kind.
	edited, repaired map[object]time.Time
}

// object names a LimitRange or a ResourceQuota.
type object struct{ kind, namespace string }

func newWatcher(ctx context.Context, client kubernetes.Interface) (*watcher, error) {
	w := &watcher{present: map[object]metav1.Object{}, edited: map[object]time.Time{}, repaired: map[object]time.Time{}}
	w.changed = sync.NewCond(&w.mu)
	factory := informers.NewSharedInformerFactory(client, 0)
	for kind, informer := range map[string]cache.SharedIndexInformer{
		"LimitRange":    factory.Core().V1().LimitRanges().Informer(),
		"ResourceQuota": factory.Core().V1().ResourceQuotas().Informer(),
	} {
		if _, err := informer.AddEventHandler(w.handler(kind)); err != nil {
			return nil, fmt.Errorf("watch %s: %w", kind, err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return w, nil
}

func (w *watcher) handler(kind string) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.note(kind, obj, false) },
		UpdateFunc: func(_, obj any) { w.note(kind, obj, false) },
		DeleteFunc: func(obj any) { w.note(kind, obj, true) },
	}
}

func (w *watcher) note(kind string, obj any, deleted bool) {
	if lost, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = lost.Obj
	}
	meta, ok := obj.(metav1.Object)
	if !ok || meta.GetName() != render.Name {
		return
	}
	now, key := time.Now(), object{kind, meta.GetNamespace()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if deleted {
		delete(w.present, key)
		w.edited[key] = now
	} else {
		w.present[key] = meta
		if intact(obj) {
			w.repaired[key] = now
		} else {
			w.edited[key] = now
		}
	}
	w.changed.Broadcast()
}

// intact reports whether an object says what the policy of the benchmark says.
func intact(obj any) bool {
	switch o := obj.(type) {
	case *corev1.LimitRange:
		want := limitItems()[0]
		return len(o.Spec.Limits) == 1 && equality.Semantic.DeepEqual(o.Spec.Limits[0].Max, want.Max) &&
			equality.Semantic.DeepEqual(o.Spec.Limits[0].Min, want.Min) && o.Labels[managedBy] == fairlead
	case *corev1.ResourceQuota:
		return equality.Semantic.DeepEqual(o.Spec.Hard, hard()) && o.Labels[managedBy] == fairlead
	default:
		return false
	}
}

// wait blocks until enough says so, asked again after every event. enough is called under the lock.
func (w *watcher) wait(ctx context.Context, what string, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !enough() {
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
		w.changed.Wait()
	}
	return nil
}

// count waits until the given number of objects is there.
func (w *watcher) count(ctx context.Context, number int) error {
	return w.wait(ctx, fmt.Sprintf("%d objects", number), func() bool { return len(w.present) == number })
}
