// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// maxStatus bounds the history in a status.
const maxStatus = 10

// Entry is a release that a mesh had, or went for.
type Entry struct {
	// Number is what spec.rollbackTo takes.
	Number          int64
	Version, Source string
	// Settings are shared, and not to be changed.
	Settings Settings
	// Since is when it last came into force; for one that never did, when it was first aimed at.
	Since time.Time
	// Failed is that it made no progress in time, and was not tried again since.
	Failed bool
}

// Record is what is remembered of a mesh.
type Record struct {
	Progress rollout.Progress
	// Entries are the releases, the newest first.
	Entries []Entry
}

// Find is the entry of a number.
func (r *Record) Find(number int64) (Entry, bool) {
	i := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.Number == number })
	if i < 0 {
		return Entry{}, false
	}
	return r.Entries[i], true
}

// Settings are those of a name that Settings.Source gave.
func (r *Record) Settings(source string) (Settings, bool) {
	i := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.Source == source })
	if i < 0 {
		return Settings{}, false
	}
	return r.Entries[i].Settings, true
}

// Status is the part of it that a status shows: the first 10, the newest first.
func (r *Record) Status() []v1alpha1.MeshHistoryEntry {
	var out []v1alpha1.MeshHistoryEntry
	for _, e := range r.Entries[:min(len(r.Entries), maxStatus)] {
		out = append(out, v1alpha1.MeshHistoryEntry{Number: e.Number, Version: e.Version, Time: metav1.NewTime(e.Since.Truncate(time.Second)), Failed: e.Failed})
	}
	return out
}

// index is the entry of a release, the one of the lowest number if there are several; -1 for none.
func index(entries []Entry, version, source string) int {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Version == version && entries[i].Source == source {
			return i
		}
	}
	return -1
}

// named are the releases that a progress goes between, those on their way out first and the target last. What was found
// and not rendered by us is none.
func named(p *rollout.Progress) []rollout.Release {
	var out []rollout.Release
	add := func(r rollout.Release) {
		same := func(other rollout.Release) bool { return other.Version == r.Version && other.Source == r.Source }
		if r.Source != "" && !slices.ContainsFunc(out, same) {
			out = append(out, r)
		}
	}
	for _, kept := range p.Kept {
		add(kept.Release)
	}
	add(p.Good)
	add(p.Target)
	return out
}
