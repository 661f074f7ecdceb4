// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"time"
)

// choice is what the spec comes to today.
type choice struct {
	release Release
	asked   string
	// refused says why the spec is not followed; the release is then the one that is followed anyway.
	refused string
	// upcoming is a version that is to come when the windows open.
	upcoming string
	opens    time.Time
}

// choose resolves the spec to a release.
func (m *machine) choose() choice {
	spec, p := &m.spec, &m.progress
	stay := choice{release: p.Target, asked: p.Asked}
	if to := spec.RollbackTo; to != nil {
		return choice{release: m.named(to.Version, to.Source), asked: fmt.Sprintf("rollback to %d", to.Number)}
	}
	if spec.Refused != "" || spec.Resolved == "" {
		stay.refused = spec.Refused
		return stay
	}
	c := choice{asked: spec.Version}
	version := spec.Resolved
	if floating(spec.Version) {
		version = m.follow(&c)
	}
	c.release = m.named(version, spec.Source)
	if err := m.possible(c.release); err != nil {
		stay.refused = err.Error()
		return stay
	}
	return c
}

// follow is the version for a minor: what an unchanged spec asks for is followed as far as it says, and when the
// windows are open.
func (m *machine) follow(c *choice) string {
	spec, p := &m.spec, &m.progress
	// To follow minors is to name the least that is wanted. More than that may run.
	runs := spec.Automatic == AutomaticMinor && older(spec.Resolved, p.Good.Version)
	if p.Asked != spec.Version && !runs {
		return spec.Resolved
	}
	current, next := p.Target.Version, ""
	switch spec.Automatic {
	case AutomaticMinor:
		next = newest(append([]string{spec.Resolved}, spec.Available...), func(v string) bool {
			return !older(v, spec.Resolved) && !skips(spec.Strategy, current, v)
		})
	case AutomaticPatch:
		next = spec.Resolved
	}
	switch {
	case spec.Automatic != AutomaticMinor && !sameMinor(current, spec.Version):
		return spec.Resolved
	case next == "" || !older(current, next):
		// The catalogue may have less than before. That is no wish to go back.
		return current
	}
	open, opens := Open(spec.Windows, m.Now)
	if !open {
		c.upcoming, c.opens = next, opens
	}
	// What is under way comes first.
	if !open || p.Phase != Idle {
		return current
	}
	return next
}

// named gives a version its revision: a change of the settings alone stays where the version runs.
func (m *machine) named(version, source string) Release {
	revision := Name(m.spec.Strategy, m.spec.Mesh, version)
	for _, runs := range []Release{m.progress.Target, m.progress.Good} {
		if runs.Version == version {
			revision = runs.Revision
		}
	}
	return Release{Revision: revision, Version: version, Source: source}
}

// possible refuses what Istio does not support.
func (m *machine) possible(to Release) error {
	good := m.progress.Good
	if good.IsZero() || good.Version == to.Version {
		return nil
	}
	strategy := m.spec.Strategy
	if err := Step(strategy, good.Version, to.Version, m.spec.Available); err != nil {
		return err
	}
	// The proxies that were left behind would be too old for the istiod that takes the place of theirs.
	for _, ns := range m.namespaces {
		for i := range ns.Workloads {
			w := &ns.Workloads[i]
			for proxy := range w.Proxies {
				if proxy.Revision == to.Revision && proxy.Version != "" && skips(InPlace, proxy.Version, to.Version) {
					return fmt.Errorf("%s still runs a proxy of %s, which is too old for an istiod of %s: restart it first",
						title(ns.Name, w), proxy.Version, to.Version)
				}
			}
		}
	}
	return nil
}

func title(namespace string, w *Workload) string { return w.Kind + " " + namespace + "/" + w.Name }
