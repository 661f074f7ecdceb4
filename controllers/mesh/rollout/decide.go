// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"strings"
	"time"
)

const (
	// settle is how long an operator that has just come up looks before it holds a deadline against anything.
	settle = time.Minute
	// grace is how long a revision stays after its last use was seen: a pod may be on its way.
	grace = 30 * time.Second
	// labelled is how long API servers may take to admit pods by a new label of their namespace.
	labelled = 2 * time.Second
	// notes is how often progress is written down within a deadline.
	notes = 20
	// takenBack is how long a workload is left whose restart somebody undid by writing its pod template anew.
	takenBack = 10 * time.Minute
	// atOnce is how many workloads of one namespace restart at a time.
	atOnce = 10
)

// machine is one decision being made.
type machine struct {
	State
	spec     Spec
	progress Progress
	// namespaces and their workloads are sorted: the order of the observation means nothing.
	namespaces []Namespace
	revisions  map[string]*Revision
	chosen     choice
	// budgetsRolling are the budgets with a workload that is being rolled out, by whoever.
	budgetsRolling map[string]int
}

// Decide says what is to be done. It is a function of the state: asked again before anything was done, it says the same.
func Decide(state State) Decision {
	m := newMachine(state)
	m.find()
	m.tidy()
	// What has arrived may have the next automatic upgrade before it.
	for m.retarget(); m.advance(); m.retarget() {
		m.tidy()
	}
	m.tidy()
	d := Decision{Progress: m.progress, Upcoming: m.chosen.upcoming, Current: m.current()}
	m.install(&d)
	view := m.view()
	d.Labels = view.labels
	m.restarts(&d, view)
	m.batches(&d, view)
	m.verdicts(&d, view)
	m.lookAgain(&d, view)
	return d
}

func newMachine(state State) *machine {
	m := &machine{State: state, spec: state.Spec, progress: state.Progress, revisions: map[string]*Revision{}, budgetsRolling: map[string]int{}}
	for i := range state.Revisions {
		m.revisions[state.Revisions[i].Revision] = &state.Revisions[i]
	}
	m.namespaces = slices.Clone(state.Namespaces)
	slices.SortFunc(m.namespaces, func(a, b Namespace) int { return strings.Compare(a.Name, b.Name) })
	for i := range m.namespaces {
		workloads := slices.Clone(m.namespaces[i].Workloads)
		slices.SortFunc(workloads, func(a, b Workload) int {
			if c := strings.Compare(a.Kind, b.Kind); c != 0 {
				return c
			}
			return strings.Compare(a.Name, b.Name)
		})
		m.namespaces[i].Workloads = workloads
		for j := range workloads {
			if !workloads[j].RolledOut {
				for _, budget := range workloads[j].Budgets {
					m.budgetsRolling[budget]++
				}
			}
		}
	}
	return m
}

// install lists what has to exist and what goes.
func (m *machine) install(d *Decision) {
	p := &m.progress
	add := func(release Release) {
		if release.Revision != "" && !slices.ContainsFunc(d.Install, func(r Release) bool { return r.Revision == release.Revision }) {
			d.Install = append(d.Install, release)
		}
	}
	add(p.Target)
	add(p.Good)
	for _, kept := range p.Kept {
		if m.gone(kept) {
			d.Remove = append(d.Remove, kept.Revision)
		} else {
			add(kept.Release)
		}
	}
	slices.SortFunc(d.Install, func(a, b Release) int { return strings.Compare(a.Revision, b.Revision) })
}

// current is the revision that owns what there is one of.
func (m *machine) current() string { return m.progress.Good.Revision }

// lookAgain names the times at which something is due that no event announces.
func (m *machine) lookAgain(d *Decision, v *view) {
	p := &m.progress
	for _, kept := range p.Kept {
		if !kept.UnusedSince.IsZero() && !m.gone(kept) {
			d.look(kept.UnusedSince.Add(grace).Sub(m.Now))
		}
	}
	if !m.chosen.opens.IsZero() {
		d.look(m.chosen.opens.Sub(m.Now))
	}
	if !v.settles.IsZero() {
		d.look(v.settles.Sub(m.Now))
	}
	if m.better(v) {
		d.look(p.ProgressedAt.Add(m.spec.ProgressDeadline / notes).Sub(m.Now))
	}
	if due := m.due(v); !due.IsZero() && due.After(m.Now) {
		d.look(due.Sub(m.Now))
	}
}
