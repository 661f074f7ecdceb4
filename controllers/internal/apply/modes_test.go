// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// TestAdoption leaves a foreign object alone until a person allows to take it over.
func TestAdoption(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]Kind{"whole": configMaps, "selective": selective(configMaps)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "adopt")
			o := startOperator(t, operatorOptions{kinds: []Kind{kind}, name: t.Name()})
			object, key := configMap(namespace, "a"), "adopt/"+namespace+"/"+name
			ref := o.ref(object)
			foreign := o.add(ref, fields{"data": fields{"a": "theirs", "theirs": "x"}, "metadata": fields{"labels": fields{"l": "theirs"}}})
			o.declare(key, object)
			r := o.await(key, 0, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })
			if r.Conflicts[0].Ref != ref || r.InForce != 0 || r.err != nil || r.RequeueAfter == 0 {
				t.Errorf("got %+v", r)
			}
			if asked := o.done(ref); len(asked) != 0 {
				t.Errorf("writes were %+v", asked)
			}
			o.patch(ref, `[{"op":"add","path":"/metadata/annotations","value":{"fleet.fairlead.io/adopt":"true"}}]`)
			if kind.Selective {
				o.kick(key) // No event shows it; RequeueAfter would.
			}
			o.settled(key, 0)
			live := o.get(ref)
			if data := live.Object["data"].(fields); live.GetUID() != foreign.GetUID() || len(data) != 2 || data["a"] != "1" {
				t.Errorf("data are %v", data)
			}
			if live.GetLabels()["l"] != "theirs" || live.GetAnnotations()[v1alpha1.AnnotationSet] != key {
				t.Errorf("marks are %v %v", live.GetLabels(), live.GetAnnotations())
			}
			if done := o.done(ref); len(done) != 1 || done[0].Method != http.MethodPatch {
				t.Errorf("writes were %+v, want one patch", done)
			}
		})
	}
}

// TestConflictEnds has the object in the way deleted by its owner.
func TestConflictEnds(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "ends")
	key := "ends/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	ref := o.ref(object)
	o.add(ref, fields{"data": fields{"a": "theirs"}})
	o.declare(key, object)
	o.await(key, 0, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })
	o.remove(ref)
	if r := o.settled(key, 0); len(r.Drifts) > 0 {
		t.Errorf("the end of a foreign object is told as a drift: %+v", r.Drifts)
	}
}

// TestTwoSets has two sets with an object of the same name: the first has it, for the second it is a conflict
// until the first lets go.
func TestTwoSets(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "two")
	key, other := "two/"+namespace+"/first", "two/"+namespace+"/second"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	first, second := configMap(namespace, "a"), configMap(namespace, "a")
	second.SetLabels(map[string]string{"second": "yes"})
	o.applied(key, first)
	ref := o.ref(first)
	before := o.content(ref)
	o.declare(other, second)
	o.await(other, 0, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })

	o.mu.Lock()
	o.refs[ref] = key
	o.mu.Unlock()
	from := o.now(key)
	o.patch(ref, fmt.Sprintf(`[{"op":"replace","path":"/metadata/annotations/fleet.fairlead.io~1set","value":%q}]`, other))
	o.drift(key, from)
	if o.content(ref) != before {
		t.Errorf("it is %s, was %s", o.content(ref), before)
	}
	o.declare(key)
	testutil.Eventually(t, soon, "the second set has it", func() (bool, string) {
		o.kick(other)
		u, err := o.resource(ref).Get(t.Context(), ref.Name, metav1.GetOptions{})
		return err == nil && u.GetLabels()["second"] == "yes", ""
	})
}

// TestPause writes nothing while a set is paused, and repairs after.
func TestPause(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "pause")
	key := "pause/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	o.applied(key, object)
	ref, from := o.ref(object), o.now(key)
	before := o.content(ref)
	paused := Set{Key: key, Objects: o.sets[key].set.Objects, Paused: true}
	o.declareSet(paused)
	r := o.await(key, from, "paused", func(r run) bool { return r.Paused })
	if r.Done() {
		t.Error("a paused set is called done")
	}
	from = o.now(key)
	o.patch(ref, matrix[2].value.patch)
	o.await(key, from, "the edit is seen", func(r run) bool { return r.Paused })
	if done := o.done(ref); len(done) != 1 || o.content(ref) == before {
		t.Errorf("a paused set was written: %+v", done)
	}
	paused.Paused = false
	from = o.now(key)
	o.declareSet(paused)
	if drift := o.drift(key, from); drift.Changes[0].Path != "data[a]" || o.content(ref) != before {
		t.Errorf("drift is %+v", drift)
	}
}

// TestWarn tells of each foreign change once and touches nothing.
func TestWarn(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "warn")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	set := Set{Key: "warn/" + namespace + "/a", Objects: []client.Object{object}, Mode: Warn}
	o.declareSet(set)
	o.settled(set.Key, 0)
	ref := o.ref(object)

	told := func(from int) (drifts []Drift) {
		for _, r := range o.runs(set.Key, from) {
			drifts = append(drifts, r.Drifts...)
		}
		return drifts
	}
	seen := func(from int) run {
		t.Helper()
		return o.await(set.Key, from, "seen", func(r run) bool { return len(r.Drifted) == 1 })
	}
	from := o.now(set.Key)
	o.patch(ref, matrix[2].value.patch)
	seen(from)
	for range 3 { // More looks at the same drift tell nothing new.
		again := o.now(set.Key)
		o.kick(set.Key)
		if r := seen(again); r.Done() || r.Drifted[0] != ref {
			t.Errorf("got %+v", r)
		}
	}
	if drifts := told(from); len(drifts) != 1 || drifts[0].Repaired || drifts[0].Changes[0].Path != "data[a]" || drifts[0].Changes[0].Manager != editor {
		t.Errorf("told were %+v, want the edit once", drifts)
	}

	from = o.now(set.Key)
	o.remove(ref)
	seen(from)
	again := o.now(set.Key)
	o.kick(set.Key)
	seen(again)
	if drifts := told(from); len(drifts) != 1 || drifts[0].Repaired || drifts[0].Changes[0].Path != "" {
		t.Errorf("told were %+v, want the deletion once", drifts)
	}
	if done := o.done(ref); len(done) != 1 {
		t.Errorf("writes were %+v", done)
	}
	set.Mode, from = Repair, o.now(set.Key)
	o.declareSet(set)
	if drift := o.drift(set.Key, from); !drift.Repaired {
		t.Errorf("drift is %+v", drift)
	}
}

// TestWarnOfAnother has the object replaced by one with our marks: what differs is told, defaults are not.
func TestWarnOfAnother(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "warn")
	o := startOperator(t, operatorOptions{kinds: []Kind{services}, name: t.Name()})
	object := service(namespace, "a")
	set := Set{Key: "warn/" + namespace + "/c", Objects: []client.Object{object}, Mode: Warn}
	o.declareSet(set)
	o.settled(set.Key, 0)
	ref, from := o.ref(object), o.now(set.Key)
	o.replace(set.Key, ref, func(object fields) { applyPatch(t, object, matrix[3].key.patch) })
	told := func(r run) bool { return len(r.Drifts) == 1 && r.Drifts[0].Changes[0].Path != "" }
	drift := o.await(set.Key, from, "a drift", told).Drifts[0]
	if len(drift.Changes) != 1 || drift.Changes[0].Path != "spec.selector[x]" || drift.Changes[0].Manager != editor {
		t.Errorf("drift is %+v, want spec.selector[x] alone", drift)
	}
	if done := o.done(ref); len(done) != 1 {
		t.Errorf("writes were %+v", done)
	}
}

// TestWarnAfterRestart starts with a drift that nobody remembers: it is found, told, and stays told.
func TestWarnAfterRestart(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "warn")
	key := "warn/" + namespace + "/b"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	o.applied(key, object)
	ref := o.ref(object)
	o.stop()
	if _, err := o.resource(ref).Patch(t.Context(), ref.Name, types.MergePatchType, []byte(`{"data":{"a":null,"x":"y"}}`),
		metav1.PatchOptions{FieldManager: editor}); err != nil {
		t.Fatal(err)
	}
	o = startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	set := Set{Key: key, Objects: []client.Object{object}, Mode: Warn}
	o.declareSet(set)
	for i := range 3 {
		from := o.now(set.Key)
		o.kick(set.Key)
		r := o.await(set.Key, from, "a drift", func(r run) bool { return len(r.Drifted) == 1 })
		if i == 0 && (len(r.Drifts) != 1 || len(r.Drifts[0].Changes) != 2) && o.now(set.Key) == 1 {
			t.Errorf("got %+v, want two changes", r)
		}
	}
	if asked := o.served.Writes(o.path(ref)); len(asked) != 0 {
		t.Errorf("writes were %+v", asked)
	}
	set.Mode = Repair
	from := o.now(set.Key)
	o.declareSet(set)
	drift := o.drift(set.Key, from)
	if len(drift.Changes) != 2 || drift.Changes[0].Manager != Unknown || drift.Changes[1].Manager != editor {
		t.Errorf("drift is %+v", drift)
	}
}
