// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "time"

// view is what the members look like from where the rollout is.
type view struct {
	// labels are what the namespaces have to name now.
	labels map[string]string
	// unmoved are the members that do not name the target, moved those of some size that do, of so many.
	unmoved, moved, sized int
	// candidates may restart, pending may when the istiod is fit and the label known everywhere.
	candidates []candidate
	pending    int
	waiting    []Waiting
	// outdated counts the workloads with a wrong proxy or none; owed those of them that have a restart to come, whatever
	// their health.
	outdated, owed int
	// rolling counts, by namespace, the workloads that restarted and were not seen healthy since; busy is the first of
	// them, open how much of them is to come.
	rolling map[string]int
	busy    string
	low     int
	// urgent are the namespaces with a workload that an abandoned release made sick: they move before all others.
	urgent map[string]bool
	// unsettled is that the last batch was not seen healthy, last the time of its last restart, since that of the last of
	// those that are not.
	unsettled   bool
	last, since time.Time
	// settles is when a label will be known everywhere.
	settles time.Time
	// done is that all members are at the target, and healthy.
	done bool
	// phase is the one that is seen, gate what the target lacks.
	phase Phase
	gate  int
}

// candidate is a workload that may restart.
type candidate struct {
	namespace string
	workload  *Workload
	cause     string
	// heals is that it never got healthy after an earlier restart by us: it has nothing to lose.
	heals bool
}

// view looks at the members.
func (m *machine) view() *view {
	p := &m.progress
	v := &view{labels: map[string]string{}, rolling: map[string]int{}, urgent: map[string]bool{}, phase: p.Phase, gate: m.revisions[p.Target.Revision].unmet(p.Target)}
	for i := range m.namespaces {
		ns := &m.namespaces[i]
		e := m.expect(ns)
		if !e.known.IsZero() && v.settles.Before(e.known) {
			v.settles = e.known
		}
		for j := range ns.Workloads {
			m.look(v, ns, &ns.Workloads[j], e)
		}
	}
	m.label(v)
	v.done = v.unmoved == 0 && !v.inFlight()
	return v
}

// inFlight is that a batch is not through.
func (v *view) inFlight() bool { return len(v.rolling) > 0 || len(v.candidates) > 0 || v.pending > 0 }

// open is how many steps are left, and how much of the one under way is open.
func (v *view) open() (left, low int) {
	switch v.phase {
	case Installing:
		return 0, v.gate
	case Moving, RollingBack:
		return v.unmoved + v.owed, v.low
	}
	return 0, 0
}

// look finds out where a workload stands.
func (m *machine) look(v *view, ns *Namespace, w *Workload, e expectation) {
	recent := w.Cause != "" && w.RestartedAt.After(m.progress.Settled)
	if recent && w.RestartedAt.After(v.last) {
		v.last = w.RestartedAt
	}
	wrong := e.wrong(w)
	if wrong > 0 {
		v.outdated++
	}
	unhealthy := recent && !w.healthy()
	v.unsettled = v.unsettled || unhealthy
	switch {
	case unhealthy && e.abandoned:
		v.urgent[ns.Name] = true
		return
	case unhealthy && (w.Cause == e.cause || wrong == 0 && e.earlier(w)):
		v.roll(ns, w, wrong)
		return
	}
	if wrong == 0 || e.mode == leaveAlone {
		return
	}
	wait := func(why string) {
		v.waiting = append(v.waiting, Waiting{ns.Name, w.Kind, w.Name, why})
	}
	if why := m.never(ns, w, e); why != "" {
		wait(why)
		return
	}
	v.owed++
	switch why := m.notNow(w, unhealthy); {
	case why != "":
		wait(why)
	case !e.fit:
		v.pending++
		wait("its istiod or its label is not ready for it")
	default:
		v.candidates = append(v.candidates, candidate{ns.Name, w, e.cause, unhealthy})
	}
}

// roll counts a workload that restarted and is not healthy yet.
func (v *view) roll(ns *Namespace, w *Workload, wrong int) {
	v.rolling[ns.Name]++
	v.low += max(w.Replicas-w.Ready, 0) + wrong + 1
	if wrong > 0 {
		v.waiting = append(v.waiting, Waiting{ns.Name, w.Kind, w.Name, "it restarted and is not healthy yet"})
	}
	if v.busy == "" {
		v.busy = title(ns.Name, w)
	}
	if w.RestartedAt.After(v.since) {
		v.since = w.RestartedAt
	}
}
