// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What drifted is repaired before the rest of the set is looked at.
func TestUrgentFirst(t *testing.T) {
	e := &Engine{scheme: scheme.Scheme, entries: map[Ref]*entry{}, bySet: map[string]map[Ref]struct{}{}}
	var objects []client.Object
	for _, name := range []string{"new", "whole", "drifted", "rest", "deleted"} {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		objects = append(objects, object)
		ref, err := e.ref(object)
		if err != nil {
			t.Fatal(err)
		}
		if name == "new" {
			continue
		}
		known := e.entry("lb/shop/x", ref)
		live := &Object{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", ResourceVersion: "1"}, content: []byte(`{"data":{"a":"1"}}`)}
		if err := known.learn("hash", live, fields{"data": fields{"a": "1"}}); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "drifted":
			known.observe(&Object{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", ResourceVersion: "2"}, content: []byte(`{"data":{"a":"2"}}`)}, false)
		case "deleted":
			known.observe(live, true)
		default:
			known.observe(live, false)
		}
	}
	var got []string
	for _, object := range e.urgentFirst(objects) {
		got = append(got, object.GetName())
	}
	if want := []string{"drifted", "deleted", "new", "whole", "rest"}; !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

// Only what is the expected state to the last byte, of the very object and of what is rendered now, needs no look.
func TestAsExpected(t *testing.T) {
	content := []byte(`{"data":{"a":"1"}}`)
	live := &Object{ObjectMeta: metav1.ObjectMeta{UID: "1", ResourceVersion: "1"}, content: content}
	for name, c := range map[string]struct {
		change func(known *entry, live *Object, want *rendered)
		want   bool
	}{
		"at rest":        {func(*entry, *Object, *rendered) {}, true},
		"other content":  {func(_ *entry, live *Object, _ *rendered) { live.content = []byte(`{"data":{"a":"2"}}`) }, false},
		"another object": {func(_ *entry, live *Object, _ *rendered) { live.UID = "2" }, false},
		"new rendering":  {func(_ *entry, _ *Object, want *rendered) { want.hash = "next" }, false},
		"refused":        {func(known *entry, _ *Object, _ *rendered) { known.refuse("hash", "no") }, false},
		"given up":       {func(known *entry, _ *Object, _ *rendered) { known.unlearn() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			known, found, want := &entry{}, *live, rendered{hash: "hash"}
			if err := known.learn("hash", live, fields{"data": fields{"a": "1"}}); err != nil {
				t.Fatal(err)
			}
			c.change(known, &found, &want)
			j := job{entry: known, want: want}
			if got := j.asExpected(&found); got != c.want {
				t.Errorf("asExpected is %t, want %t", got, c.want)
			}
		})
	}
}
