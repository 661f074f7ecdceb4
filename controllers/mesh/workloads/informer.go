// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"fmt"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// unfinished leaves out pods that will never run again.
	unfinished = "status.phase!=Succeeded,status.phase!=Failed"
	// byNamespace is the index of every store.
	byNamespace = "namespace"
)

// informer keeps the trimmed objects of one kind, once it is started.
type informer struct {
	what    string
	shared  cache.SharedIndexInformer
	started bool
	// failed is what the last list or watch failed with.
	failed atomic.Pointer[error]
}

// informer makes one for a kind; list is not changed.
func (c *Cache) informer(what string, list client.ObjectList, object runtime.Object, field string) *informer {
	selected := func(options *metav1.ListOptions) *client.ListOptions {
		out := &client.ListOptions{Raw: options}
		if field != "" {
			out.FieldSelector = fields.ParseSelectorOrDie(field)
		}
		return out
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			out := list.DeepCopyObject().(client.ObjectList)
			return out, c.client.List(ctx, out, selected(&options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return c.client.Watch(ctx, list.DeepCopyObject().(client.ObjectList), selected(&options))
		},
	}
	namespaces := cache.Indexers{byNamespace: func(object any) ([]string, error) { return []string{object.(entity).where()}, nil }}
	return &informer{what: what, shared: cache.NewSharedIndexInformer(source, object, 0, namespaces)}
}

// prepare says what an informer does with what it is told.
func (c *Cache) prepare(i *informer) error {
	if err := i.shared.SetTransform(trim); err != nil {
		return err
	}
	err := i.shared.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		i.failed.Store(&err)
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
	if err != nil {
		return err
	}
	_, err = i.shared.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) { c.event(nil, object, initial) },
		UpdateFunc: func(before, after any) {
			if w, ok := after.(*workload); ok {
				c.settle(w, false)
			}
			if !before.(entity).same(after.(entity)) {
				c.event(before, after, false)
			}
		},
		DeleteFunc: func(object any) {
			if gone, is := object.(cache.DeletedFinalStateUnknown); is {
				object = gone.Obj
			}
			c.event(object, nil, false)
		},
	})
	return err
}

// event passes on what counts. What is there from the beginning is news to nobody: who asks waits for all of it.
func (c *Cache) event(before, after any, initial bool) {
	for _, object := range []any{before, after} {
		switch o := object.(type) {
		case nil:
			continue
		case *pod:
			c.proxied.Add(1)
		case *workload:
			if after == nil {
				c.settle(o, true)
			}
		}
		if !initial {
			c.changes.add(object.(entity).change())
		}
	}
}

// fill starts the informers that a question needs, and waits until they know everything.
func (c *Cache) fill(ctx context.Context, needed ...*informer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-c.up:
	case <-ctx.Done():
		return fmt.Errorf("wait for the cache of workloads to start: %w", ctx.Err())
	}
	for _, i := range needed {
		c.start(i)
	}
	for _, i := range needed {
		select {
		case <-i.shared.HasSyncedChecker().Done():
		case <-ctx.Done():
			if err := i.failed.Load(); err != nil {
				return fmt.Errorf("fill the cache of %s: %w", i.what, *err)
			}
			return fmt.Errorf("fill the cache of %s: %w", i.what, ctx.Err())
		}
	}
	return nil
}

func (c *Cache) start(i *informer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i.started || c.stopped {
		return
	}
	i.started = true
	ctx := c.ctx
	c.running.Go(func() { i.shared.RunWithContext(ctx) })
}

// in gives the objects of a namespace. They are shared: nobody may change them.
func in[T any](i *informer, namespace string) []*T {
	objects, err := i.shared.GetIndexer().ByIndex(byNamespace, namespace)
	if err != nil {
		// Every informer has the index.
		panic(err)
	}
	out := make([]*T, len(objects))
	for n, object := range objects {
		out[n] = object.(*T)
	}
	return out
}
