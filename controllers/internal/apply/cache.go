// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// Kind is one kind of object that the engine may write.
type Kind struct {
	GVK schema.GroupVersionKind
	// Resource is the plural name in the API's paths.
	Resource string
	// Selective says that the cache holds only what bears our label. Kinds that a cluster has many of (ConfigMaps,
	// Deployments) should be selective; the price is one read more for a deletion, which looks like a removed label.
	Selective bool
	// Optional says that a definition makes the kind, which may come late, go, and come again. What sets want of the kind
	// meanwhile waits, and is looked at when the kind is served.
	Optional bool
}

func (k Kind) gvr() schema.GroupVersionResource { return k.GVK.GroupVersion().WithResource(k.Resource) }

func (k Kind) exemptions() exemptions { return exemptionTable[k.GVK.GroupKind()] }

const (
	indexSet       = "set"
	indexNamespace = cache.NamespaceIndex
	indexTarget    = "scale target"
)

// kindCache is the informer of one kind.
type kindCache struct {
	Kind
	// rank is the place of the kind in the configuration.
	rank     int
	informer cache.SharedIndexInformer
	// optional is nil for kinds that are always there.
	optional *optional
}

// served reports whether the API server has the kind, as far as is known.
func (c *kindCache) served() bool { return c.optional == nil || c.optional.isServed() }

func (e *Engine) newKindCache(kind Kind) (*kindCache, error) {
	selected := func(options *metav1.ListOptions) {
		if kind.Selective {
			options.LabelSelector = v1alpha1.LabelManagedBy + "=" + v1alpha1.ManagedBy
		}
	}
	indexers := cache.Indexers{
		indexNamespace: cache.MetaNamespaceIndexFunc,
		indexSet: func(obj any) ([]string, error) {
			if o, ok := obj.(*Object); ok && o.set != "" {
				return []string{o.set}, nil
			}
			return nil, nil
		},
	}
	if kind.GVK == autoscaler {
		indexers[indexTarget] = scaleTarget
	}
	out := &kindCache{Kind: kind}
	if kind.Optional {
		out.optional = e.newOptional(kind, selected)
		out.informer = out.optional.informer(indexers)
	} else {
		out.informer = dynamicinformer.NewFilteredDynamicInformer(e.client, kind.gvr(), metav1.NamespaceAll, 0, indexers, selected).Informer()
	}
	if err := out.informer.SetTransform(e.transform(kind)); err != nil {
		return nil, fmt.Errorf("cache of %s: %w", kind.Resource, err)
	}
	return out, nil
}

// transform compacts what the API server sends. It may be handed an object that it made before.
func (e *Engine) transform(kind Kind) cache.TransformFunc {
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return obj, nil
		}
		compacted, err := compact(u)
		if err != nil {
			return nil, err
		}
		if known := e.known(kind.ref(compacted)); known != nil {
			compacted.content = known.share(compacted.content)
		}
		return compacted, nil
	}
}

func (k Kind) ref(obj *Object) Ref {
	return Ref{GroupVersionKind: k.GVK, NamespacedName: types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}}
}

func (c *kindCache) get(name types.NamespacedName) *Object {
	key := name.Name
	if name.Namespace != "" {
		key = name.String()
	}
	found, ok, err := c.informer.GetIndexer().GetByKey(key)
	if err != nil || !ok {
		return nil
	}
	return found.(*Object)
}

func (c *kindCache) inSet(set string) []*Object { return c.byIndex(indexSet, set) }

func (c *kindCache) inNamespace(namespace string) []*Object {
	return c.byIndex(indexNamespace, namespace)
}

func (c *kindCache) byIndex(index, value string) []*Object {
	found, err := c.informer.GetIndexer().ByIndex(index, value)
	if err != nil {
		return nil
	}
	out := make([]*Object, len(found))
	for i := range found {
		out[i] = found[i].(*Object)
	}
	return out
}

// Start runs the informers until the context ends. A manager runs it on every replica, so that one that
// takes over finds warm caches.
func (e *Engine) Start(ctx context.Context) error {
	var running sync.WaitGroup
	for _, cache := range e.caches {
		running.Go(func() { cache.informer.RunWithContext(ctx) })
	}
	running.Wait()
	return nil
}

// NeedLeaderElection makes the manager start the informers before this replica leads.
func (e *Engine) NeedLeaderElection() bool { return false }

// WaitForSync blocks until every cache has been filled once, and fails when the context ends before.
func (e *Engine) WaitForSync(ctx context.Context) error {
	for _, c := range e.caches {
		if !cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
			return fmt.Errorf("cache of %s: %w", c.Resource, context.Cause(ctx))
		}
	}
	return nil
}
