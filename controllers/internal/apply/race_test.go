// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"net/http"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// between does something after the engine has sent a write of an object and before the API server gets it.
func (o *operator) between(method string, ref Ref, change func()) {
	o.faults.Inject(1, toObject(method, o.path(ref)), func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		change()
		return next.RoundTrip(req)
	})
}

// TestEditOnTheWay has others write between the event of a change and the write that answers it.
func TestEditOnTheWay(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "way")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, services}, name: t.Name()})
	for name, c := range map[string]struct {
		object client.Object
		// first is the change that is answered, second the one that comes in between.
		first, second string
		paths         []string
		writes        int
	}{
		"another-field": {configMap(namespace, "another-field"), matrix[2].value.patch, matrix[2].key.patch, []string{"data[a]", "data[x]"}, 2},
		"the-same-field": {configMap(namespace, "the-same-field"), matrix[2].value.patch,
			`[{"op":"replace","path":"/data/a","value":"z"}]`, []string{"data[a]"}, 1},
		"a-locked-list": {service(namespace, "a-locked-list"), matrix[3].value.patch, matrix[3].added.patch,
			[]string{"spec.ports[name=http].targetPort", "spec.ports[name=x]"}, 1},
		"their-label": {configMap(namespace, "their-label"), matrix[2].value.patch,
			`[{"op":"add","path":"/metadata/labels/theirs","value":"x"}]`, []string{"data[a]"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "way/" + namespace + "/" + name
			o.applied(key, c.object)
			ref, from := o.ref(c.object), o.now(key)
			o.between(http.MethodPatch, ref, func() { o.patch(ref, c.second) })
			o.patch(ref, c.first)
			told := map[string]int{}
			testutil.Eventually(t, soon, "all is told", func() (bool, string) {
				clear(told)
				for _, r := range o.runs(key, from) {
					for _, drift := range r.Drifts {
						for _, change := range drift.Changes {
							told[change.Path]++
						}
					}
				}
				return len(told) >= len(c.paths), fmt.Sprint(told)
			})
			for _, path := range c.paths {
				if told[path] != 1 || len(told) != len(c.paths) {
					t.Errorf("told are %v, want %v", told, c.paths)
				}
			}
			o.settled(key, from)
			if done := o.done(ref); len(done) != c.writes+1 {
				t.Errorf("writes were %+v, want %d after the creation", done, c.writes)
			}
		})
	}
}

// TestRenderOnTheWay has others edit while a new spec is on its way: what is learned from the answer is not theirs.
func TestRenderOnTheWay(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "way")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object, key := configMap(namespace, "a"), "way/"+namespace+"/render"
	o.applied(key, object)
	ref := o.ref(object)
	o.between(http.MethodPatch, ref, func() { o.patch(ref, matrix[2].key.patch) })
	object.SetLabels(map[string]string{"app": "new"})
	o.applied(key, object)
	if live := o.get(ref); len(live.Object["data"].(fields)) != 2 || live.GetLabels()["app"] != "new" {
		t.Errorf("it is %v", live.Object)
	}
}

// TestDeletedOnTheWay has the object go, or begin to go, before the patch comes.
func TestDeletedOnTheWay(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "way")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		object, key := configMap(namespace, "gone"), "way/"+namespace+"/gone"
		o.applied(key, object)
		ref, from := o.ref(object), o.now(key)
		before := o.content(ref)
		o.between(http.MethodPatch, ref, func() { o.remove(ref) })
		o.patch(ref, matrix[2].value.patch)
		o.settled(key, from)
		if o.content(ref) != before {
			t.Errorf("it is %s, was %s", o.content(ref), before)
		}
	})
	t.Run("going", func(t *testing.T) {
		t.Parallel()
		object, key := configMap(namespace, "going"), "way/"+namespace+"/going"
		o.applied(key, object)
		ref, from := o.ref(object), o.now(key)
		o.patch(ref, held)
		o.between(http.MethodPatch, ref, func() { o.remove(ref) })
		o.patch(ref, matrix[2].value.patch)
		o.await(key, from, "terminating", func(r run) bool { return len(r.Terminating) == 1 })
		from = o.now(key)
		releaseFinalizer(o, ref)
		o.settled(key, from)
	})
}

// TestCreatedOnTheWay has a foreign object take the name before the creation comes.
func TestCreatedOnTheWay(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "way")
	for name, kind := range map[string]Kind{"whole": configMaps, "selective": selective(configMaps)[0]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOperator(t, operatorOptions{kinds: []Kind{kind}, name: t.Name()})
			object, key := configMap(namespace, name), "way/"+namespace+"/"+name
			ref := o.ref(object)
			o.between(http.MethodPost, ref, func() { o.add(ref, fields{"data": fields{"theirs": "x"}}) })
			o.declare(key, object)
			r := o.await(key, 0, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })
			if r.err != nil || len(o.done(ref)) != 0 {
				t.Errorf("got %v; writes were %+v", r, o.done(ref))
			}
		})
	}
}

// TestReplacedOnTheWay has a foreign object take the place of ours between the event and the repair.
func TestReplacedOnTheWay(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "way")
	key := "way/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	o.applied(key, object)
	ref, from := o.ref(object), o.now(key)
	o.between(http.MethodPatch, ref, func() {
		o.remove(ref)
		o.add(ref, fields{"data": fields{"theirs": "x"}})
	})
	o.patch(ref, matrix[2].value.patch)
	r := o.await(key, from, "a conflict", func(r run) bool { return len(r.Conflicts) == 1 })
	if len(r.Refused) > 0 || len(r.Drifts) > 0 || len(o.done(ref)) != 1 {
		t.Errorf("got %+v", r)
	}
}
