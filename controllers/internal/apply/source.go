// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Source feeds a controller's queue with the requests of objects of a kind that differ from what is
// expected. Status updates and the echo of our own repairs do not get through; a change of exempt fields
// does once, and Apply finds nothing to do.
// toRequest gives the request of an object and false for an object that is no concern of the controller.
func (e *Engine) Source(gvk schema.GroupVersionKind, toRequest func(*Object) (reconcile.Request, bool)) source.Source {
	return &eventSource{engine: e, cache: e.caches[gvk], toRequest: toRequest}
}

type eventSource struct {
	engine    *Engine
	cache     *kindCache
	toRequest func(*Object) (reconcile.Request, bool)
	synced    cache.InformerSynced
}

var _ source.SyncingSource = (*eventSource)(nil)

// Start implements source.Source.
func (s *eventSource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	registration, err := s.cache.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if o, ok := obj.(*Object); ok {
				s.changed(queue, nil, o, initial)
			}
		},
		UpdateFunc: func(before, after any) {
			o, ok := after.(*Object)
			old, oldOK := before.(*Object)
			if ok && oldOK {
				s.changed(queue, old, o, false)
			}
		},
		DeleteFunc: func(obj any) {
			if lost, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = lost.Obj
			}
			if o, ok := obj.(*Object); ok {
				s.deleted(queue, o)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.cache.Resource, err)
	}
	s.synced = registration.HasSynced
	if s.cache.optional != nil {
		s.cache.optional.onArrival(func() {
			for _, obj := range s.engine.remembered(s.cache.GVK) {
				s.add(queue, obj, false)
			}
		})
	}
	context.AfterFunc(ctx, func() { _ = s.cache.informer.RemoveEventHandler(registration) })
	return nil
}

// WaitForSync implements source.SyncingSource.
func (s *eventSource) WaitForSync(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), s.synced) {
		return fmt.Errorf("watch %s: %w", s.cache.Resource, context.Cause(ctx))
	}
	return nil
}

func (s *eventSource) changed(queue workqueue.TypedRateLimitingInterface[reconcile.Request], old, obj *Object, initial bool) {
	if known := s.engine.known(s.cache.ref(obj)); known != nil {
		if !known.observe(obj, false) {
			return
		}
	} else if old != nil && bytes.Equal(old.content, obj.content) && (old.DeletionTimestamp == nil) == (obj.DeletionTimestamp == nil) {
		return
	}
	s.add(queue, obj, initial)
}

func (s *eventSource) deleted(queue workqueue.TypedRateLimitingInterface[reconcile.Request], obj *Object) {
	ref := s.cache.ref(obj)
	if known := s.engine.known(ref); known != nil {
		if !known.observe(obj, true) {
			return
		}
		if known.finished(obj) {
			s.engine.forget(known.set, ref)
		}
	}
	s.add(queue, obj, false)
}

func (s *eventSource) add(queue workqueue.TypedRateLimitingInterface[reconcile.Request], obj *Object, initial bool) {
	request, ok := s.toRequest(obj)
	if !ok {
		return
	}
	if ordered, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok && initial {
		low := handler.LowPriority
		ordered.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, request)
		return
	}
	queue.Add(request)
}
