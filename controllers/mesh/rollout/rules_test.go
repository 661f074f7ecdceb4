// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

var (
	noon  = time.Date(2026, 11, 4, 12, 0, 0, 0, time.UTC)
	older = rollout.Release{Revision: "m-1-30-0", Version: "1.30.0", Source: "m-1"}
	newer = rollout.Release{Revision: "m-1-31-0", Version: "1.31.0", Source: "m-1"}
)

// rests is a mesh of 1.30.0 at rest with a namespace for each name, each with one healthy workload.
func rests(namespaces ...string) rollout.State {
	s := rollout.State{
		Now: noon, Up: noon.Add(-time.Hour),
		Spec: rollout.Spec{
			Mesh: "m", Version: "1.30.0", Resolved: "1.30.0", Available: []string{"1.27.0", "1.28.3", "1.30.0", "1.31.0"}, Source: "m-1",
			Strategy: rollout.Canary, Automatic: rollout.AutomaticPatch, OnFailure: rollout.FailureRollback,
			ProgressDeadline: 10 * time.Minute, BatchSize: 1, RestartWorkloads: true,
		},
		Revisions: []rollout.Revision{fit(older)},
		Proxies:   map[string]int{}, Budgets: map[string]int{},
		Progress: rollout.Progress{
			Phase: rollout.Idle, Target: older, Good: older, Asked: "1.30.0", GoodAsked: "1.30.0",
			StartedAt: noon.Add(-time.Hour), ProgressedAt: noon.Add(-time.Hour),
		},
	}
	for _, name := range namespaces {
		s.Namespaces = append(s.Namespaces, rollout.Namespace{
			Name: name, Member: true, Revision: older.Revision, Workloads: []rollout.Workload{app(older)},
		})
		s.Proxies[older.Revision] += 2
	}
	return s
}

func app(release rollout.Release) rollout.Workload {
	return rollout.Workload{
		Kind: rollout.Deployment, Name: "app", Replicas: 2, Ready: 2, RolledOut: true, Disrupts: 1, Proxies: proxies(release),
	}
}

func proxies(release rollout.Release) map[rollout.Proxy]int {
	return map[rollout.Proxy]int{{Revision: release.Revision, Version: release.Version}: 2}
}

func fit(release rollout.Release) rollout.Revision {
	return rollout.Revision{Release: release, RolledOut: true, CABundle: true, Answers: true, Injects: true}
}

// moving is rests on its way to 1.31.0, whose istiod is fit.
func moving(namespaces ...string) rollout.State {
	s := rests(namespaces...)
	s.Spec.Version, s.Spec.Resolved = "1.31.0", "1.31.0"
	s.Revisions = append(s.Revisions, fit(newer))
	s.Progress.Phase, s.Progress.Target, s.Progress.Asked = rollout.Moving, newer, "1.31.0"
	s.Progress.StartedAt, s.Progress.ProgressedAt = noon.Add(-time.Minute), noon.Add(-time.Minute)
	s.Progress.Left = len(namespaces)
	return s
}

func moved(d rollout.Decision) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		if d.Labels[name] == newer.Revision {
			out = append(out, name)
		}
	}
	return out
}

func restarted(d rollout.Decision) []string {
	var out []string
	for _, r := range d.Restart {
		out = append(out, r.Namespace+" for "+r.Cause)
	}
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is\n%+v, not\n%+v", what, got, want)
	}
}

func TestRestIsRest(t *testing.T) {
	s := rests("a", "b")
	d := rollout.Decide(s)
	same(t, "progress", d.Progress, s.Progress)
	same(t, "installed", d.Install, []rollout.Release{older})
	same(t, "labels", d.Labels, map[string]string{"a": older.Revision, "b": older.Revision})
	if len(d.Restart)+len(d.Remove)+len(d.Waiting) > 0 || d.LookAgain != 0 || d.Current != older.Revision {
		t.Errorf("rest is %+v", d)
	}
	same(t, "ready", d.Ready, rollout.Verdict{Status: "True", Reason: "InForce", Message: "Istio 1.30.0 runs"})
}

// TestCutOver: no namespace moves before everything says that the new istiod injects.
func TestCutOver(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*rollout.Revision)
		moves bool
	}{
		"fit":                 {func(*rollout.Revision) {}, true},
		"not rolled out":      {func(r *rollout.Revision) { r.RolledOut = false }, false},
		"no caBundle":         {func(r *rollout.Revision) { r.CABundle = false }, false},
		"no answer":           {func(r *rollout.Revision) { r.Answers = false }, false},
		"does not inject":     {func(r *rollout.Revision) { r.Injects = false }, false},
		"other settings":      {func(r *rollout.Revision) { r.Source = "m-0" }, false},
		"of an earlier spec":  {func(r *rollout.Revision) { r.Version = "1.30.9" }, false},
		"not there":           {func(r *rollout.Revision) { r.Release = rollout.Release{Revision: "m-9-9-9"} }, false},
		"of somebody else":    {func(r *rollout.Revision) { r.Source = "" }, false},
		"nothing is right":    {func(r *rollout.Revision) { *r = rollout.Revision{Release: newer} }, false},
		"only half of it":     {func(r *rollout.Revision) { r.RolledOut, r.Injects = false, false }, false},
		"all but the webhook": {func(r *rollout.Revision) { r.CABundle, r.Answers, r.Injects = false, false, false }, false},
	} {
		for _, phase := range []rollout.Phase{rollout.Installing, rollout.Moving} {
			s := moving("a", "b")
			s.Progress.Phase = phase
			tc.spoil(&s.Revisions[1])
			d := rollout.Decide(s)
			if got := len(moved(d)) > 0; got != tc.moves {
				t.Errorf("%s, %s: moves is %v", name, phase, got)
			}
			if !slices.Contains(d.Install, older) || !slices.Contains(d.Install, newer) || len(d.Restart) > 0 {
				t.Errorf("%s, %s: %+v", name, phase, d)
			}
		}
	}
}

// TestBatches: the next namespaces move when those before are healthy, and their workloads restart after their label.
func TestBatches(t *testing.T) {
	at := func(s *rollout.State, i int, w rollout.Workload) {
		s.Namespaces[i].Revision, s.Namespaces[i].Workloads = newer.Revision, []rollout.Workload{w}
	}
	restarting, done := app(older), app(newer)
	restarting.Cause, restarting.RestartedAt, restarting.RolledOut, restarting.Ready = "m-1-31-0@1.31.0#0", noon.Add(-time.Minute), false, 1
	done.Cause, done.RestartedAt = restarting.Cause, restarting.RestartedAt
	for name, tc := range map[string]struct {
		change    func(*rollout.State)
		moved     []string
		restarted []string
	}{
		"the first":            {func(*rollout.State) {}, []string{"a"}, nil},
		"the first two":        {func(s *rollout.State) { s.Spec.BatchSize = 2 }, []string{"a", "b"}, nil},
		"labelled":             {func(s *rollout.State) { at(s, 0, app(older)) }, []string{"a"}, []string{"a for m-1-31-0@1.31.0#0"}},
		"restarting":           {func(s *rollout.State) { at(s, 0, restarting) }, []string{"a"}, nil},
		"healthy":              {func(s *rollout.State) { at(s, 0, done) }, []string{"a", "b"}, nil},
		"no restarts":          {func(s *rollout.State) { at(s, 0, app(older)); s.Spec.RestartWorkloads = false }, []string{"a", "b"}, nil},
		"nothing runs there":   {func(s *rollout.State) { s.Namespaces[0].Workloads = nil }, []string{"a", "b"}, nil},
		"a newcomer":           {func(s *rollout.State) { s.Namespaces[2].Revision = "" }, []string{"a", "c"}, nil},
		"a label just written": {func(s *rollout.State) { at(s, 0, app(older)); s.Namespaces[0].LabelledAt = noon }, []string{"a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := moving("a", "b", "c")
			tc.change(&s)
			d := rollout.Decide(s)
			same(t, "moved", moved(d), tc.moved)
			same(t, "restarted", restarted(d), tc.restarted)
		})
	}
}

// TestWaiting: who does not restart is listed with the reason.
func TestWaiting(t *testing.T) {
	for why, change := range map[string]func(*rollout.State, *rollout.Workload){
		"members.restartWorkloads is off":                                          func(s *rollout.State, _ *rollout.Workload) { s.Spec.RestartWorkloads = false },
		"a Job is not restarted":                                                   func(_ *rollout.State, w *rollout.Workload) { w.Kind = "Job" },
		"a Pod is not restarted":                                                   func(_ *rollout.State, w *rollout.Workload) { w.Kind = "Pod" },
		"it is paused":                                                             func(_ *rollout.State, w *rollout.Workload) { w.Untouchable = "it is paused" },
		"it restarted for this and came back the same":                             func(_ *rollout.State, w *rollout.Workload) { w.Cause = "m-1-30-0@1.30.0#0" },
		"somebody took its last restart out of its pod template again":             func(s *rollout.State, w *rollout.Workload) { w.RestartedAt = s.Now.Add(-time.Minute) },
		"it was not healthy before a restart":                                      func(_ *rollout.State, w *rollout.Workload) { w.Ready = 1 },
		"istio-injection=enabled of its namespace keeps the proxy away":            func(s *rollout.State, _ *rollout.Workload) { s.Namespaces[0].Contradiction = "istio-injection=enabled" },
		"PodDisruptionBudget a/b allows too few disruptions":                       func(s *rollout.State, w *rollout.Workload) { s.Budgets["a/b"], w.Budgets = 0, []string{"a/b"} },
		"its istiod or its label is not ready for it":                              func(s *rollout.State, _ *rollout.Workload) { s.Revisions[0].Answers = false },
		"PodDisruptionBudget a/b is for another workload that is being rolled out": rolling("a/b"),
		"":                           func(*rollout.State, *rollout.Workload) {},
		" with a budget of another":  rollingElsewhere,
		" with a budget that allows": func(s *rollout.State, w *rollout.Workload) { s.Budgets["a/b"], w.Budgets = 1, []string{"a/b"} },
		" by surge alone": func(s *rollout.State, w *rollout.Workload) {
			s.Budgets["a/b"], w.Budgets, w.Disrupts = 0, []string{"a/b"}, 0
		},
	} {
		s := rests("a")
		w := &s.Namespaces[0].Workloads[0]
		w.Proxies = map[rollout.Proxy]int{{}: 2}
		change(&s, w)
		d := rollout.Decide(s)
		if why == "" || strings.HasPrefix(why, " ") {
			same(t, "restarted"+why, restarted(d), []string{"a for m-1-30-0@1.30.0#0"})
			continue
		}
		if len(d.Restart) > 0 || len(d.Waiting) != 1 || d.Waiting[0].Why != why {
			t.Errorf("%s: restarts %v, waits %v", why, d.Restart, d.Waiting)
		}
	}
}

func rolling(budget string) func(*rollout.State, *rollout.Workload) {
	return func(s *rollout.State, w *rollout.Workload) {
		s.Budgets[budget], w.Budgets = 1, []string{budget}
		other := app(older)
		other.Name, other.RolledOut, other.Budgets = "other", false, []string{budget}
		s.Namespaces[0].Workloads = append(s.Namespaces[0].Workloads, other)
	}
}

func rollingElsewhere(s *rollout.State, w *rollout.Workload) {
	rolling("a/other")(s, w)
	s.Budgets["a/b"], s.Namespaces[0].Workloads[0].Budgets = 1, []string{"a/b"}
}

// TestOneOfABudget: what shares a budget does not restart together.
func TestOneOfABudget(t *testing.T) {
	s := rests("a")
	s.Budgets["a/b"] = 1
	one := app(rollout.Release{})
	one.Budgets = []string{"a/b"}
	two := one
	two.Name = "too"
	s.Namespaces[0].Workloads = []rollout.Workload{one, two}
	if d := rollout.Decide(s); len(d.Restart) != 1 || len(d.Waiting) != 1 {
		t.Errorf("restarts %v, waits %v", d.Restart, d.Waiting)
	}
}

// TestDeadline: one way back, and then the same spec is not tried again.
func TestDeadline(t *testing.T) {
	stuck := func() rollout.State {
		s := moving("a", "b")
		s.Progress.Phase, s.Progress.Left, s.Progress.Low = rollout.Installing, 0, 1
		s.Revisions[1].RolledOut = false
		s.Progress.ProgressedAt = noon.Add(-10 * time.Minute)
		return s
	}
	s := stuck()
	s.Now = noon.Add(-time.Second)
	if d := rollout.Decide(s); d.Progress.Phase != rollout.Installing || d.LookAgain != time.Second {
		t.Errorf("a second before: %s, looks again after %s", d.Progress.Phase, d.LookAgain)
	}
	s = stuck()
	s.Up = noon.Add(-10 * time.Second)
	if d := rollout.Decide(s); d.Progress.Phase != rollout.Installing || d.LookAgain != 50*time.Second {
		t.Errorf("just up: %s, looks again after %s", d.Progress.Phase, d.LookAgain)
	}
	s = stuck()
	d := rollout.Decide(s)
	same(t, "where it goes", d.Progress.Target, older)
	same(t, "stalled", d.Stalled, rollout.Verdict{Status: "True", Reason: "RolledBack",
		Message: "Istio 1.31.0 (revision m-1-31-0): its istiod is not rolled out; 1.30.0 runs until the spec changes"})
	s.Progress = d.Progress
	s.Revisions[1] = fit(newer)
	s.Now = noon.Add(time.Hour)
	if d := rollout.Decide(s); d.Progress.Target != older || !slices.Equal(d.Remove, []string{newer.Revision}) {
		t.Errorf("tried again: %+v", d)
	}
	s.Spec.Retry = "again"
	if d := rollout.Decide(s); d.Progress.Target != newer || d.Progress.Failure != nil {
		t.Errorf("not tried again with another spec: %+v", d.Progress)
	}
	s = stuck()
	s.Spec.OnFailure = rollout.FailureHold
	d = rollout.Decide(s)
	if d.Progress.Phase != rollout.Held || d.Stalled.Reason != rollout.ReasonHeld || len(d.Install) != 2 || len(moved(d)) > 0 {
		t.Errorf("held: %+v", d)
	}
	s.Progress, s.Revisions[1] = d.Progress, fit(newer)
	if d := rollout.Decide(s); d.Progress.Phase != rollout.Held || len(moved(d)) > 0 {
		t.Errorf("held no more: %+v", d)
	}
}

// TestUnhealthyMembers send the target back, with all labels at once, and what was made sick restarts whatever its state.
func TestUnhealthyMembers(t *testing.T) {
	s := moving("a", "b", "c")
	s.Progress.ProgressedAt, s.Progress.Left = noon.Add(-10*time.Minute), 1
	for i := range 2 {
		w := app(newer)
		w.Cause, w.RestartedAt, w.Ready, w.RolledOut = "m-1-31-0@1.31.0#0", noon.Add(-11*time.Minute), 1-i, false
		w.Budgets, s.Budgets["x/y"] = []string{"x/y"}, 0
		s.Namespaces[i].Revision, s.Namespaces[i].Workloads = newer.Revision, []rollout.Workload{w}
	}
	s.Progress.Low = 5
	d := rollout.Decide(s)
	if f := d.Progress.Failure; f == nil || !strings.Contains(f.Message, "Deployment a/app is not healthy since its restart") {
		t.Fatalf("%+v", d.Progress)
	}
	same(t, "moved on", moved(d), []string(nil))
	s.Progress = d.Progress
	for i := range s.Namespaces {
		s.Namespaces[i].Revision = d.Labels[s.Namespaces[i].Name]
	}
	d = rollout.Decide(s)
	same(t, "restarted", restarted(d), []string{"a for m-1-30-0@1.30.0#1"})
	// What shares a budget goes one after the other even then; nothing that is down is taken down by it.
	s.Namespaces[1].Workloads[0].Budgets = nil
	same(t, "both", restarted(rollout.Decide(s)), []string{"a for m-1-30-0@1.30.0#1", "b for m-1-30-0@1.30.0#1"})
}

// TestRetire: the old revision goes when no namespace names it and no proxy is its.
func TestRetire(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*rollout.State)
		goes   bool
	}{
		"unused":          {func(*rollout.State) {}, true},
		"not for long":    {func(s *rollout.State) { s.Progress.Kept[0].UnusedSince = noon.Add(-29 * time.Second) }, false},
		"just now":        {func(s *rollout.State) { s.Progress.Kept[0].UnusedSince = time.Time{} }, false},
		"a proxy":         {func(s *rollout.State) { s.Proxies[older.Revision] = 1 }, false},
		"a namespace":     {func(s *rollout.State) { s.Namespaces[0].Revision = older.Revision }, false},
		"a past member":   {func(s *rollout.State) { s.Namespaces[0].Revision, s.Namespaces[0].Member = older.Revision, false }, false},
		"a pod of a Job":  {func(s *rollout.State) { s.Namespaces[0].Workloads[0].Proxies = proxies(older) }, false},
		"nobody knows it": {func(s *rollout.State) { s.Progress.Kept = nil }, false},
	} {
		s := rests("a")
		s.Spec.Version, s.Spec.Resolved = "1.31.0", "1.31.0"
		s.Revisions = append(s.Revisions, fit(newer))
		s.Proxies = map[string]int{newer.Revision: 2}
		s.Namespaces[0].Revision, s.Namespaces[0].Workloads[0].Proxies = newer.Revision, proxies(newer)
		s.Progress.Target, s.Progress.Good, s.Progress.Asked = newer, newer, "1.31.0"
		s.Progress.Kept = []rollout.Kept{{Release: older, UnusedSince: noon.Add(-time.Minute)}}
		tc.change(&s)
		d := rollout.Decide(s)
		if got := len(d.Remove) > 0; got != tc.goes || slices.Contains(d.Install, older) == got {
			t.Errorf("%s: removes %v, installs %v", name, d.Remove, d.Install)
		}
	}
}
