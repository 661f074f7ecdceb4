// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// TestAttribution tells of a foreign change what field it was, from what to what, by whom and when.
func TestAttribution(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "told")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps, secrets, limitRanges}, name: t.Name()})
	long := strings.Repeat("ä", 100)
	cut := strings.Repeat("ä", 30) + "…"
	applied := func(ref Ref, text string) {
		t.Helper()
		if _, err := o.resource(ref).Patch(t.Context(), ref.Name, types.ApplyPatchType, []byte(text),
			metav1.PatchOptions{FieldManager: "helm", Force: ptr.To(true)}); err != nil {
			t.Fatal(err)
		}
	}
	secret := &corev1.Secret{ObjectMeta: named(namespace, "secret"), Data: map[string][]byte{"key": []byte("hunter2")}}
	for name, c := range map[string]struct {
		object client.Object
		change func(Ref)
		want   Change
		// untimed says that nobody knows when; then it is when it was seen.
		untimed bool
	}{
		"update": {configMap(namespace, "update"),
			func(ref Ref) { o.edit(ref, func(object fields) { object["data"].(fields)["a"] = "2" }) },
			Change{Path: "data[a]", Want: "1", Found: "2", Manager: editor}, false},
		"apply": {configMap(namespace, "apply"),
			func(ref Ref) { applied(ref, `{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"3"}}`) },
			Change{Path: "data[a]", Want: "1", Found: "3", Manager: "helm"}, false},
		"list": {limitRange(namespace, "list"),
			func(ref Ref) { o.patchBy("dashboard", ref, matrix[0].value.patch) },
			Change{Path: "spec.limits[type=Container].max[memory]", Want: "512Mi", Found: "1Gi", Manager: "dashboard"}, false},
		"long": {configMap(namespace, "long"),
			func(ref Ref) { o.patch(ref, fmt.Sprintf(`[{"op":"add","path":"/data/long","value":%q}]`, long)) },
			Change{Path: "data[long]", Found: cut, Manager: editor}, false},
		"removed": {configMap(namespace, "removed"),
			func(ref Ref) { o.patch(ref, `[{"op":"remove","path":"/data/a"}]`) },
			Change{Path: "data[a]", Want: "1", Manager: Unknown}, true},
		"deleted": {configMap(namespace, "deleted"), o.remove, Change{Manager: Unknown}, true},
		"secret": {secret,
			func(ref Ref) { o.patch(ref, `[{"op":"replace","path":"/data/key","value":"c2VjcmV0"}]`) },
			Change{Path: "data[key]", Want: "(secret)", Found: "(secret)", Manager: editor}, false},
		"secret-added": {secret.DeepCopy(),
			func(ref Ref) { o.patch(ref, `[{"op":"add","path":"/data/more","value":"c2VjcmV0"}]`) },
			Change{Path: "data[more]", Found: "(secret)", Manager: editor}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "secret-added" {
				c.object.SetName(name)
			}
			key := "told/" + namespace + "/" + name
			o.applied(key, c.object)
			from, began := o.now(key), time.Now()
			c.change(o.ref(c.object))
			drift := o.drift(key, from)
			if len(drift.Changes) != 1 || drift.Ref != o.ref(c.object) {
				t.Fatalf("drift is %+v, want one change of %s", drift, name)
			}
			got := drift.Changes[0]
			if age := got.Time.Sub(began); age < -time.Second || age > soon {
				t.Errorf("changed at %v, %v after the test began", got.Time, age)
			}
			if seconds := got.Time.Nanosecond() == 0; seconds == c.untimed {
				t.Errorf("time is %v; want the time of managedFields, to the second, or else that of the event", got.Time)
			}
			got.Time, got.slot = time.Time{}, nil
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("change is %+v, want %+v", got, c.want)
			}
			if strings.Contains(fmt.Sprintf("%+v", drift), "hunter2") || len(got.Found) > maxValue {
				t.Errorf("drift tells too much: %+v", drift)
			}
		})
	}
}

// TestRecorder counts repairs for the metrics.
func TestRecorder(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "recorder")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	recorder := make(recordings, 4)
	o.engine.recorder = recorder
	o.applied("recorder/"+namespace+"/a", configMap(namespace, "a"))
	o.patch(o.ref(configMap(namespace, "a")), matrix[2].value.patch)
	select {
	case got := <-recorder:
		if got.kind != "ConfigMap" || got.latency <= 0 {
			t.Errorf("recorded %+v", got)
		}
	case <-time.After(soon):
		t.Fatal("nothing was recorded")
	}
	if len(recorder) > 0 {
		t.Errorf("recorded more: %+v", <-recorder)
	}
}

type recordings chan struct {
	kind    string
	latency time.Duration
}

func (r recordings) Repaired(kind string, latency time.Duration) {
	r <- struct {
		kind    string
		latency time.Duration
	}{kind, latency}
}

// TestContested breaks a field as often as it is repaired: the repairs slow down, and it is said who does it.
// Everything else stays in repair at once.
func TestContested(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "contested")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object, neighbour := configMap(namespace, "a"), configMap(namespace, "b")
	key := "contested/" + namespace + "/a"
	o.applied(key, object, neighbour)
	ref := o.ref(object)
	broken := func() bool { return o.get(ref).Object["data"].(fields)["a"] != "1" }
	breakIt := func() { o.patchBy("vandal", ref, matrix[2].value.patch) }

	began := time.Now()
	from := o.now(key)
	for i := range freeRepairs {
		breakIt()
		testutil.Eventually(t, soon, fmt.Sprintf("repair %d", i+1), func() (bool, string) { return !broken(), "" })
	}
	breakIt()
	r := o.await(key, from, "contested", func(r run) bool { return len(r.Contested) == 1 })
	if got := r.Contested[0]; got != (Contest{Ref: ref, Field: "data[a]", Manager: "vandal"}) {
		t.Errorf("contested is %+v", got)
	}
	if r.RequeueAfter <= 0 {
		t.Error("nothing says when to look again")
	}

	// The rest of the object and of the set do not wait.
	from = o.now(key)
	o.patch(ref, `[{"op":"replace","path":"/data/b","value":"x"},{"op":"add","path":"/data/more","value":"x"}]`)
	drift := o.drift(key, from)
	if len(drift.Changes) != 2 || drift.Latency > firstDelay {
		t.Errorf("drift is %+v, want data[b] and data[more]", drift)
	}
	from = o.now(key)
	o.patch(o.ref(neighbour), matrix[2].removed.patch)
	o.drift(key, from)
	if !broken() && time.Since(began) < firstDelay {
		t.Error("the contested field was repaired at once")
	}

	// Go on for a while: the writes are bounded.
	window, breaks := 3*firstDelay, 0
	for ; time.Since(began) < window; breaks++ {
		breakIt()
		kicked := o.now(key)
		o.kick(key)
		o.await(key, kicked, "a look", func(run) bool { return true })
	}
	writes := 0
	for _, r := range o.done(ref)[1:] {
		if strings.Contains(r.Body, `"a":"1"`) {
			writes++
		}
	}
	if limit := freeRepairs + 2; writes > limit || writes < freeRepairs {
		t.Errorf("%d writes to the contested field in %v, want at most %d", writes, window, limit)
	}
	if breaks < 2*freeRepairs {
		t.Errorf("the field was broken only %d times more", breaks)
	}
}
