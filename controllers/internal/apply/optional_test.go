// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// refusedCalm is longer than an informer waits before it repeats a request that failed.
const refusedCalm = 3 * time.Second

// wares are a kind of a test's own, which its definition makes.
type wares struct {
	Kind
	t           *testing.T
	definitions dynamic.ResourceInterface
}

// waresOf gives a kind that is not there yet.
func waresOf(t *testing.T, plural string) *wares {
	t.Helper()
	w := &wares{
		Kind: Kind{
			GVK:      schema.GroupVersionKind{Group: "optional.fairlead.io", Version: "v1", Kind: strings.ToUpper(plural[:1]) + plural[1:]},
			Resource: plural, Selective: true, Optional: true,
		},
		t: t, definitions: dynamic.NewForConfigOrDie(cluster.Config(t)).Resource(definitions.gvr()),
	}
	return w
}

func (w *wares) name() string { return w.Resource + "." + w.GVK.Group }

// define installs the definition with versions that are served.
func (w *wares) define(versions ...string) {
	w.t.Helper()
	var served []any
	for i, version := range versions {
		served = append(served, fields{"name": version, "served": true, "storage": i == 0, "schema": fields{"openAPIV3Schema": fields{
			"type": "object", "properties": fields{"spec": fields{"type": "object", "additionalProperties": fields{"type": "string"}}},
		}}})
	}
	_, err := w.definitions.Create(w.t.Context(), &unstructured.Unstructured{Object: fields{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": fields{"name": w.name()},
		"spec": fields{
			"group": w.GVK.Group, "scope": "Namespaced", "names": fields{"plural": w.Resource, "kind": w.GVK.Kind}, "versions": served,
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// serve changes which versions are served.
func (w *wares) serve(versions ...string) {
	w.t.Helper()
	testutil.Eventually(w.t, soon, "the definition is changed", func() (bool, string) {
		found, err := w.definitions.Get(w.t.Context(), w.name(), metav1.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, v := range found.Object["spec"].(fields)["versions"].([]any) {
			v.(fields)["served"] = slices.Contains(versions, v.(fields)["name"].(string))
		}
		_, err = w.definitions.Update(w.t.Context(), found, metav1.UpdateOptions{})
		return err == nil, fmt.Sprint(err)
	})
}

func (w *wares) undefine() {
	w.t.Helper()
	if err := w.definitions.Delete(w.t.Context(), w.name(), metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// gone waits until the definition is.
func (w *wares) gone() {
	w.t.Helper()
	testutil.Eventually(w.t, soon, "the definition is gone", func() (bool, string) {
		_, err := w.definitions.Get(w.t.Context(), w.name(), metav1.GetOptions{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
}

func (w *wares) object(namespace, name string) client.Object {
	u := &unstructured.Unstructured{Object: fields{"spec": fields{"a": "1"}}}
	u.SetGroupVersionKind(w.GVK)
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// sent are the requests for the kind, watches among them.
func (w *wares) sent(o *operator) []testutil.Request {
	return o.requests.Select(func(r testutil.Request) bool { return strings.Contains(r.Path, "/"+w.GVK.Group+"/") })
}

// notServed waits for a run in which the kind is not served, and until the informer knows.
func (w *wares) notServed(o *operator, key string, from int) {
	w.t.Helper()
	o.await(key, from, "an object waits for its kind", func(r run) bool { return len(r.Unserved) == 1 && !r.Done() })
	testutil.Eventually(w.t, soon, "the engine knows that the kind is not served", func() (bool, string) {
		return !o.engine.caches[w.GVK].served(), ""
	})
}

func (o *operator) noErrors(key string, from int) {
	o.tb.Helper()
	for _, r := range o.runs(key, from) {
		if r.err != nil {
			o.tb.Errorf("%s: %v", key, r.err)
		}
	}
}

// TestOptional has a kind come after the start, go and come again, under an operator that has other things to do and is
// restarted in the end.
func TestOptional(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "optional")
	w := waresOf(t, "lates")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, w.Kind}, name: t.Name()})
	key := "optional/" + namespace + "/a"
	other, ware := configMap(namespace, "a"), w.object(namespace, "a")
	patch := `[{"op":"replace","path":"/spec/a","value":"2"}]`

	o.declare(key, other, ware)
	r := o.await(key, 0, "all else is in force", func(r run) bool { return r.InForce == 1 })
	if len(r.Unserved) != 1 || r.Done() || r.Desired != 2 || r.err != nil {
		t.Errorf("without the kind the run is %v", r)
	}
	ref := o.ref(ware)
	time.Sleep(refusedCalm)
	if sent := w.sent(o); len(sent) != 1 || sent[0].Write() {
		t.Errorf("without the kind, requests for it were %+v, want the first list alone", sent)
	}

	from := o.now(key)
	w.define("v1")
	o.settled(key, from)
	from = o.now(key)
	o.patch(ref, patch)
	if drift := o.drift(key, from); len(drift.Changes) != 1 || drift.Changes[0].Path != "spec.a" {
		t.Errorf("drift is %+v", drift)
	}
	o.settled(key, from)

	from = o.now(key)
	w.undefine()
	w.gone()
	w.notServed(o, key, from)
	calm := len(w.sent(o))
	o.patch(o.ref(other), matrix[2].value.patch)
	o.drift(key, from)
	if sent := w.sent(o); len(sent) != calm {
		t.Errorf("a repair of something else sent %+v", sent[calm:])
	}

	from = o.now(key)
	w.define("v1")
	o.settled(key, from)
	o.noErrors(key, 0)
	o.get(ref)

	o.stop()
	o = startOperator(t, operatorOptions{kinds: []Kind{configMaps, w.Kind}, name: t.Name()})
	o.declare(key, other, ware)
	o.settled(key, 0)
	if writes := o.requests.Writes(namespace); len(writes) > 0 {
		t.Errorf("after a restart the writes were %+v", writes)
	}
	o.patch(ref, patch)
	o.drift(key, 0)
}

// TestOptionalTerminating has a definition go slowly, since somebody holds one of its objects.
func TestOptionalTerminating(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "optional")
	w := waresOf(t, "slows")
	w.define("v1")
	o := startOperator(t, operatorOptions{kinds: []Kind{w.Kind}, name: t.Name()})
	key := "optional/" + namespace + "/a"
	ware := w.object(namespace, "a")
	o.applied(key, ware)
	theirs := o.ref(w.object(namespace, "theirs"))
	o.add(theirs, fields{"metadata": fields{"finalizers": []any{"example.com/hold"}}})
	from := o.now(key)
	w.undefine()
	o.await(key, from, "the object cannot be made", func(r run) bool { return len(r.Unserved) == 1 && !r.Done() && r.RequeueAfter > 0 })
	releaseFinalizer(o, theirs)
	w.gone()
	w.notServed(o, key, from)
	from = o.now(key)
	w.define("v1")
	o.settled(key, from)
	o.noErrors(key, 0)
}

// TestOptionalVersion has the definition serve other versions than the one that is wanted, for a while.
func TestOptionalVersion(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "optional")
	w := waresOf(t, "others")
	w.define("v2", "v1")
	w.serve("v2")
	o := startOperator(t, operatorOptions{kinds: []Kind{w.Kind}, name: t.Name()})
	key := "optional/" + namespace + "/a"
	o.declare(key, w.object(namespace, "a"))
	w.notServed(o, key, 0)
	from := o.now(key)
	w.serve("v2", "v1")
	o.settled(key, from)
	from = o.now(key)
	// What is there stays, in the other version.
	w.serve("v2")
	testutil.Eventually(t, 2*soon, "the engine knows that the version is not served", func() (bool, string) {
		return !o.engine.caches[w.GVK].served(), ""
	})
	w.serve("v2", "v1")
	o.settled(key, from)
	o.noErrors(key, 0)
	if done := o.done(o.ref(w.object(namespace, "a"))); len(done) != 1 {
		t.Errorf("writes were %+v, want the creation", done)
	}
}

// TestOptionalPrune lets go of what was never made, and of what went with its definition. Nothing goes on when it stops.
func TestOptionalPrune(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "optional")
	w := waresOf(t, "nevers")
	name := t.Name() + "/own"
	o := startOperator(t, operatorOptions{kinds: []Kind{w.Kind}, name: name})
	key := "optional/" + namespace + "/a"
	ware := w.object(namespace, "a")
	for range 2 {
		from := o.now(key)
		o.declare(key, ware)
		w.notServed(o, key, from)
		from = o.now(key)
		o.declare(key)
		o.settled(key, from)
		if members := o.engine.Members(key); len(members) > 0 {
			t.Errorf("members are %v", members)
		}
		from = o.now(key)
		o.declare(key, ware)
		w.define("v1")
		o.settled(key, from)
		from = o.now(key)
		w.undefine()
		w.gone()
		w.notServed(o, key, from)
	}
	o.noErrors(key, 0)
	if writes := o.requests.Select(func(r testutil.Request) bool { return r.Method == "DELETE" }); len(writes) > 0 {
		t.Errorf("deletions were %+v", writes)
	}
	o.stop()
	testutil.NoLeaks(t, name, soon)
}

// TestMakes tells from a definition whether the kind is served.
func TestMakes(t *testing.T) {
	o := optional{kind: Kind{GVK: schema.GroupVersionKind{Version: "v1"}}}
	established := fields{"conditions": []any{fields{"type": "NamesAccepted", "status": "True"}, fields{"type": "Established", "status": "True"}}}
	served := fields{"versions": []any{fields{"name": "v2", "served": true}, fields{"name": "v1", "served": true}}}
	for name, test := range map[string]struct {
		object fields
		want   bool
	}{
		"served":          {fields{"spec": served, "status": established}, true},
		"new":             {fields{"spec": served}, false},
		"not established": {fields{"spec": served, "status": fields{"conditions": []any{fields{"type": "Established", "status": "False"}}}}, false},
		"going":           {fields{"metadata": fields{"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": served, "status": established}, false},
		"other version":   {fields{"spec": fields{"versions": []any{fields{"name": "v2", "served": true}}}, "status": established}, false},
		"version not served": {
			fields{"spec": fields{"versions": []any{fields{"name": "v2", "served": true}, fields{"name": "v1", "served": false}}}, "status": established}, false,
		},
		"nonsense": {fields{"spec": fields{"versions": "v1"}, "status": fields{"conditions": []any{"Established"}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := o.makes(unstructured.Unstructured{Object: test.object}); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
