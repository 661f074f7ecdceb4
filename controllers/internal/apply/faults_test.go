// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

var kindsOfFaults = map[string]testutil.Fault{
	"conflict":    testutil.Answer(http.StatusConflict, metav1.StatusReasonConflict, 0),
	"too-many":    testutil.Answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, time.Second),
	"internal":    testutil.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0),
	"unavailable": testutil.Answer(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, 0),
	"broken":      testutil.Refuse,
	"lost":        testutil.LoseAnswer,
	"hangs":       testutil.Hang,
}

// TestFaults strikes every kind of write with every fault, twice in a row. All is well afterwards, and the API
// server has done each write once.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range kindsOfFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "fault")
			o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, quotas}, name: t.Name(), timeout: time.Second})
			strike := func(method string, ref Ref) {
				o.faults.Inject(2, toObject(method, o.path(ref)), fault)
			}
			f := &faulty{operator: o, t: t, key: "fault/" + namespace + "/" + name, namespace: namespace, strike: strike}
			f.creation()
			f.repair()
			f.deletion()
			f.render()
			f.recreation()
			f.prune()
			if left := o.faults.Left(); left > 0 && name != "lost" {
				t.Errorf("%d faults did not strike", left)
			}
		})
	}
}

// faulty is a set whose writes meet faults.
type faulty struct {
	*operator
	t              *testing.T
	key, namespace string
	strike         func(method string, ref Ref)
	wrote          []string
}

// once checks that the API server did one write more since the last time.
func (f *faulty) once(ref Ref, methods ...string) {
	f.t.Helper()
	f.wrote = append(f.wrote, methods...)
	var done []string
	for _, r := range f.done(ref) {
		done = append(done, r.Method)
	}
	if fmt.Sprint(done) != fmt.Sprint(f.wrote) {
		f.t.Errorf("the API server did %v, want %v", done, f.wrote)
	}
}

func (f *faulty) creation() {
	f.t.Helper()
	object := configMap(f.namespace, "a")
	f.strike(http.MethodPost, f.ref(object))
	f.applied(f.key, object)
	f.once(f.ref(object), http.MethodPost)
}

func (f *faulty) repair() {
	f.t.Helper()
	ref := f.ref(configMap(f.namespace, "a"))
	before := f.content(ref)
	f.strike(http.MethodPatch, ref)
	from := f.now(f.key)
	f.patch(ref, matrix[2].value.patch)
	f.back(ref, before, from, "data[a]")
	f.once(ref, http.MethodPatch)
}

func (f *faulty) deletion() {
	f.t.Helper()
	ref := f.ref(configMap(f.namespace, "a"))
	before := f.content(ref)
	f.strike(http.MethodPost, ref)
	from := f.now(f.key)
	f.remove(ref)
	f.back(ref, before, from, "")
	f.once(ref, http.MethodPost)
}

func (f *faulty) render() {
	f.t.Helper()
	object := configMap(f.namespace, "a")
	object.SetLabels(map[string]string{"new": "label"})
	f.strike(http.MethodPatch, f.ref(object))
	f.applied(f.key, object)
	f.once(f.ref(object), http.MethodPatch)
}

func (f *faulty) recreation() {
	f.t.Helper()
	quota, other := terminatingQuota(f.namespace, "q"), terminatingQuota(f.namespace, "q")
	other.Spec.Scopes = nil
	ref := f.ref(quota)
	f.applied(f.key, quota)
	f.strike(http.MethodDelete, ref)
	f.faults.Inject(1, toObject(http.MethodPost, f.path(ref)), testutil.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0))
	from := f.now(f.key)
	f.applied(f.key, other)
	for _, r := range f.runs(f.key, from) {
		if len(r.Drifts) > 0 {
			f.t.Errorf("our own deletion is told as a drift: %+v", r.Drifts)
		}
	}
	f.wrote = nil
	f.once(ref, http.MethodPost, http.MethodDelete, http.MethodPost)
}

func (f *faulty) prune() {
	f.t.Helper()
	ref := f.ref(terminatingQuota(f.namespace, "q"))
	f.strike(http.MethodDelete, ref)
	f.declare(f.key)
	testutil.Eventually(f.t, soon, "it is pruned", func() (bool, string) { return f.content(ref) == "", f.content(ref) })
	f.wrote = []string{http.MethodPost, http.MethodDelete, http.MethodPost}
	f.once(ref, http.MethodDelete)
}

// back waits until the object is as before and the set at rest, and checks that the drift was told once.
func (f *faulty) back(ref Ref, before string, from int, path string) {
	f.t.Helper()
	testutil.Eventually(f.t, soon, "the object is as before", func() (bool, string) {
		now := f.content(ref)
		return now == before, "it is " + now
	})
	again := f.now(f.key)
	f.kick(f.key)
	f.settled(f.key, again)
	var told []Change
	for _, r := range f.runs(f.key, from) {
		for _, drift := range r.Drifts {
			told = append(told, drift.Changes...)
		}
	}
	if len(told) != 1 || told[0].Path != path {
		f.t.Errorf("told are %+v, want one change of %q", told, path)
	}
}

// TestDroppedWatches breaks all watches while others change and delete: what happened meanwhile is repaired.
func TestDroppedWatches(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]Kind{"whole": configMaps, "selective": selective(configMaps)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "watch")
			o := startOperator(t, operatorOptions{kinds: []Kind{kind}, name: t.Name()})
			var objects []client.Object
			for _, name := range []string{"changed", "deleted", "unlabelled", "untouched"} {
				objects = append(objects, configMap(namespace, name))
			}
			key := "watch/" + namespace + "/" + name
			o.applied(key, objects...)
			before := map[Ref]string{}
			for _, object := range objects {
				before[o.ref(object)] = o.content(o.ref(object))
			}
			var down atomic.Bool
			down.Store(true)
			o.faults.Inject(1<<20, func(r testutil.Request) bool { return down.Load() && r.Method == http.MethodGet }, testutil.Refuse)
			if o.faults.CutWatches() == 0 {
				t.Fatal("there was no watch to cut")
			}
			o.patch(o.ref(objects[0]), matrix[2].value.patch)
			o.remove(o.ref(objects[1]))
			o.patch(o.ref(objects[2]), `[{"op":"remove","path":"/metadata/labels"}]`)
			down.Store(false)
			for ref, want := range before {
				testutil.Eventually(t, soon, ref.String()+" is as before", func() (bool, string) {
					return o.content(ref) == want, "it is " + o.content(ref)
				})
				writes := 2
				if ref.Name == "untouched" {
					writes = 1
				}
				if done := o.done(ref); len(done) != writes {
					t.Errorf("%s: writes were %+v, want %d", ref, done, writes)
				}
			}
		})
	}
}

// TestRelist has the API server send its watchers back to a list: nothing changed, so nothing is done.
func TestRelist(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "relist")
	key := "relist/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	o.applied(key, object)
	ref, from := o.ref(object), o.now(key)
	lists := func() int {
		return len(o.served.Select(func(r testutil.Request) bool { return strings.Contains(r.Path, configMaps.Resource) && r.Initial }))
	}
	before := lists()
	o.expire()
	testutil.Eventually(t, soon, "the cache is filled again", func() (bool, string) { return lists() > before, "" })
	o.patch(ref, matrix[2].value.patch)
	if drift := o.drift(key, from); len(drift.Changes) != 1 {
		t.Errorf("drift is %+v", drift)
	}
	if live := o.engine.Live(ref.GroupVersionKind, namespace); len(live) != 2 { // Ours, and the root CA's.
		t.Errorf("the cache holds %d objects", len(live))
	}
	if done := o.done(ref); len(done) != 2 {
		t.Errorf("writes were %+v", done)
	}
}

// expire breaks the watches, and answers the next ones that their version is too old.
func (o *operator) expire() {
	watches := func(r testutil.Request) bool { return r.Watch && !r.Initial }
	o.faults.Inject(len(o.engine.caches), watches, testutil.Answer(http.StatusGone, metav1.StatusReasonExpired, 0))
	o.faults.CutWatches()
}

// TestNamespaceDeleted deletes a namespace with hundreds of repairs on their way, and makes it again.
func TestNamespaceDeleted(t *testing.T) {
	t.Parallel()
	config := cluster.Config(t)
	namespaces := testutil.Clientset(t, config).CoreV1().Namespaces()
	namespace := testutil.Namespace(t, config, "going")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, limitRanges}, name: t.Name()})
	var objects []client.Object
	for i := range 20 {
		objects = append(objects, configMap(namespace, fmt.Sprintf("c%d", i)), limitRange(namespace, fmt.Sprintf("l%d", i)))
	}
	key := "going/" + namespace + "/a"
	o.applied(key, objects...)
	from := o.now(key)
	if err := namespaces.Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 2*soon, "the namespace is gone", func() (bool, string) {
		ns, err := namespaces.Get(t.Context(), namespace, metav1.GetOptions{})
		return err != nil, fmt.Sprint(ns.Status)
	})
	o.kick(key)
	o.await(key, from, "nothing is wanted in a namespace that is gone", func(r run) bool { return r.err == nil && r.Desired == 0 && r.Done() })
	for _, r := range o.runs(key, from) {
		if r.err != nil {
			t.Errorf("a namespace that goes is an error: %v", r.err)
		}
	}
	again, err := namespaces.Get(t.Context(), "default", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again.ObjectMeta = metav1.ObjectMeta{Name: namespace}
	if _, err := namespaces.Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	from = o.now(key)
	o.kick(key)
	o.await(key, from, "all is back", func(r run) bool { return r.err == nil && r.InForce == len(objects) })
}

// TestNeighbours has one object fail for good: the others are applied, and their repairs go on.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "neighbours")
	key := "neighbours/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	bad, good := configMap(namespace, "a-bad"), configMap(namespace, "b-good")
	o.faults.Inject(1<<20, toObject(http.MethodPost, o.path(o.ref(bad))), testutil.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0))
	o.declare(key, bad, good)
	r := o.await(key, 0, "one in force", func(r run) bool { return r.InForce == 1 })
	if r.err == nil || !strings.Contains(r.err.Error(), "a-bad") || errors.Is(r.err, errUnstable) {
		t.Errorf("error is %v, want one that names the bad object", r.err)
	}
	from := o.now(key)
	o.patch(o.ref(good), matrix[2].value.patch)
	o.drift(key, from)
}

// TestNoLeaks stops an operator in the middle of trouble.
func TestNoLeaks(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "leaks")
	name := t.Name() + "/own"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, services}, name: name})
	object := configMap(namespace, "a")
	o.applied("leaks/"+namespace+"/a", object)
	o.faults.Inject(1, toObject(http.MethodPatch, o.path(o.ref(object))), testutil.Hang)
	o.patch(o.ref(object), matrix[2].value.patch)
	testutil.Eventually(t, soon, "a request hangs", func() (bool, string) { return o.faults.Left() == 0, "" })
	o.faults.CutWatches()
	o.stop()
	testutil.NoLeaks(t, name, soon)
}
