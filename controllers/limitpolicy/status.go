// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// judgement is one condition's verdict; without a status the condition does not apply and is left out.
type judgement struct {
	status          metav1.ConditionStatus
	reason, message string
}

var doesNotApply = judgement{}

// status computes the whole status of a policy from its summary. invalid is why the spec cannot be read.
func status(policy *v1alpha1.LimitPolicy, s *summary, recent []v1alpha1.RepairRecord, invalid error) v1alpha1.LimitPolicyStatus {
	out := *policy.Status.DeepCopy()
	out.ObservedGeneration = policy.Generation
	out.Namespaces = &v1alpha1.NamespaceCounts{Selected: int32(s.selected), Covered: int32(s.covered), Failed: int32(s.failed)}
	if s.unseen == 0 && s.unreported == 0 {
		out.Report = s.report.status()
	}
	if s.unseen == 0 {
		out.Overridden = slices.Clone(s.overridden[:min(len(s.overridden), maxOverridden)])
	}
	out.Repairs = mergeRepairs(recent, policy.Status.Repairs)
	for _, condition := range []struct {
		name    string
		verdict judgement
	}{
		{v1alpha1.ConditionReady, ready(policy, s, invalid)},
		{v1alpha1.ConditionReconciling, reconciling(s, invalid)},
		{v1alpha1.ConditionStalled, stalled(s, invalid)},
		{v1alpha1.ConditionConflicted, conflicted(s)},
		{v1alpha1.ConditionContested, contested(s)},
		{v1alpha1.ConditionOverridden, overridden(s)},
		{v1alpha1.ConditionDrifted, drifted(s)},
	} {
		if condition.verdict == doesNotApply {
			meta.RemoveStatusCondition(&out.Conditions, condition.name)
			continue
		}
		meta.SetStatusCondition(&out.Conditions, metav1.Condition{
			Type: condition.name, Status: condition.verdict.status, Reason: condition.verdict.reason,
			Message: cut(condition.verdict.message), ObservedGeneration: policy.Generation,
		})
	}
	return out
}

// ready is True only when every selected namespace is verified to be as the policies want it.
func ready(policy *v1alpha1.LimitPolicy, s *summary, invalid error) judgement {
	not := func(reason, format string, args ...any) judgement {
		return judgement{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
	}
	switch {
	case invalid != nil:
		return not(v1alpha1.ReasonInvalidSpec, "%v; what was in force stays in force", invalid)
	case s.refused.count > 0:
		return not(v1alpha1.ReasonRefused, "%s; what was in force stays in force", &s.refused)
	case s.conflicts.count > 0:
		return not(v1alpha1.ReasonNameTaken, "%s was not made by Fairlead; delete it, or set its annotation %s to \"true\"",
			&s.conflicts, v1alpha1.AnnotationAdopt)
	case s.failures.count > 0:
		return not(v1alpha1.ReasonApplyFailed, "being retried: %s", &s.failures)
	case s.paused > 0:
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonPaused,
			fmt.Sprintf("nothing is written or verified in %d namespaces while a policy that selects them has the annotation %s", s.paused, v1alpha1.AnnotationPaused)}
	case s.drifted.count > 0:
		return not(v1alpha1.ReasonForeignEdits, "left as found: %s", &s.drifted)
	case s.covered < s.selected && s.contested.count > 0:
		return not(v1alpha1.ReasonRepeatedEdits, "%s", &s.contested)
	case s.covered < s.selected:
		return not(v1alpha1.ReasonProgressing, "%d of %d namespaces covered", s.covered, s.selected)
	case policy.Spec.Enforcement == v1alpha1.DryRun:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonDryRun, fmt.Sprintf("%d namespaces examined, nothing written", s.selected)}
	default:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonEnforced, fmt.Sprintf("in force in %d namespaces", s.selected)}
	}
}

func reconciling(s *summary, invalid error) judgement {
	if invalid != nil || s.covered == s.selected || s.paused > 0 || s.drifted.count > 0 {
		return doesNotApply
	}
	if s.failures.count > 0 {
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonApplyFailed, "being retried: " + s.failures.String()}
	}
	if s.unseen == 0 && s.refused.count+s.conflicts.count > 0 {
		return doesNotApply
	}
	return judgement{metav1.ConditionTrue, v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d namespaces covered", s.covered, s.selected)}
}

func stalled(s *summary, invalid error) judgement {
	switch {
	case invalid != nil:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec, invalid.Error()}
	case s.refused.count > 0:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonRefused, s.refused.String()}
	default:
		return doesNotApply
	}
}

func conflicted(s *summary) judgement {
	switch {
	case s.conflicts.count > 0:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonNameTaken, "not made by Fairlead: " + s.conflicts.String()}
	case s.foreign.count > 0:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonForeignLimits, "another LimitRange bounds the same namespace: " + s.foreign.String()}
	default:
		return doesNotApply
	}
}

func contested(s *summary) judgement {
	if s.contested.count == 0 {
		return doesNotApply
	}
	return judgement{metav1.ConditionTrue, v1alpha1.ReasonRepeatedEdits, "broken again and again: " + s.contested.String()}
}

func overridden(s *summary) judgement {
	if len(s.overridden) == 0 {
		return doesNotApply
	}
	first := s.overridden[0]
	text := fmt.Sprintf("%s %s lost to %s of policy %s in %d namespaces", first.Field, first.Value, first.Winning, first.Winner, first.Namespaces)
	if more := len(s.overridden) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return judgement{metav1.ConditionTrue, v1alpha1.ReasonHigherPriorityWins, text}
}

func drifted(s *summary) judgement {
	if s.drifted.count == 0 {
		return doesNotApply
	}
	return judgement{metav1.ConditionTrue, v1alpha1.ReasonForeignEdits, "left as found: " + s.drifted.String()}
}

// mergeRepairs puts what is new before what the status told before a restart.
func mergeRepairs(recent, before []v1alpha1.RepairRecord) []v1alpha1.RepairRecord {
	out := slices.Clone(recent)
	for _, record := range before {
		if !slices.ContainsFunc(recent, func(r v1alpha1.RepairRecord) bool { return sameRepair(r, record) }) {
			out = append(out, record)
		}
	}
	return out[:min(len(out), maxRepairs)]
}

func sameRepair(a, b v1alpha1.RepairRecord) bool {
	same := a.Time.Equal(&b.Time)
	a.Time, b.Time = metav1.Time{}, metav1.Time{}
	return same && a == b
}

// cut bounds a message far below the API's limit of 32768 bytes: a person reads it.
func cut(message string) string {
	const most = 512
	if len(message) <= most {
		return message
	}
	return message[:most-len("…")] + "…"
}
