// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// watcher sees the LimitRanges from outside the operator, and notes when each event came.
type watcher struct {
	mu      sync.Mutex
	changed chan struct{}
	// present are the namespaces that have their LimitRange as it should be.
	present map[string]bool
	// broken and repaired are the times of the last event of either sort, by namespace.
	broken, repaired map[string]time.Time
}

func newWatcher(ctx context.Context, client kubernetes.Interface) (*watcher, error) {
	w := &watcher{
		changed: make(chan struct{}, 1), present: map[string]bool{},
		broken: map[string]time.Time{}, repaired: map[string]time.Time{},
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	_, err := factory.Core().V1().LimitRanges().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.note(obj, false) },
		UpdateFunc: func(_, obj any) { w.note(obj, false) },
		DeleteFunc: func(obj any) { w.note(obj, true) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch LimitRanges: %w", err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return w, nil
}

func (w *watcher) note(obj any, deleted bool) {
	found, ok := obj.(*corev1.LimitRange)
	if !ok || found.Name != render.Name {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if intact := !deleted && found.Spec.Limits[0].Max.Memory().String() == "512Mi"; intact {
		w.present[found.Namespace] = true
		w.repaired[found.Namespace] = time.Now()
	} else {
		delete(w.present, found.Namespace)
		w.broken[found.Namespace] = time.Now()
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wait blocks until enough says so, and calls tell each second until then; both under the lock.
func (w *watcher) wait(ctx context.Context, enough func() bool, tell func()) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		w.mu.Lock()
		done := enough()
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-w.changed:
		case <-tick.C:
			w.mu.Lock()
			tell()
			w.mu.Unlock()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
