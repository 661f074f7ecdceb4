// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package drift tells of foreign changes: in events, and in the last few records of a status.
package drift

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
)

// MaxRepairs is the number of repairs that a status holds.
const MaxRepairs = 5

// Event reasons and actions.
const (
	EventRepaired = "DriftRepaired"
	EventFound    = "DriftFound"
	ActionRepair  = "Repair"
	ActionReport  = "Report"
	ActionApply   = "Apply"
)

// Log is the drift of one owner that its status and events tell. It is not safe for concurrent use.
type Log struct {
	// recent are the last MaxRepairs records, the newest first.
	recent []v1alpha1.RepairRecord
	// first is the first drift that no event has told yet, more how many came after it.
	first *apply.Drift
	more  int
}

// Add notes what Apply has seen.
func (l *Log) Add(drifts []apply.Drift) {
	for i := range drifts {
		if l.first == nil {
			l.first = &drifts[i]
		} else {
			l.more++
		}
		l.recent = append(records(&drifts[i]), l.recent...)
		l.recent = l.recent[:min(len(l.recent), MaxRepairs)]
	}
}

// Recent gives the last records, the newest first.
func (l *Log) Recent() []v1alpha1.RepairRecord { return slices.Clone(l.recent) }

// TakeUntold gives the first drift that no event has told, and how many more there are.
func (l *Log) TakeUntold() (first *apply.Drift, more int) {
	first, more = l.first, l.more
	l.first, l.more = nil, 0
	return first, more
}

func records(drift *apply.Drift) []v1alpha1.RepairRecord {
	out := make([]v1alpha1.RepairRecord, 0, len(drift.Changes))
	for _, change := range drift.Changes {
		out = append(out, v1alpha1.RepairRecord{
			Object: drift.Ref.String(), Field: change.Path, Want: change.Want, Found: change.Found,
			Manager: change.Manager, Time: metav1.NewTime(change.Time.Truncate(time.Second)), Repaired: drift.Repaired,
		})
	}
	return out
}

// Merge puts what is new before what the status told before a restart.
func Merge(recent, before []v1alpha1.RepairRecord) []v1alpha1.RepairRecord {
	out := Join(recent, before)
	return out[:min(len(out), MaxRepairs)]
}

// Join is Merge without a bound.
func Join(recent, before []v1alpha1.RepairRecord) []v1alpha1.RepairRecord {
	out := slices.Clone(recent)
	for _, record := range before {
		if !slices.ContainsFunc(recent, func(r v1alpha1.RepairRecord) bool { return same(r, record) }) {
			out = append(out, record)
		}
	}
	return out
}

func same(a, b v1alpha1.RepairRecord) bool {
	equal := a.Time.Equal(&b.Time)
	a.Time, b.Time = metav1.Time{}, metav1.Time{}
	return equal && a == b
}

// Tell tells an owner's drift in one event.
func Tell(recorder events.EventRecorder, owner runtime.Object, drift *apply.Drift, more int) {
	kind, reason, action := corev1.EventTypeNormal, EventRepaired, ActionRepair
	if !drift.Repaired {
		kind, reason, action = corev1.EventTypeWarning, EventFound, ActionReport
	}
	recorder.Eventf(owner, object(drift.Ref), kind, reason, action, "%s", conditions.Cut(Text(drift, more)))
}

// object is what an event relates to: events of different objects are told apart by it.
func object(ref apply.Ref) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
	out.SetGroupVersionKind(ref.GroupVersionKind)
	return out
}

// TellReady tells in an event that Ready changed its reason; what is only under way is not told.
func TellReady(recorder events.EventRecorder, owner runtime.Object, was, is *metav1.Condition) {
	if is == nil || was != nil && was.Reason == is.Reason || is.Reason == v1alpha1.ReasonProgressing {
		return
	}
	kind := corev1.EventTypeWarning
	if is.Status == metav1.ConditionTrue {
		kind = corev1.EventTypeNormal
	}
	recorder.Eventf(owner, nil, kind, is.Reason, ActionApply, "%s", is.Message)
}

// Text says what was changed by whom, and what became of it.
func Text(drift *apply.Drift, more int) string {
	var parts []string
	for _, c := range drift.Changes {
		parts = append(parts, changeText(c))
	}
	text := drift.Ref.String() + ": " + strings.Join(parts, "; ")
	if drift.Repaired {
		text += "; repaired"
		if drift.Latency > 0 {
			text += " after " + drift.Latency.Round(100*time.Microsecond).String()
		}
	}
	if more > 0 {
		text += fmt.Sprintf(" (and %d more objects)", more)
	}
	return text
}

func changeText(c apply.Change) string {
	switch {
	case c.Path == "":
		return "deleted by " + c.Manager
	case c.Found == "":
		return fmt.Sprintf("%s removed by %s (was %s)", c.Path, c.Manager, c.Want)
	case c.Want == "":
		return fmt.Sprintf("%s=%s added by %s", c.Path, c.Found, c.Manager)
	default:
		return fmt.Sprintf("%s changed from %s to %s by %s", c.Path, c.Want, c.Found, c.Manager)
	}
}
