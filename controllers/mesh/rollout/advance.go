// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"time"
)

// find makes sense of a mesh that runs while nothing is remembered of it: an installation to adopt, or a status that
// was lost. The good release is the one that most namespaces name.
func (m *machine) find() {
	p := &m.progress
	if !p.Good.IsZero() || !p.Target.IsZero() || len(m.Revisions) == 0 {
		return
	}
	uses := map[string]int{}
	for _, ns := range m.namespaces {
		uses[ns.Revision]++
	}
	best := slices.MaxFunc(m.Revisions, func(a, b Revision) int {
		if c := uses[a.Revision] - uses[b.Revision]; c != 0 {
			return c
		}
		if c := m.Proxies[a.Revision] - m.Proxies[b.Revision]; c != 0 {
			return c
		}
		if a.Version != b.Version {
			return map[bool]int{true: -1, false: 1}[older(a.Version, b.Version)]
		}
		return map[bool]int{true: -1, false: 1}[a.Revision < b.Revision]
	}).Release
	p.Phase, p.Good, p.Target = Idle, best, best
	if floating(m.spec.Version) && sameMinor(best.Version, m.spec.Version) {
		// Its patch was once asked for; a newer one waits for its window.
		p.Asked, p.GoodAsked = m.spec.Version, m.spec.Version
	}
}

// retarget follows the spec.
func (m *machine) retarget() {
	p := &m.progress
	m.chosen = choice{release: p.Target, asked: p.Asked}
	if p.Failure != nil && p.Failure.Attempt == m.spec.attempt() {
		return
	}
	if m.chosen = m.choose(); m.chosen.refused != "" {
		return
	}
	p.Failure = nil
	c := m.chosen
	if c.release.IsZero() {
		return
	}
	before := p.Asked
	if c.release != p.Target || p.Phase == Held || p.Phase == RollingBack && p.Failure == nil {
		p.aim(c.release, c.asked, m.Now)
		p.Left, p.Low = m.view().open()
	}
	if p.Asked = c.asked; p.Phase == Idle {
		p.GoodAsked = c.asked
	}
	if p.Asked != before {
		// What was asked for in person is now followed automatically.
		m.retarget()
	}
}

// advance goes from phase to phase as far as what is seen allows, and says whether it went anywhere.
func (m *machine) advance() bool {
	v := m.view()
	m.credit(v)
	moved := false
	for m.step(v) {
		moved, v = true, m.view()
		m.progress.ProgressedAt = m.Now
		m.progress.Left, m.progress.Low = v.open()
	}
	m.settled(v)
	return moved
}

// step goes one phase on, if it is time for it.
func (m *machine) step(v *view) bool {
	p := &m.progress
	fit := m.fit(p.Target)
	switch {
	case p.Phase == Idle, p.Phase == Held:
		return false
	case p.Phase == Installing && fit && m.nobodyMoves(), p.Phase != Installing && fit && v.done:
		m.arrive()
	case p.Phase == Installing && fit:
		p.Phase = Moving
	case p.Phase != RollingBack && m.overdue(v):
		m.fail(v)
	default:
		return false
	}
	return true
}

// nobodyMoves is that the target is the first release, or other settings of the one that runs.
func (m *machine) nobodyMoves() bool {
	good, target := m.progress.Good, m.progress.Target
	return good.IsZero() || good != target && good.runs() == target.runs()
}

// arrive makes the target the good release.
func (m *machine) arrive() {
	p := &m.progress
	left := p.Good
	p.Phase, p.Good, p.GoodAsked, p.GoodRound = Idle, p.Target, p.Asked, p.Round
	p.keep(left)
}

// fail gives up on the target: back to the last good release, or no further.
func (m *machine) fail(v *view) {
	p := &m.progress
	p.Failure = &Failure{Release: p.Target, Attempt: m.spec.attempt(), Message: m.trouble(v), At: m.Now}
	if m.spec.OnFailure == FailureHold {
		p.Phase = Held
		return
	}
	p.turn(p.Good)
	p.Phase, p.Asked = RollingBack, p.GoodAsked
}

// overdue is that there is a release to go back to, and no progress within the deadline.
func (m *machine) overdue(v *view) bool {
	p := &m.progress
	if p.Good.IsZero() || p.Good == p.Target {
		return false
	}
	due := m.due(v)
	return !due.IsZero() && !m.Now.Before(due)
}

// due is when the patience with what is under way ends; zero if nothing is.
func (m *machine) due(v *view) time.Time {
	p := &m.progress
	var since time.Time
	switch p.Phase {
	case Installing, Moving, RollingBack:
		since = p.ProgressedAt
	case Idle, Held:
		since = v.since
	}
	if since.IsZero() {
		return since
	}
	due := since.Add(m.spec.ProgressDeadline)
	if up := m.Up.Add(min(settle, m.spec.ProgressDeadline)); up.After(due) {
		return up
	}
	return due
}

// credit notes progress. Steps that come undone by other hands are noted, too, and earn no time; health that comes and
// goes earns time once.
func (m *machine) credit(v *view) {
	p := &m.progress
	left, low := v.open()
	if left > p.Left {
		p.Left, p.Low = left, low
	}
	if m.better(v) && m.Now.Sub(p.ProgressedAt) >= m.spec.ProgressDeadline/notes {
		p.Left, p.Low, p.ProgressedAt = left, low, m.Now
	}
}

// better is that there is progress since it was last written down.
func (m *machine) better(v *view) bool {
	left, low := v.open()
	return left < m.progress.Left || left == m.progress.Left && low < m.progress.Low
}

// settled notes that the batch that restarted last is healthy.
func (m *machine) settled(v *view) {
	if !v.unsettled && v.last.After(m.progress.Settled) {
		m.progress.Settled = v.last
	}
}

// trouble says what did not get on.
func (m *machine) trouble(v *view) string {
	p := &m.progress
	istiod := m.revisions[p.Target.Revision]
	what := ""
	switch {
	case istiod == nil:
		what = "its istiod is not there"
	case istiod.Release != p.Target:
		what = "its istiod is not updated"
	case !istiod.RolledOut:
		what = "its istiod is not rolled out"
	case !istiod.CABundle:
		what = "its webhook has no caBundle"
	case !istiod.Answers:
		what = "its webhook does not answer"
	case !istiod.Injects:
		what = "it does not inject a dry-run pod"
	case v.busy != "":
		what = v.busy + " is not healthy since its restart"
	default:
		what = "members wait to be moved"
	}
	return fmt.Sprintf("Istio %s (revision %s): %s", p.Target.Version, p.Target.Revision, what)
}

// tidy keeps account of the revisions that are no longer wanted.
func (m *machine) tidy() {
	p := &m.progress
	for _, revision := range m.Revisions {
		if _, ok := p.known(revision.Revision); !ok {
			p.keep(revision.Release)
		}
	}
	var kept []Kept
	for _, k := range p.Kept {
		used := m.used(k.Revision)
		switch {
		case k.Revision == p.Target.Revision, k.Revision == p.Good.Revision:
			continue
		case used:
			k.UnusedSince = time.Time{}
		case m.revisions[k.Revision] == nil:
			continue
		case k.UnusedSince.IsZero():
			k.UnusedSince = m.Now
		}
		kept = append(kept, k)
	}
	p.Kept = kept
}

// used is that something depends on a revision.
func (m *machine) used(revision string) bool {
	return m.Proxies[revision] > 0 || slices.ContainsFunc(m.namespaces, func(ns Namespace) bool {
		return ns.Revision == revision || slices.ContainsFunc(ns.Workloads, func(w Workload) bool {
			for proxy, n := range w.Proxies {
				if proxy.Revision == revision && n > 0 {
					return true
				}
			}
			return false
		})
	})
}

// gone is that a revision was unused for long enough.
func (m *machine) gone(kept Kept) bool {
	return !kept.UnusedSince.IsZero() && !m.Now.Before(kept.UnusedSince.Add(grace))
}
