// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// deletedSlot stands for the whole object among the slots of the merge patch.
const deletedSlot = ""

// attempt is a repair: what it changes back, and the leaves of the patch that does it.
type attempt struct {
	changes []Change
	sent    [][]string
	// since is when the event of the change came; zero where there was none.
	since time.Time
}

// warn reports a drift once per content that was found.
func (j *job) warn(live *Object, changes []Change) {
	j.entry.settle(live, false)
	j.entry.stopClock()
	first := j.entry.tell(live.content)
	if first {
		j.result.Drifts = append(j.result.Drifts, Drift{Ref: j.want.ref, Changes: changes})
	}
	j.result.Drifted = append(j.result.Drifted, j.want.ref)
}

// repaired reports what a write changed back, and counts it among the fights.
func (j *job) repaired(live *Object, have, after fields, sent [][]string) {
	told := slices.DeleteFunc(j.changes(after, have, live), func(c Change) bool {
		return !slices.ContainsFunc(sent, func(leaf []string) bool { return hasPrefix(c.slot, leaf) || hasPrefix(leaf, c.slot) })
	})
	if len(told) > 0 {
		j.report(attempt{changes: told, sent: sent, since: j.since})
	}
}

func (j *job) report(done attempt) {
	drift := Drift{Ref: j.want.ref, Changes: done.changes, Repaired: true}
	if !done.since.IsZero() {
		drift.Latency = time.Since(done.since)
	}
	j.entry.repaired(done.sent, done.changes)
	j.result.Drifts = append(j.result.Drifts, drift)
	if j.engine.recorder != nil {
		j.engine.recorder.Repaired(j.want.ref.Kind, drift.Latency)
	}
}

// unsure notes a write that was perhaps done and whose answer was lost: before the next one the object is
// read, and if it turns out to be in force, the repair is reported then.
func (j *job) unsure(err error, repair *attempt) {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError {
		return
	}
	j.entry.doubt(repair)
}

// confirmed reports a repair whose answer was lost.
func (j *job) confirmed() {
	if repair := j.entry.confirmed(); repair != nil {
		j.report(*repair)
	}
}

// changes tells what others made of an object, by whom.
func (j *job) changes(want, found fields, live *Object) []Change {
	return changes(diffFields(want, found), live, j.cache.Kind, time.Now())
}

// deletion is the change of an object that is gone.
func deletion() []Change { return []Change{{Manager: Unknown, Time: time.Now()}} }

// deletionSlot counts the deletions of an object among its fights.
func deletionSlot() [][]string { return [][]string{{deletedSlot}} }

// leaveContested takes out of the patch what has to wait because somebody breaks it again and again.
func (j *job) leaveContested(patch fields) {
	for _, leaf := range leaves(patch) {
		if !j.entry.allows(slotName(leaf), j.result.requeue) {
			without(patch, leaf)
		}
	}
}

func slotName(leaf []string) string { return strings.Join(leaf, "\x00") }

func (j *job) touchesAny(patch fields, dotted []string) bool {
	return slices.ContainsFunc(dotted, func(field string) bool {
		_, ok := lookup(patch, split(field))
		return ok
	})
}

func touchesReferences(patch fields) bool {
	_, ok := lookup(patch, []string{"metadata", "ownerReferences"})
	return ok
}
