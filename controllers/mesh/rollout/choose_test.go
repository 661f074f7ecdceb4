// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

func TestSteps(t *testing.T) {
	all := []string{"1.27.0", "1.28.3", "1.29.1", "1.29.4", "1.30.0", "1.31.0"}
	for _, tc := range []struct {
		strategy  rollout.Strategy
		from, to  string
		available []string
		want      string
	}{
		{rollout.Canary, "1.30.0", "1.30.1", all, ""},
		{rollout.Canary, "1.29.4", "1.31.0", all, ""},
		{rollout.InPlace, "1.30.0", "1.31.0", all, ""},
		{rollout.Canary, "1.30.1", "1.30.0", all, "1.30.0 is older than 1.30.1, which runs: to go back to an earlier release, name it in spec.rollbackTo"},
		{rollout.InPlace, "1.31.0", "1.30.0", all, "1.30.0 is older than 1.31.0, which runs: to go back to an earlier release, name it in spec.rollbackTo"},
		{rollout.Canary, "1.27.0", "1.30.0", all, "from 1.27.0 to 1.30.0 is too far, strategy Canary goes up two minors at a time: set spec.version to 1.29.4 first"},
		{rollout.InPlace, "1.28.3", "1.30.0", all, "from 1.28.3 to 1.30.0 is too far, strategy InPlace goes up one minor at a time: set spec.version to 1.29.4 first"},
		{rollout.InPlace, "1.28.3", "1.30.0", nil, "from 1.28.3 to 1.30.0 is too far, strategy InPlace goes up one minor at a time: set spec.upgrade.strategy to Canary"},
		{rollout.Canary, "1.27.0", "1.31.0", nil, "from 1.27.0 to 1.31.0 is too far, strategy Canary goes up two minors at a time, and the catalogue has no version between them"},
	} {
		got := ""
		if err := rollout.Step(tc.strategy, tc.from, tc.to, tc.available); err != nil {
			got = err.Error()
		}
		same(t, tc.from+" to "+tc.to, got, tc.want)
	}
}

// TestTarget is what a spec comes to over a mesh of 1.30.0 that rests.
func TestTarget(t *testing.T) {
	closed, _ := rollout.ParseWindow(nil, "13:00", time.Hour, "")
	minor := func(s *rollout.State, automatic rollout.Automatic, resolved string) {
		s.Spec.Version, s.Spec.Resolved, s.Spec.Automatic = "1.30", resolved, automatic
		s.Progress.Asked, s.Progress.GoodAsked = "1.30", "1.30"
	}
	for name, tc := range map[string]struct {
		change   func(*rollout.State)
		target   string
		stalled  string
		upcoming string
		look     time.Duration
	}{
		"another version": {func(s *rollout.State) { s.Spec.Version, s.Spec.Resolved = "1.31", "1.31.0" }, "m-1-31-0 1.31.0 m-1", "", "", 10 * time.Minute},
		"windows do not hold it": {func(s *rollout.State) {
			s.Spec.Resolved, s.Spec.Version, s.Spec.Windows = "1.31.0", "1.31", []rollout.Window{closed}
		}, "m-1-31-0 1.31.0 m-1", "", "", 10 * time.Minute},
		"in place": {func(s *rollout.State) {
			s.Spec.Version, s.Spec.Resolved, s.Spec.Strategy = "1.31", "1.31.0", rollout.InPlace
		}, "m 1.31.0 m-1", "", "", 10 * time.Minute},
		"a strategy moves nobody": {func(s *rollout.State) { s.Spec.Strategy = rollout.InPlace }, "m-1-30-0 1.30.0 m-1", "", "", 0},
		"other settings":          {func(s *rollout.State) { s.Spec.Source = "m-2" }, "m-1-30-0 1.30.0 m-2", "", "", 10 * time.Minute},
		"down":                    {func(s *rollout.State) { s.Spec.Version, s.Spec.Resolved = "1.28", "1.28.3" }, "m-1-30-0 1.30.0 m-1", rollout.ReasonVersionRefused, "", 0},
		"refused":                 {func(s *rollout.State) { s.Spec.Version, s.Spec.Resolved, s.Spec.Refused = "1.99", "", "unknown" }, "m-1-30-0 1.30.0 m-1", rollout.ReasonVersionRefused, "", 0},
		"back": {func(s *rollout.State) {
			s.Spec.RollbackTo = &rollout.Rollback{Number: 3, Version: "1.28.3", Source: "m-0"}
		}, "m-1-28-3 1.28.3 m-0", "", "", 10 * time.Minute},
		"a patch":                 {func(s *rollout.State) { minor(s, rollout.AutomaticPatch, "1.30.1") }, "m-1-30-1 1.30.1 m-1", "", "", 10 * time.Minute},
		"a patch, none":           {func(s *rollout.State) { minor(s, rollout.AutomaticNone, "1.30.1") }, "m-1-30-0 1.30.0 m-1", "", "", 0},
		"a patch of an exact one": {func(*rollout.State) {}, "m-1-30-0 1.30.0 m-1", "", "", 0},
		"a patch, later": {func(s *rollout.State) {
			minor(s, rollout.AutomaticPatch, "1.30.1")
			s.Spec.Windows = []rollout.Window{closed}
		}, "m-1-30-0 1.30.0 m-1", "", "1.30.1", time.Hour},
		"a minor": {func(s *rollout.State) { minor(s, rollout.AutomaticMinor, "1.30.0") }, "m-1-31-0 1.31.0 m-1", "", "", 10 * time.Minute},
		"a smaller catalogue": {func(s *rollout.State) {
			minor(s, rollout.AutomaticPatch, "1.29.9")
			s.Spec.Resolved = "1.30.0"
			s.Spec.Available = nil
		}, "m-1-30-0 1.30.0 m-1", "", "", 0},
		"a lesser minor": {func(s *rollout.State) {
			minor(s, rollout.AutomaticMinor, "1.28.3")
			s.Spec.Version, s.Spec.Available = "1.28", nil
		}, "m-1-30-0 1.30.0 m-1", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := rests("a")
			tc.change(&s)
			d := rollout.Decide(s)
			target := d.Progress.Target
			same(t, "target", target.Revision+" "+target.Version+" "+target.Source, tc.target)
			same(t, "upcoming", d.Upcoming, tc.upcoming)
			same(t, "look again", d.LookAgain, tc.look)
			got := ""
			if d.Stalled.Status == "True" {
				got = d.Stalled.Reason
			}
			same(t, "stalled", got, tc.stalled)
		})
	}
}

// TestUnderWayGoesOn outside of its window.
func TestUnderWayGoesOn(t *testing.T) {
	closed, _ := rollout.ParseWindow(nil, "13:00", time.Hour, "")
	s := moving("a")
	s.Spec.Version, s.Progress.Asked, s.Spec.Windows, s.Spec.Automatic = "1.30", "1.30", []rollout.Window{closed}, rollout.AutomaticMinor
	s.Spec.Resolved = "1.30.0"
	same(t, "moved", moved(rollout.Decide(s)), []string{"a"})
}

// TestFirst: nobody is labelled before the first istiod injects, and a failure has nowhere to go back to.
func TestFirst(t *testing.T) {
	s := rests("a", "b")
	s.Progress, s.Revisions = rollout.Progress{}, nil
	for i := range s.Namespaces {
		s.Namespaces[i].Revision, s.Namespaces[i].Workloads[0].Proxies = "", map[rollout.Proxy]int{{}: 2}
	}
	d := rollout.Decide(s)
	same(t, "labels", d.Labels, map[string]string{"a": "", "b": ""})
	same(t, "installed", d.Install, []rollout.Release{older})
	s.Progress, s.Now = d.Progress, noon.Add(time.Hour)
	s.Revisions = []rollout.Revision{{Release: older}}
	s.Progress.Low = 4
	d = rollout.Decide(s)
	same(t, "phase", d.Progress.Phase, rollout.Installing)
	same(t, "stalled", d.Stalled.Reason, rollout.ReasonDeadline)
	s.Progress, s.Revisions[0] = d.Progress, fit(older)
	d = rollout.Decide(s)
	same(t, "phase", d.Progress.Phase, rollout.Idle)
	same(t, "labels", d.Labels, map[string]string{"a": older.Revision, "b": older.Revision})
	same(t, "stalled", string(d.Stalled.Status), "False")
}

// TestFound: an installation of somebody else, or a status that was lost, is gone on from.
func TestFound(t *testing.T) {
	s := rests("a")
	s.Progress = rollout.Progress{}
	d := rollout.Decide(s)
	if d.Progress.Phase != rollout.Idle || d.Progress.Good != older || len(d.Restart) > 0 {
		t.Errorf("lost status: %+v", d)
	}
	s.Revisions[0].Source = ""
	d = rollout.Decide(s)
	same(t, "adopted", d.Progress.Target, older)
	same(t, "installed", d.Install, []rollout.Release{older})
	s.Spec.Version, s.Spec.Resolved = "1.31.0", "1.31.0"
	d = rollout.Decide(s)
	same(t, "beside it", d.Install, []rollout.Release{{Revision: older.Revision, Version: older.Version}, newer})
}

func TestOwns(t *testing.T) {
	for revision, want := range map[string]bool{"m": true, "m-1-31-0": true, "m-1-31-0-rc-1": true, "": false, "n": false, "m-x": false, "m-b-1-31-0": false} {
		if rollout.Owns("m", revision) != want {
			t.Errorf("m owns %q is %v", revision, !want)
		}
	}
}
