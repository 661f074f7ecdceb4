// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"time"
)

// mode is what is done about the proxies of a namespace.
type mode int

const (
	// leaveAlone: its turn is to come.
	leaveAlone mode = iota
	// join gives a proxy to pods without one, and leaves all others.
	join
	// fix replaces all that are not of the release.
	fix
	// leave takes the proxies of this mesh away.
	leave
)

// expectation is what the proxies of a namespace should be by the label that it has.
type expectation struct {
	mode    mode
	mesh    string
	release Release
	cause   string
	// abandoned is that the release is neither wanted nor known to be good.
	abandoned bool
	// fit is that a pod which starts now comes out right.
	fit bool
	// known is when the label will be known to all API servers; zero if it is.
	known time.Time
}

func (m *machine) expect(ns *Namespace) expectation {
	p := &m.progress
	e := expectation{mesh: m.spec.Mesh, fit: true}
	if due := ns.LabelledAt.Add(labelled); !ns.LabelledAt.IsZero() && due.After(m.Now) {
		e.known, e.fit = due, false
	}
	if !ns.Member {
		if !Owns(m.spec.Mesh, ns.Revision) {
			e.mode, e.cause = leave, "left "+m.spec.Mesh
		}
		return e
	}
	release, ok := p.known(ns.Revision)
	if !ok {
		return e
	}
	e.mode, e.abandoned = fix, release != p.Target && release != p.Good
	if p.Phase == Installing || p.Phase == Held {
		e.mode = join
	} else if release != p.Target {
		e.mode = leaveAlone
	}
	e.release, e.cause = release, p.cause(release)
	if e.mode == join && release != p.Target {
		e.fit = e.fit && m.revisions[release.Revision].serves()
	} else {
		// Of an istiod that is being replaced, nobody knows which of the two would inject.
		e.fit = e.fit && m.fit(release)
	}
	return e
}

// fit is that pods may be left to the istiod of a release. On the way back to one that was never touched, a replica of
// it may be missing: it is what there is.
func (m *machine) fit(release Release) bool {
	r, p := m.revisions[release.Revision], &m.progress
	if p.Phase == RollingBack && p.Failure != nil && p.Failure.Release.Revision != release.Revision {
		return r.serves() && r.Release == release
	}
	return r.unmet(release) == 0
}

// wrong counts the pods whose proxy is not what it should be.
func (e *expectation) wrong(w *Workload) int {
	n := 0
	for proxy, pods := range w.Proxies {
		right := true
		switch e.mode {
		case join:
			right = proxy != Proxy{}
		case fix:
			right = proxy.Revision == e.release.Revision && (proxy.Version == "" || proxy.Version == e.release.Version)
		case leave:
			right = !Owns(e.mesh, proxy.Revision)
		}
		if !right {
			n += pods
		}
	}
	return n
}

// earlier is that a workload restarted for an earlier try of the same version.
func (e *expectation) earlier(w *Workload) bool {
	return !e.release.IsZero() && strings.HasPrefix(w.Cause, e.release.runs()+"#")
}
