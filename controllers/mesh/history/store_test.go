// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// TestRecordOutlivesTheOperator shows that what was saved is read by the next operator as it was, to the nanosecond, and
// that nothing is asked or written without a need.
func TestRecordOutlivesTheOperator(t *testing.T) {
	w := newWorld(t)
	if got := w.load(); !reflect.DeepEqual(got, history.Record{}) {
		t.Errorf("a new mesh has the record %v", got)
	}
	w.expectAsked("GET controllerrevisions, GET configmaps")
	w.save(rollout.Progress{})
	w.expectAsked("")
	p := w.installing(release("1.31.0", "a"))
	saved := w.save(p)
	w.expectAsked("GET controllerrevisions, POST controllerrevisions, POST configmaps")
	w.expect(saved, "1:1.31.0/a")
	w.save(p)
	w.load()
	w.expectAsked("")

	w.restart()
	loaded := w.load()
	w.expectAsked("GET controllerrevisions, GET configmaps")
	if !reflect.DeepEqual(loaded.Progress, p) {
		t.Errorf("got  %+v\nwant %+v", loaded.Progress, p)
	}
	w.expect(loaded, "1:1.31.0/a")
	if got := loaded.Entries[0].Settings; got.Source() != source("a") || got.Profile != v1alpha1.ProfileDefault {
		t.Errorf("the settings became %s of profile %s", got, got.Profile)
	}
	w.save(p)
	w.expectAsked("")
	p.Left = 3
	w.save(p)
	w.expectAsked("PUT configmaps")
}

// TestRecordIsACopy shows that a caller cannot change what is remembered.
func TestRecordIsACopy(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	p.Kept = []rollout.Kept{{Release: release("1.30.4", "a")}}
	p.Failure = &rollout.Failure{Message: "right"}
	r := w.save(p)
	r.Progress.Kept[0].Version, r.Progress.Failure.Message, r.Entries[0].Version = "wrong", "wrong", "wrong"
	r = w.load()
	if r.Progress.Kept[0].Version != "1.30.4" || r.Progress.Failure.Message != "right" || r.Entries[0].Version != "1.31.0" {
		t.Errorf("it is changed: %+v", r)
	}
}

// TestWhatBecameOfReleases follows an upgrade that fails, and is tried again.
func TestWhatBecameOfReleases(t *testing.T) {
	w := newWorld(t)
	old, next := release("1.30.4", "a"), release("1.31.0", "a")
	since := func(r history.Record, number int64) time.Time {
		e, _ := r.Find(number)
		return e.Since
	}
	r := w.save(w.installing(old))
	if made := w.revision(1).CreationTimestamp.Time; !since(r, 1).Equal(made) {
		t.Errorf("what was never in force is since %v, and was made at %v", since(r, 1), made)
	}
	r = w.save(w.idle(old))
	inForce := w.now
	if !since(r, 1).Equal(inForce) {
		t.Errorf("in force since %v, want %v", since(r, 1), inForce)
	}
	w.now = w.now.Add(time.Hour)
	p := w.idle(old)
	p.Phase, p.Target = rollout.Installing, next
	w.expect(w.save(p), "2:1.31.0/a 1:1.30.4/a")
	failure := &rollout.Failure{Release: next, Attempt: "x", Message: "late", At: w.now}
	p.Phase, p.Target, p.Failure, p.Kept = rollout.RollingBack, old, failure, []rollout.Kept{{Release: next}}
	w.expect(w.save(p), "2:1.31.0/a! 1:1.30.4/a")
	// The spec changes, and the failure is no longer in its way, but not tried again either.
	p.Phase, p.Failure, p.Kept = rollout.Idle, nil, nil
	r = w.save(p)
	w.expect(r, "2:1.31.0/a! 1:1.30.4/a")
	if !since(r, 1).Equal(inForce) {
		t.Errorf("in force since %v, though it never was out of force", since(r, 1))
	}
	w.restart()
	w.expect(w.load(), "2:1.31.0/a! 1:1.30.4/a")
	p.Phase, p.Target = rollout.Installing, next
	w.expect(w.save(p), "2:1.31.0/a 1:1.30.4/a")
	w.save(w.idle(next))
	w.now = w.now.Add(time.Hour)
	r = w.save(w.idle(old))
	w.expect(r, "2:1.31.0/a 1:1.30.4/a")
	if !since(r, 1).Equal(w.now) {
		t.Errorf("in force again since %v, want %v", since(r, 1), w.now)
	}
	w.restart()
	if got := w.load(); !since(got, 1).Equal(w.now) || since(got, 1).Nanosecond() != 123456789 {
		t.Errorf("the next operator reads %v", since(got, 1))
	}
}

// TestReleasesAreNumbered shows that each version with its settings is one release, and what was found is none.
func TestReleasesAreNumbered(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "b"))
	p.Kept = []rollout.Kept{{Release: release("1.30.4", "a")}, {Release: rollout.Release{Revision: "found", Version: "1.28.3"}}}
	p.Good = release("1.31.0", "a")
	r := w.save(p)
	w.expect(r, "3:1.31.0/b 2:1.31.0/a 1:1.30.4/a")
	for _, e := range r.Entries {
		if e.Settings.Source() != e.Source {
			t.Errorf("%d has the settings of another source", e.Number)
		}
	}
	w.expect(w.save(w.idle(release("1.30.4", "a"))), "3:1.31.0/b 2:1.31.0/a 1:1.30.4/a")
	for _, object := range w.revisions() {
		if owner := metav1.GetControllerOf(&object); owner == nil || owner.UID != w.mesh.UID || owner.BlockOwnerDeletion != nil || object.Labels[history.Label] != w.mesh.Name {
			t.Errorf("%s has owner %v and labels %v", object.Name, owner, object.Labels)
		}
		if _, ours := object.Labels[v1alpha1.LabelManagedBy]; ours {
			t.Errorf("%s would be taken for an object of a set", object.Name)
		}
	}
}

// TestHistoryIsBounded shows that the oldest releases go, but for those that are needed, and that no number comes twice.
func TestHistoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.mesh.Spec.Upgrade.HistoryLimit = 2
	w.save(w.idle(release("1.27.0", "a")))
	w.save(w.idle(release("1.28.3", "a")))
	w.mesh.Spec.RollbackTo = 1
	w.expect(w.save(w.idle(release("1.30.4", "a"))), "3:1.30.4/a 1:1.27.0/a")
	w.mesh.Spec.RollbackTo = 0
	p := w.idle(release("1.31.0", "a"))
	p.Good, p.Failure = release("1.30.4", "a"), &rollout.Failure{Release: release("1.27.0", "a")}
	w.expect(w.save(p), "4:1.31.0/a 3:1.30.4/a 1:1.27.0/a!")
	p.Failure = nil
	w.expect(w.save(p), "4:1.31.0/a 3:1.30.4/a")
	w.asked()
	w.mesh.Spec.Upgrade.HistoryLimit = 1
	w.save(p)
	w.expectAsked("")
	w.expect(w.save(w.idle(release("1.30.4", "a"))), "3:1.30.4/a")
	w.restart()
	w.expect(w.load(), "3:1.30.4/a")
	if left := w.revisions(); len(left) != 1 {
		t.Errorf("%d are left", len(left))
	}
	w.mesh.Spec.Upgrade.HistoryLimit = 10
	w.expect(w.save(w.idle(release("1.31.0", "b"))), "5:1.31.0/b 3:1.30.4/a")
}

// TestUnknownSettings shows that a release whose settings nobody knows keeps no other from being written, and asks for nothing.
func TestUnknownSettings(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "b"))
	p.Good.Source = "lost"
	w.expect(w.save(p), "1:1.31.0/b")
	w.asked()
	w.save(p)
	w.expectAsked("")
	if _, err := w.store.Save(t.Context(), w.mesh, p, nil); err != nil {
		t.Error(err)
	}
}

// TestNamespaceComesLater shows that a mesh whose namespace is not there yet has an empty record, and that what could not be
// saved is saved later.
func TestNamespaceComesLater(t *testing.T) {
	w := newWorld(t)
	w.mesh = w.newMesh(w.mesh.Name + "-later")
	if got := w.load(); !reflect.DeepEqual(got, history.Record{}) {
		t.Errorf("the record is %v", got)
	}
	p := w.installing(release("1.31.0", "a"))
	if _, err := w.store.Save(t.Context(), w.mesh, p, all); !apierrors.IsNotFound(err) {
		t.Errorf("saved without a namespace: %v", err)
	}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.mesh.Name}})
	w.expect(w.save(p), "1:1.31.0/a")
}

// TestMeshMadeAnew shows that a mesh knows nothing of an earlier one of its name, whose objects go when they are collected.
func TestMeshMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.save(w.idle(release("1.30.4", "a")))
	orphans := append([]client.Object{w.configMap()}, w.revision(1))
	w.delete(w.mesh)
	w.mesh = w.newMesh(w.mesh.Name)
	if got := w.load(); !reflect.DeepEqual(got, history.Record{}) {
		t.Errorf("the new mesh has the record %v", got)
	}
	p := w.installing(release("1.31.0", "b"))
	w.expect(w.save(p), "1:1.31.0/b")
	for _, object := range orphans {
		testutil.Eventually(t, soon, object.GetName()+" is collected", func() (bool, string) {
			err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)
			return apierrors.IsNotFound(err), "it is there"
		})
	}
	w.restart()
	got := w.load()
	w.expect(got, "1:1.31.0/b")
	if !reflect.DeepEqual(got.Progress, p) {
		t.Errorf("the progress of the new mesh became %+v", got.Progress)
	}
	w.store.Forget(w.mesh.Name)
	w.asked()
	w.load()
	w.expectAsked("GET controllerrevisions, GET configmaps")
}

// TestLargeSettings shows that as much as is accepted fits, and more is refused before anything is written.
func TestLargeSettings(t *testing.T) {
	w := newWorld(t)
	for size, fits := range map[int]bool{1<<20 - 1000: true, 1<<20 + 1: false} {
		s := history.Settings{Values: values(`{"a":"` + strings.Repeat("<", size) + `"}`)}
		p := w.installing(rollout.Release{Revision: "r", Version: "1.31.0", Source: s.Source()})
		w.asked()
		r, err := w.store.Save(t.Context(), w.mesh, p, func(string) (history.Settings, bool) { return s, true })
		var stuck *history.Stuck
		switch {
		case fits && err != nil:
			t.Errorf("%d bytes: %v", size, err)
		case fits:
			w.restart()
			if got, ok := (func() (history.Settings, bool) { r := w.load(); return r.Settings(s.Source()) })(); !ok || got.Source() != s.Source() {
				t.Errorf("%d bytes came back as others: %v", size, r)
			}
		case !errors.As(err, &stuck) || !strings.Contains(err.Error(), "shorten spec.values") || len(err.Error()) > 300:
			t.Errorf("%d bytes: %.300v", size, err)
		case strings.Contains(w.asked(), "POST"):
			t.Errorf("%d bytes: something was written", size)
		}
	}
}
