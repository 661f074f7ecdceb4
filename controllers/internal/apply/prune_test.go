// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

const held = `[{"op":"add","path":"/metadata/finalizers","value":["example.com/hold"]}]`

func releaseFinalizer(o *operator, ref Ref) {
	o.patch(ref, `[{"op":"remove","path":"/metadata/finalizers"}]`)
}

// TestTerminating has somebody delete an object that a foreign finalizer holds: nothing is written to it until
// it is gone, and then it is made anew.
func TestTerminating(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]Kind{"whole": configMaps, "selective": selective(configMaps)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "terminating")
			o := startOperator(t, operatorOptions{kinds: []Kind{kind}, name: t.Name()})
			object, key := configMap(namespace, "a"), "terminating/"+namespace+"/"+name
			o.applied(key, object)
			ref, from := o.ref(object), o.now(key)
			before := o.content(ref)

			o.patch(ref, held)
			o.remove(ref)
			r := o.await(key, from, "a terminating object", func(r run) bool { return len(r.Terminating) == 1 })
			if r.Done() || r.Terminating[0] != ref {
				t.Errorf("got %+v, want %s terminating and not in force", r, ref)
			}
			for i := range 3 {
				from = o.now(key)
				o.patch(ref, fmt.Sprintf(`[{"op":"replace","path":"/data/a","value":"x%d"}]`, i))
				o.await(key, from, "the edit is seen", func(r run) bool { return len(r.Terminating) == 1 })
			}
			o.patch(ref, `[{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1managed-by"}]`)
			if found := fmt.Sprint(o.get(ref).GetFinalizers()); found != "[example.com/hold]" {
				t.Errorf("finalizers are %s", found)
			}
			if asked := o.requests.Writes(o.path(ref)); len(asked) != 1 {
				t.Errorf("writes to a terminating object: %+v", asked[1:])
			}
			from = o.now(key)
			releaseFinalizer(o, ref)
			o.settled(key, from)
			if o.content(ref) != before {
				t.Errorf("it is %s, was %s", o.content(ref), before)
			}
			if done := o.done(ref); len(done) != 2 || done[1].Method != http.MethodPost {
				t.Errorf("writes were %+v, want two creations", done)
			}
		})
	}
}

// TestPrune deletes what is no longer desired, once, the very object, and nothing else.
func TestPrune(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]Kind{"whole": configMaps, "selective": selective(configMaps)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "prune")
			o := startOperator(t, operatorOptions{kinds: []Kind{kind}, name: t.Name()})
			key := "prune/" + namespace + "/" + name
			a, b, c := configMap(namespace, "a"), configMap(namespace, "b"), configMap(namespace, "c")
			o.applied(key, a, b, c)
			ref := o.ref(b)
			uid := o.get(ref).GetUID()
			stranger := o.ref(configMap(namespace, "stranger"))
			o.add(stranger, fields{"metadata": fields{"labels": fields{"app.kubernetes.io/managed-by": "fairlead"}}})
			holdRef := o.ref(c)
			o.patch(holdRef, held)

			from := o.now(key)
			o.declare(key, a)
			o.await(key, from, "one is left terminating", func(r run) bool { return len(r.Terminating) == 1 && r.Terminating[0] == holdRef })
			var sent struct{ Preconditions struct{ UID string } }
			done := o.done(ref)
			if len(done) != 2 || json.Unmarshal([]byte(done[1].Body), &sent) != nil || sent.Preconditions.UID != string(uid) {
				t.Errorf("writes were %+v, want a creation and a deletion of %s", done, uid)
			}
			from = o.now(key)
			releaseFinalizer(o, holdRef)
			o.await(key, from, "all gone", func(r run) bool { return len(r.Terminating) == 0 })
			if o.content(stranger) == "" || len(o.requests.Writes(o.path(stranger))) > 0 {
				t.Error("an object without the set's mark was pruned")
			}
			if done := o.done(holdRef); len(done) != 2 {
				t.Errorf("writes were %+v, want a creation and one deletion", done)
			}

			from = o.now(key)
			o.declare(key)
			o.await(key, from, "nothing left", func(run) bool { return o.content(o.ref(a)) == "" })
			testutil.Eventually(t, soon, "nothing is remembered", func() (bool, string) {
				o.kick(key)
				o.engine.mu.RLock()
				defer o.engine.mu.RUnlock()
				return len(o.engine.entries)+len(o.engine.bySet) == 0, fmt.Sprint(o.engine.entries, o.engine.bySet)
			})
		})
	}
}

// TestPruneForgets has nobody apply a set again after its end, as for an owner that is gone.
func TestPruneForgets(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "forget")
	key := "forget/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	o.applied(key, configMap(namespace, "a"))
	from := o.now(key)
	o.mu.Lock()
	o.refs = map[Ref]string{} // From now on events ask for nothing.
	o.sets[key].set = Set{Key: key}
	o.mu.Unlock()
	o.kick(key)
	o.await(key, from, "pruned", func(r run) bool { return r.Writes == 1 })
	testutil.Eventually(t, soon, "nothing is remembered", func() (bool, string) {
		o.engine.mu.RLock()
		defer o.engine.mu.RUnlock()
		return len(o.engine.entries)+len(o.engine.bySet) == 0, fmt.Sprint(o.engine.entries, o.engine.bySet)
	})
}

// TestPruneAnother has the object replaced by a foreign one while the deletion is on its way.
func TestPruneAnother(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "another")
	key := "another/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	a := configMap(namespace, "a")
	o.applied(key, a)
	ref, from := o.ref(a), o.now(key)
	o.between(http.MethodDelete, ref, func() {
		o.remove(ref)
		o.add(ref, fields{"data": fields{"theirs": "x"}})
	})
	o.declare(key)
	o.await(key, from, "the deletion was tried", func(run) bool { return o.faults.Left() == 0 })
	o.kick(key)
	if found := o.content(ref); !strings.Contains(found, "theirs") {
		t.Errorf("the foreign object is %q", found)
	}
	for _, r := range o.runs(key, from) {
		if r.err != nil || len(r.Conflicts) > 0 {
			t.Errorf("run is %+v; who wants nothing of that name has no conflict", r)
		}
	}
}

// TestNeverOursNeverPruned has a foreign object in the way that is no longer wanted, though it may be adopted.
func TestNeverOursNeverPruned(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "never")
	key := "never/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	a := configMap(namespace, "a")
	ref := o.ref(a)
	o.add(ref, fields{"data": fields{"theirs": "x"}})
	o.declare(key, a)
	o.await(key, 0, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })
	o.hold(key, func() {
		o.patch(ref, `[{"op":"add","path":"/metadata/annotations","value":{"fleet.fairlead.io/adopt":"true"}}]`)
		o.mu.Lock()
		o.sets[key].set.Objects = nil
		o.mu.Unlock()
	})
	o.await(key, 1, "a run without it", func(r run) bool { return r.Desired == 0 })
	if asked := o.requests.Writes(o.path(ref)); len(asked) != 0 || o.content(ref) == "" {
		t.Errorf("the foreign object is %q; writes were %+v", o.content(ref), asked)
	}
}

// toObject matches writes of a method to one object.
func toObject(method, path string) func(testutil.Request) bool {
	return func(r testutil.Request) bool { return r.Write() && r.Method == method && r.Path == path }
}

// TestPruneOrder: what is no longer desired goes in the reverse order of the kinds.
func TestPruneOrder(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "order")
	key := "order/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, quotas}, name: t.Name()})
	var objects []client.Object
	for _, name := range []string{"a", "b", "c", "d"} {
		objects = append(objects, configMap(namespace, name), terminatingQuota(namespace, name))
	}
	o.applied(key, objects...)
	o.applied(key)
	var order []string
	for _, r := range o.served.Writes("/namespaces/" + namespace + "/") {
		if r.Method == http.MethodDelete && r.Done() {
			order = append(order, strings.Split(strings.TrimPrefix(r.Path, "/"), "/")[4])
		}
	}
	want := "[resourcequotas resourcequotas resourcequotas resourcequotas configmaps configmaps configmaps configmaps]"
	if fmt.Sprint(order) != want {
		t.Errorf("they went as %v, want %s", order, want)
	}
}
