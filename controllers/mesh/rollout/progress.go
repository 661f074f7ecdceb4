// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Phase is where a rollout is.
type Phase string

// The phases.
const (
	// Idle is that the target runs and is the last good release.
	Idle Phase = "Idle"
	// Installing is that the target is being installed, and no namespace names it yet.
	Installing Phase = "Installing"
	// Moving is that the target is fit, and the members come to it batch by batch.
	Moving Phase = "Moving"
	// RollingBack is that the target failed and the members return to the last good release.
	RollingBack Phase = "RollingBack"
	// Held is that the target failed and stays where it stands.
	Held Phase = "Held"
)

// Release is one version of Istio with its settings, under the name of its revision.
type Release struct {
	Revision string `json:"revision,omitempty"`
	Version  string `json:"version,omitempty"`
	// Source names the settings. Empty is an installation that was found: it may be replaced, not rendered.
	Source string `json:"source,omitempty"`
}

// IsZero is for JSON.
func (r Release) IsZero() bool { return r == Release{} }

// runs is what a proxy can tell of a release: the settings are no part of it.
func (r Release) runs() string { return r.Revision + "@" + r.Version }

// Progress is all that a rollout remembers. It has to be persisted before a decision is acted on.
type Progress struct {
	Phase Phase `json:"phase,omitempty"`
	// Target is where it goes, Good the last release that all members were healthy with; zero before the first one.
	Target Release `json:"target,omitzero"`
	Good   Release `json:"good,omitzero"`
	// Round counts the versions that were aimed at, to tell one try of a version from the next; GoodRound is that of Good.
	Round     int `json:"round,omitempty"`
	GoodRound int `json:"goodRound,omitempty"`
	// Kept are the other revisions that are installed, until nothing uses them. Sorted by name.
	Kept []Kept `json:"kept,omitempty"`
	// Asked is the spec.version, or the rollback, that the target was chosen for.
	Asked string `json:"asked,omitempty"`
	// GoodAsked is the same of the good release.
	GoodAsked string `json:"goodAsked,omitempty"`
	// StartedAt is when the target was chosen, ProgressedAt when it last came nearer.
	StartedAt    time.Time `json:"startedAt,omitzero"`
	ProgressedAt time.Time `json:"progressedAt,omitzero"`
	// Left are the steps that were left then; Low is how much of the step under way was open at best.
	Left int `json:"left,omitempty"`
	Low  int `json:"low,omitempty"`
	// Settled is the time of the last restart of a batch that was seen healthy.
	Settled time.Time `json:"settled,omitzero"`
	// Failure is what the last target failed with; gone when the spec changes.
	Failure *Failure `json:"failure,omitempty"`
}

// Kept is a revision on its way out.
type Kept struct {
	Release `json:",inline"`
	// UnusedSince is when it was first seen without a namespace or proxy.
	UnusedSince time.Time `json:"unusedSince,omitzero"`
}

// Failure is a release that made no progress within the deadline.
type Failure struct {
	Release Release `json:"release"`
	// Attempt is the spec that it failed with: while that is in force, it is not tried again.
	Attempt string    `json:"attempt"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// known is the release under the name of a revision, as it is to be installed.
func (p *Progress) known(revision string) (Release, bool) {
	switch revision {
	case "":
		return Release{}, false
	case p.Target.Revision:
		return p.Target, true
	case p.Good.Revision:
		return p.Good, true
	}
	for _, kept := range p.Kept {
		if kept.Revision == revision {
			return kept.Release, true
		}
	}
	return Release{}, false
}

// keep remembers a release that is no longer wanted.
func (p *Progress) keep(release Release) {
	if release.Revision == "" || slices.ContainsFunc(p.Kept, func(k Kept) bool { return k.Revision == release.Revision }) {
		return
	}
	p.Kept = append(slices.Clone(p.Kept), Kept{Release: release})
	slices.SortFunc(p.Kept, func(a, b Kept) int { return strings.Compare(a.Revision, b.Revision) })
}

// aim begins a new rollout.
func (p *Progress) aim(target Release, asked string, now time.Time) {
	p.turn(target)
	p.Asked, p.Phase = asked, Installing
	p.StartedAt, p.ProgressedAt = now, now
}

// turn changes the target.
func (p *Progress) turn(target Release) {
	p.keep(p.Target)
	if target.runs() != p.Target.runs() {
		p.Round++
	}
	p.Target = target
}

// cause is what a workload restarts for when it comes to a release. It is the same as long as the version is: a change
// of the settings restarts nobody.
func (p *Progress) cause(release Release) string {
	switch release {
	case p.Target:
		return fmt.Sprintf("%s#%d", release.runs(), p.Round)
	case p.Good:
		return fmt.Sprintf("%s#%d", release.runs(), p.GoodRound)
	}
	return release.runs()
}
