// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// TestCrashAtEachRequest ends an operator at every request of a save, before and after it was carried out. The next one saves
// the same, and there is one release and its number is the first.
func TestCrashAtEachRequest(t *testing.T) {
	for _, at := range []struct{ method, kind string }{
		{http.MethodGet, "controllerrevisions"}, {http.MethodGet, "configmaps"}, {http.MethodPost, "controllerrevisions"},
		{http.MethodPost, "configmaps"}, {http.MethodPut, "configmaps"}, {http.MethodDelete, "controllerrevisions"},
	} {
		for name, fault := range map[string]testutil.Fault{
			"before": testutil.Refuse, "after": testutil.LoseAnswer, "busy": testutil.Answer(503, metav1.StatusReasonServiceUnavailable, 0),
		} {
			for _, restarts := range []bool{true, false} {
				t.Run(fmt.Sprint(at.method, " ", at.kind, " ", name, ", restarts ", restarts), func(t *testing.T) {
					w := newWorld(t)
					w.mesh.Spec.Upgrade.HistoryLimit = 1
					w.faults.Inject(1, match(at.method, at.kind), fault)
					steps := []rollout.Progress{
						w.installing(release("1.30.4", "a")), w.idle(release("1.30.4", "a")), w.installing(release("1.31.0", "b")), w.idle(release("1.31.0", "b")),
					}
					failures := 0
					for _, p := range steps {
						for {
							r, err := w.store.Save(t.Context(), w.mesh, p, all)
							if err == nil {
								if !reflect.DeepEqual(r.Progress, p) {
									t.Errorf("saved %+v as %+v", p, r.Progress)
								}
								break
							}
							if failures++; failures > 5 {
								t.Fatal(err)
							}
							if restarts {
								w.restart()
							}
						}
					}
					if w.faults.Left() != 0 || failures > 1 {
						t.Errorf("%d faults are left, and %d saves failed", w.faults.Left(), failures)
					}
					w.restart()
					r := w.load()
					w.expect(r, "2:1.31.0/b")
					if !reflect.DeepEqual(r.Progress, steps[3]) || len(w.revisions()) != 1 {
						t.Errorf("the record is %+v, with %d releases", r, len(w.revisions()))
					}
				})
			}
		}
	}
}

// TestReleaseBeforeProgress shows that a progress is never persisted before the release that it names.
func TestReleaseBeforeProgress(t *testing.T) {
	w := newWorld(t)
	w.faults.Inject(1, match(http.MethodPost, "controllerrevisions"), testutil.Answer(403, metav1.StatusReasonForbidden, 0))
	if _, err := w.store.Save(t.Context(), w.mesh, w.installing(release("1.31.0", "a")), all); err == nil {
		t.Error("saved though the release was refused")
	}
	w.restart()
	if r := w.load(); !reflect.DeepEqual(r, history.Record{}) {
		t.Errorf("the record is %+v", r)
	}
}

// TestEqualReleases shows that of two releases with the same content one counts, and the other goes unless a person named it.
func TestEqualReleases(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	w.save(p)
	first := w.revision(1)
	twin := func(name string, number int64) {
		w.create(&appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: first.Namespace, Name: name, OwnerReferences: first.OwnerReferences, Labels: first.Labels},
			Revision:   number, Data: runtime.RawExtension{Raw: first.Data.Raw},
		})
	}
	twin(strings.TrimSuffix(first.Name, "1")+"2", 2)
	twin("of-a-person", 1)
	w.restart()
	w.mesh.Spec.RollbackTo = 2
	w.expect(w.save(p), "2:1.31.0/a 1:1.31.0/a")
	w.mesh.Spec.RollbackTo = 0
	w.expect(w.save(p), "1:1.31.0/a")
	if left := len(w.revisions()); left != 2 {
		t.Errorf("%d ControllerRevisions are left, want the first, and that of a person", left)
	}
	w.asked()
	w.save(p)
	w.expectAsked("")
}

// TestEditsAreNoticed shows that a progress that somebody edited is not overwritten: what was decided is decided anew.
func TestEditsAreNoticed(t *testing.T) {
	w := newWorld(t)
	p := w.installing(release("1.31.0", "a"))
	w.save(p)
	edited := w.configMap()
	edited.Labels["theirs"] = "stays"
	edited.Data["progress"] = strings.Replace(edited.Data["progress"], `"round": 1`, `"round":7`, 1)
	w.update(edited)
	if _, err := w.store.Save(t.Context(), w.mesh, w.idle(release("1.31.0", "a")), all); !errors.Is(err, history.ErrConflict) {
		t.Errorf("saved over it: %v", err)
	}
	got := w.load().Progress
	if got.Round != 7 {
		t.Errorf("the edit was not read: %+v", got)
	}
	w.asked()
	w.save(got)
	w.expectAsked("")
	got.Round++
	w.save(got)
	if w.configMap().Labels["theirs"] != "stays" {
		t.Error("a label of somebody else is gone")
	}
	w.restart()
	if again := w.load().Progress; !reflect.DeepEqual(again, got) {
		t.Errorf("got %+v, want %+v", again, got)
	}
}

// TestTwoWriters shows that of two operators that both believe to be the only one, one is told.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t)
	first := w.store
	w.save(w.idle(release("1.30.4", "a")))
	w.restart()
	w.load()
	w.save(w.installing(release("1.31.0", "a")))
	if _, err := first.Save(t.Context(), w.mesh, w.installing(release("1.31.0", "b")), all); !errors.Is(err, history.ErrConflict) {
		t.Errorf("the other one writes, too: %v", err)
	}
	if r, err := first.Load(t.Context(), w.mesh); err != nil || r.Progress.Target.Source != source("a") {
		t.Errorf("and reads %+v, %v", r, err)
	}
}

// TestNothingIsEmptied shows that a progress is not replaced by nothing.
func TestNothingIsEmptied(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	w.save(p)
	if _, err := w.store.Save(t.Context(), w.mesh, rollout.Progress{}, all); err == nil {
		t.Error("it is")
	}
	if got := w.load().Progress; !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v", got)
	}
}

// TestDeletedObjectsReturn shows that what a person deletes is written again as it was, as far as it is needed.
func TestDeletedObjectsReturn(t *testing.T) {
	for name, test := range map[string]struct {
		remove func(w *world)
		next   string
		want   string
	}{
		"the ConfigMap":                    {func(w *world) { w.delete(w.configMap()) }, "b", "2:1.31.0/b! 1:1.30.4/a"},
		"the release that is good":         {func(w *world) { w.delete(w.revision(1)) }, "c", "3:1.31.0/c 2:1.31.0/b! 1:1.30.4/a"},
		"a release that is not needed":     {func(w *world) { w.delete(w.revision(2)) }, "c", "3:1.31.0/c 1:1.30.4/a"},
		"all, and a new release":           {func(w *world) { w.delete(w.configMap()); w.delete(w.revision(1)); w.delete(w.revision(2)) }, "c", "3:1.31.0/c 1:1.30.4/a"},
		"all, and one that was":            {func(w *world) { w.delete(w.configMap()); w.delete(w.revision(1)); w.delete(w.revision(2)) }, "b", "2:1.31.0/b! 1:1.30.4/a"},
		"the owner, as far as it is known": {func(w *world) { r := w.revision(1); r.OwnerReferences = nil; w.update(r) }, "c", "4:1.31.0/c 3:1.30.4/a 2:1.31.0/b!"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			good, bad := release("1.30.4", "a"), release("1.31.0", "b")
			w.save(w.idle(good))
			p := w.idle(good)
			p.Phase, p.Target, p.Failure = rollout.RollingBack, good, &rollout.Failure{Release: bad, Attempt: "x", At: w.now}
			p.Kept = []rollout.Kept{{Release: bad}}
			w.save(p)
			p.Kept, p.Failure = nil, nil
			w.save(p)
			since := w.load().Entries[1].Since
			test.remove(w)
			// What was before is not asked for, so a failure that is known is only of what is there.
			p.Phase, p.Target = rollout.Installing, release("1.31.0", test.next)
			if test.next == "b" {
				p.Failure, p.Phase = &rollout.Failure{Release: bad, At: w.now}, rollout.Held
			}
			saved := w.save(p)
			for _, r := range []history.Record{saved, (func() history.Record { w.restart(); return w.load() })()} {
				if got := numbers(r); got != test.want {
					t.Errorf("the history is %q, want %q", got, test.want)
				}
				if !reflect.DeepEqual(r.Progress, p) {
					t.Errorf("the progress is %+v, want %+v", r.Progress, p)
				}
				if e, ok := r.Find(1); ok && !e.Since.Equal(since) {
					t.Errorf("in force since %v, want %v", e.Since, since)
				}
			}
		})
	}
}

// TestDeletedWhileNobodyLooked shows that an operator that finds a release gone writes it again if the spec still has it.
func TestDeletedWhileNobodyLooked(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	p.Good = release("1.30.4", "b")
	w.save(p)
	w.delete(w.revision(1))
	w.delete(w.revision(2))
	w.restart()
	r, err := w.store.Save(t.Context(), w.mesh, p, func(s string) (history.Settings, bool) { return bySource[s], s == source("a") })
	if err != nil {
		t.Fatal(err)
	}
	w.expect(r, "3:1.31.0/a")
}

// TestUnreadableRecords shows that what cannot be read is not taken for a new mesh, that the error names the object and the way
// out and shows nothing of it, and that the way out is one.
func TestUnreadableRecords(t *testing.T) {
	const secret = "hunter2"
	for name, data := range map[string]map[string]string{
		"no progress":        {"releases": `{"last":1}`},
		"an empty progress":  {"progress": ``, "releases": `{"last":1}`},
		"nothing in it":      {"progress": `{}`, "releases": `{"last":1}`},
		"null":               {"progress": `null`, "releases": `{"last":1}`},
		"no JSON":            {"progress": secret, "releases": `{"last":1}`},
		"half of it":         {"progress": `{"phase":"Idle","target":{"version":"` + secret, "releases": `{"last":1}`},
		"two of it":          {"progress": `{"phase":"Idle","target":{"version":"1"}}{}`, "releases": `{"last":1}`},
		"a field misspelled": {"progress": `{"phase":"Idle","target":{"version":"1"},"` + secret + `":1}`, "releases": `{"last":1}`},
		"no phase":           {"progress": `{"target":{"version":"1.31.0"}}`, "releases": `{"last":1}`},
		"an unknown phase":   {"progress": `{"phase":"` + secret + `","target":{"version":"1.31.0"}}`, "releases": `{"last":1}`},
		"no target":          {"progress": `{"phase":"Idle"}`, "releases": `{"last":1}`},
		"a wrong time":       {"progress": `{"phase":"Idle","target":{"version":"1"},"startedAt":"` + secret + `"}`, "releases": `{"last":1}`},
		"no releases":        {"progress": `{"phase":"Idle","target":{"version":"1"}}`},
		"broken releases":    {"progress": `{"phase":"Idle","target":{"version":"1"}}`, "releases": `{"last":"` + secret + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.idle(release("1.31.0", "a"))
			w.save(p)
			object := w.configMap()
			good := object.Data
			object.Data = data
			w.update(object)
			w.restart()
			_, err := w.store.Load(t.Context(), w.mesh)
			var stuck *history.Stuck
			if !errors.As(err, &stuck) || !strings.Contains(stuck.Message, "ConfigMap "+object.Namespace+"/"+object.Name) || !strings.Contains(stuck.Message, "delete the ConfigMap") {
				t.Fatalf("the error is %v", err)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("it shows what it read: %v", err)
			}
			if _, again := w.store.Save(t.Context(), w.mesh, p, all); again == nil || again.Error() != err.Error() {
				t.Errorf("to save gives %v", again)
			}
			object = w.configMap()
			if !reflect.DeepEqual(object.Data, data) {
				t.Error("it was overwritten")
			}
			object.Data = good
			w.update(object)
			if got := w.load().Progress; !reflect.DeepEqual(got, p) {
				t.Errorf("corrected, it is %+v", got)
			}
			w.delete(object)
			w.restart()
			if got := w.load(); !reflect.DeepEqual(got.Progress, rollout.Progress{}) || len(got.Entries) != 1 {
				t.Errorf("deleted, it is %+v", got)
			}
		})
	}
}

// TestUnreadableRelease is the same for a release.
func TestUnreadableRelease(t *testing.T) {
	for name, data := range map[string]string{
		"values that are none": `{"version":"1.31.0","source":"a","settings":{"values":"hunter2"}}`,
		"a newer form":         `{"version":"1.31.0","source":"a","settings":{},"hunter2":1}`,
		"no version":           `{"source":"a","settings":{}}`,
		"no source":            `{"version":"1.31.0","settings":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.idle(release("1.31.0", "a"))
			w.save(p)
			first := w.revision(1)
			object := &appsv1.ControllerRevision{
				ObjectMeta: metav1.ObjectMeta{Namespace: first.Namespace, Name: first.Name + "0", OwnerReferences: first.OwnerReferences},
				Revision:   10, Data: runtime.RawExtension{Raw: []byte(data)},
			}
			w.create(object)
			w.restart()
			_, err := w.store.Load(t.Context(), w.mesh)
			var stuck *history.Stuck
			if !errors.As(err, &stuck) || !strings.Contains(stuck.Message, "ControllerRevision "+object.Namespace+"/"+object.Name) || strings.Contains(stuck.Message, "hunter2") {
				t.Fatalf("the error is %v", err)
			}
			w.delete(object)
			w.expect(w.load(), "1:1.31.0/a")
		})
	}
}

// TestNamesOfOthers shows that nobody's objects are overwritten.
func TestNamesOfOthers(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	w.save(p)
	configMap, revision := w.configMap().Name, w.revision(1).Name
	w.delete(w.configMap())
	w.delete(w.revision(1))
	w.create(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: w.mesh.Name, Name: revision}, Revision: 1, Data: runtime.RawExtension{Raw: []byte(`{}`)}})
	w.restart()
	w.expect(w.save(p), "2:1.31.0/a")
	w.delete(w.configMap())
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.mesh.Name, Name: configMap}, Data: map[string]string{"a": "b"}}
	w.create(theirs)
	p.Round++
	if _, err := w.store.Save(t.Context(), w.mesh, p, all); !errors.Is(err, history.ErrConflict) {
		t.Errorf("saved: %v", err)
	}
	var stuck *history.Stuck
	if _, err := w.store.Load(t.Context(), w.mesh); !errors.As(err, &stuck) || !strings.Contains(stuck.Message, configMap) {
		t.Errorf("loaded: %v", err)
	}
	w.delete(theirs)
	w.expect(w.save(p), "2:1.31.0/a")
}

// TestManyAtOnce has several workers at the same and at other meshes.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.idle(release("1.31.0", "a"))
	var group sync.WaitGroup
	for i := range 8 {
		mesh := w.mesh.DeepCopy()
		if i%2 == 0 {
			mesh.UID += "other"
			mesh.Name += fmt.Sprint(i)
		}
		group.Go(func() {
			for range 5 {
				if r, err := w.store.Save(t.Context(), mesh, p, all); err != nil || len(r.Entries) != 1 {
					t.Errorf("%s: %v, %v", mesh.Name, numbers(r), err)
				}
				if _, err := w.store.Load(t.Context(), mesh); err != nil {
					t.Error(err)
				}
			}
			w.store.Forget(mesh.Name)
		})
	}
	group.Wait()
}
