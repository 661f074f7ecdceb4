// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

var definitionResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// optional is what the informer of an optional kind lists and watches: the objects while the kind is served, and else none,
// with a watch that tells of nothing until the definition is there and then sends the informer back to the list. So the
// informer runs from the start and is synced like any other, and no request fails again and again.
type optional struct {
	kind        Kind
	objects     dynamic.ResourceInterface
	definitions dynamic.ResourceInterface
	// selected puts the selector of the cache into the options.
	selected func(*metav1.ListOptions)

	mu      sync.Mutex
	served  bool
	arrived []func()
}

func (e *Engine) newOptional(kind Kind, selected func(*metav1.ListOptions)) *optional {
	return &optional{kind: kind, objects: e.client.Resource(kind.gvr()), definitions: e.client.Resource(definitionResource), selected: selected}
}

// informer gives the informer of the kind.
func (o *optional) informer(indexers cache.Indexers) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformerWithOptions(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: o.list, WatchFuncWithContext: o.watch}, o),
		&unstructured.Unstructured{}, cache.SharedIndexInformerOptions{Indexers: indexers, ObjectDescription: o.kind.gvr().String()})
}

// IsWatchListSemanticsUnSupported keeps the informer from asking the watch for the list.
func (o *optional) IsWatchListSemanticsUnSupported() bool { return true }

func (o *optional) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	o.selected(&options)
	list, err := o.objects.List(ctx, options)
	if err == nil {
		o.serve(true)
		return list, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	defined, version, err := o.defined(ctx)
	if err != nil {
		return nil, err
	}
	if defined {
		return nil, errAskAgain
	}
	o.serve(false)
	none := &unstructured.UnstructuredList{}
	none.SetResourceVersion(version)
	return none, nil
}

// defined reports whether there is a definition that makes the kind, and the version at which that is so.
func (o *optional) defined(ctx context.Context) (defined bool, version string, err error) {
	definitions, err := o.definitions.List(ctx, o.own(metav1.ListOptions{}))
	if err != nil {
		return false, "", err
	}
	return slices.ContainsFunc(definitions.Items, o.makes), definitions.GetResourceVersion(), nil
}

func (o *optional) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if o.isServed() {
		o.selected(&options)
		objects, err := o.objects.Watch(ctx, options)
		if apierrors.IsNotFound(err) {
			return nil, errAskAgain
		}
		return objects, err
	}
	definitions, err := o.definitions.Watch(ctx, o.own(options))
	if err != nil {
		return nil, err
	}
	events := make(chan watch.Event)
	out := watch.NewProxyWatcher(events)
	go o.await(definitions, events, out.StopChan())
	return out, nil
}

// await hands on what concerns the watch itself, and ends it when the definition makes the kind.
func (o *optional) await(definitions watch.Interface, events chan<- watch.Event, stopped <-chan struct{}) {
	defer definitions.Stop()
	defer close(events)
	for {
		select {
		case event, ok := <-definitions.ResultChan():
			if !ok {
				return
			}
			if found, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Bookmark {
				if event.Type == watch.Deleted || !o.makes(*found) {
					continue
				}
				o.serve(true)
				event = watch.Event{Type: watch.Error, Object: &errAskAgain.ErrStatus}
			}
			select {
			case events <- event:
			case <-stopped:
				return
			}
		case <-stopped:
			return
		}
	}
}

// errAskAgain sends an informer back to the list without a word in the log.
var errAskAgain = apierrors.NewResourceExpired("the definition of the kind came or went")

// own are options for the definition alone.
func (o *optional) own(options metav1.ListOptions) metav1.ListOptions {
	options.FieldSelector = "metadata.name=" + o.kind.gvr().GroupResource().String()
	return options
}

// makes reports whether the API server serves the kind because of a definition.
func (o *optional) makes(found unstructured.Unstructured) bool {
	return found.GetDeletionTimestamp() == nil && has(found, fields{"type": "Established", "status": "True"}, "status", "conditions") &&
		has(found, fields{"name": o.kind.GVK.Version, "served": true}, "spec", "versions")
}

// has reports whether a list in an object has an element with some fields.
func has(object unstructured.Unstructured, want fields, path ...string) bool {
	found, _, _ := unstructured.NestedFieldNoCopy(object.Object, path...)
	elements, _ := found.([]any)
	return slices.ContainsFunc(elements, func(element any) bool {
		have, ok := element.(fields)
		for key, value := range want {
			ok = ok && have[key] == value
		}
		return ok
	})
}

// serve notes whether the kind is served. What waits for it is told when it is from now on.
func (o *optional) serve(served bool) {
	o.mu.Lock()
	came := served && !o.served
	o.served = served
	arrived := slices.Clone(o.arrived)
	o.mu.Unlock()
	if came {
		for _, tell := range arrived {
			tell()
		}
	}
}

func (o *optional) isServed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.served
}

func (o *optional) onArrival(tell func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arrived = append(o.arrived, tell)
}
