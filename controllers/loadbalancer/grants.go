// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

var (
	definitionResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	grantResource      = schema.GroupVersionResource{Group: gatewayv1beta1.GroupName, Version: "v1beta1", Resource: "referencegrants"}
)

// probeInterval is how often it is asked whether the API server serves a definition that is there.
const probeInterval = 250 * time.Millisecond

// grants are the ReferenceGrants of the cluster. Their definition may come and go while the operator runs: its
// metadata is watched, and the grants only while it is there.
type grants struct {
	objects     dynamic.Interface
	definitions metadata.Interface
	// changed is told a namespace whose grants may have changed.
	changed func(ctx context.Context, namespace string)

	mu sync.Mutex
	// known is false until it is certain which grants there are, or that there can be none.
	known bool
	// informer holds the grants; nil where there can be none.
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

// NeedLeaderElection makes the manager start the watch before this replica leads.
func (g *grants) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (g *grants) Start(ctx context.Context) error {
	name := grantResource.Resource + "." + grantResource.Group
	definition := metadatainformer.NewFilteredMetadataInformer(g.definitions, definitionResource, metav1.NamespaceAll, 0, cache.Indexers{},
		func(options *metav1.ListOptions) { options.FieldSelector = "metadata.name=" + name }).Informer()
	_, err := definition.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { g.begin(ctx) },
		DeleteFunc: func(any) { g.end(ctx) },
	})
	if err != nil {
		return fmt.Errorf("watch the definition of ReferenceGrants: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { definition.RunWithContext(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), definition.HasSynced) && len(definition.GetStore().List()) == 0 {
		g.settle()
	}
	running.Wait()
	return nil
}

// in lists the grants in some namespaces; ok is false while they are not known yet.
func (g *grants) in(namespaces []string) (list []*gatewayv1beta1.ReferenceGrant, ok bool) {
	if len(namespaces) == 0 {
		return nil, true
	}
	g.mu.Lock()
	informer, known := g.informer, g.known
	g.mu.Unlock()
	if informer == nil {
		return nil, known
	}
	for _, namespace := range namespaces {
		found, err := informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
		if err != nil {
			return nil, false
		}
		for _, object := range found {
			list = append(list, object.(*gatewayv1beta1.ReferenceGrant))
		}
	}
	return list, known
}

// settle notes that there are no grants as long as nothing else is said.
func (g *grants) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stop == nil {
		g.known = true
	}
}

// begin watches grants from when the API server serves them.
func (g *grants) begin(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stop != nil {
		return
	}
	watching, stop := context.WithCancel(ctx)
	g.stop = stop
	go g.watch(watching)
}

// end forgets all grants.
func (g *grants) end(ctx context.Context) {
	g.mu.Lock()
	if g.stop != nil {
		g.stop()
	}
	before := g.informer
	g.stop, g.informer, g.known = nil, nil, true
	g.mu.Unlock()
	if before != nil {
		g.tell(ctx, before.GetStore().List())
	}
}

func (g *grants) watch(ctx context.Context) {
	if !g.served(ctx) {
		return
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(g.objects, grantResource, metav1.NamespaceAll, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil).Informer()
	if err := informer.SetTransform(typedGrant); err != nil {
		log.FromContext(ctx).Error(err, "cannot watch ReferenceGrants")
		return
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return
	}
	g.mu.Lock()
	if ctx.Err() != nil { // The definition went meanwhile.
		g.mu.Unlock()
		return
	}
	g.informer, g.known = informer, true
	g.mu.Unlock()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { g.tell(ctx, []any{object}) },
		UpdateFunc: func(before, after any) { g.tell(ctx, []any{before, after}) },
		DeleteFunc: func(object any) {
			if lost, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = lost.Obj
			}
			g.tell(ctx, []any{object})
		},
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot watch ReferenceGrants")
	}
}

// served waits until the API server serves grants. Until then there can be none; but where it cannot be asked, that
// is not certain.
func (g *grants) served(ctx context.Context) bool {
	told := false
	for {
		_, err := g.objects.Resource(grantResource).List(ctx, metav1.ListOptions{Limit: 1})
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case apierrors.IsNotFound(err):
			g.mu.Lock()
			g.known = true
			g.mu.Unlock()
		case !told:
			told = true
			log.FromContext(ctx).Error(err, "cannot list ReferenceGrants; load balancers that refer to other namespaces wait")
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(probeInterval):
		}
	}
}

// tell tells the namespaces of grants.
func (g *grants) tell(ctx context.Context, objects []any) {
	namespaces := sets.New[string]()
	for _, object := range objects {
		if grant, ok := object.(*gatewayv1beta1.ReferenceGrant); ok {
			namespaces.Insert(grant.Namespace)
		}
	}
	for _, namespace := range sets.List(namespaces) {
		g.changed(ctx, namespace)
	}
}

// typedGrant is the transform of the informer. It may be handed an object that it made before.
func typedGrant(obj any) (any, error) {
	object, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	grant := &gatewayv1beta1.ReferenceGrant{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, grant); err != nil {
		return nil, fmt.Errorf("read ReferenceGrant %s/%s: %w", object.GetNamespace(), object.GetName(), err)
	}
	grant.ManagedFields, grant.Annotations, grant.Labels = nil, nil, nil
	return grant, nil
}
