// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/doorway"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// TestKinds holds the kinds to the definitions of every version.
func TestKinds(t *testing.T) {
	for _, e := range versions(t) {
		plane := planeOf(t, e)
		definitions, err := render.Shared(plane.Charts, plane.Kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]map[string]any{}
		for _, d := range definitions {
			made[d.GetName()] = d.(*unstructured.Unstructured).Object
		}
		for _, k := range doorway.Kinds() {
			d := made[k.Resource+"."+k.GVK.Group]
			kind, _, _ := unstructured.NestedString(d, "spec", "names", "kind")
			scope, _, _ := unstructured.NestedString(d, "spec", "scope")
			served := false
			versions, _, _ := unstructured.NestedSlice(d, "spec", "versions")
			for _, v := range versions {
				served = served || v.(map[string]any)["name"] == k.GVK.Version && v.(map[string]any)["served"] == true
			}
			if kind != k.GVK.Kind || scope != "Namespaced" || !served || !k.Optional {
				t.Errorf("%s: %+v is defined as %s, scope %s, served %v", e.Version, k, kind, scope, served)
			}
		}
	}
}

// TestAtRest applies all with the engine, and again with one that knows nothing: it has nothing to write.
func TestAtRest(t *testing.T) {
	c, err := client.New(cluster.Config(t), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	plane := newest(t)
	plane.Values = fullValues
	define(t, c, plane)
	root, edge := testutil.Namespace(t, cluster.Config(t), "root"), testutil.Namespace(t, cluster.Config(t), "edge")
	plane.Namespace = root
	set := apply.Set{Key: "doorway/" + root, Objects: doorways(t, plane, minimal, full)}
	for _, o := range set.Objects {
		if o.GetNamespace() != root {
			o.SetNamespace(edge)
		}
	}
	first, stop := engine(t)
	testutil.Eventually(t, soon, "all is in force", func() (bool, string) {
		result, err := first.Apply(t.Context(), set)
		return err == nil && result.Done(), fmt.Sprintf("%+v, %v", result, err)
	})
	stop()
	second, stop := engine(t)
	defer stop()
	result, err := second.Apply(t.Context(), set)
	if err != nil || !result.Done() || result.Writes > 0 || result.Desired != len(set.Objects) {
		t.Errorf("after a restart the result is %+v, %v", result, err)
	}
}

// engine starts an engine that knows all kinds.
func engine(t *testing.T) (started *apply.Engine, stop func()) {
	t.Helper()
	kinds := doorway.Kinds()
	for _, k := range render.Kinds() {
		if !k.Optional {
			kinds = append(kinds, apply.Kind{GVK: k.GVK, Resource: k.Resource, Selective: true})
		}
	}
	started, err := apply.New(apply.Config{Client: dynamic.NewForConfigOrDie(cluster.Config(t)), Scheme: scheme.Scheme, Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = started.Start(ctx) })
	stop = func() { cancel(); running.Wait() }
	if err := started.WaitForSync(ctx); err != nil {
		stop()
		t.Fatal(err)
	}
	return started, stop
}
