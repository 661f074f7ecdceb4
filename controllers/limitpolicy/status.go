// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"slices"
	"strings"

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

// evidence is what a status is computed from, beside the policy itself.
type evidence struct {
	summary
	// known is false where no spec of the policy could ever be read since the start: the counts say nothing.
	known bool
	// invalid is why the spec cannot be read.
	invalid error
	repairs []v1alpha1.RepairRecord
}

// status computes the whole status of a policy.
func status(policy *v1alpha1.LimitPolicy, e *evidence) v1alpha1.LimitPolicyStatus {
	out := *policy.Status.DeepCopy()
	out.ObservedGeneration = policy.Generation
	if e.known {
		out.Namespaces = &v1alpha1.NamespaceCounts{Selected: int32(e.selected), Covered: int32(e.covered), Failed: int32(e.failed)}
		if e.unreported == 0 {
			out.Report = e.report.status()
		} else if policy.Status.ObservedGeneration != policy.Generation {
			// What was found for an earlier spec says nothing about this one.
			out.Report = nil
		}
		if e.unseen == 0 {
			out.Overridden = slices.Clone(e.overridden[:min(len(e.overridden), maxOverridden)])
		}
	}
	out.Repairs = mergeRepairs(e.repairs, policy.Status.Repairs)
	for _, condition := range []struct {
		name    string
		verdict judgement
	}{
		{v1alpha1.ConditionReady, ready(policy, e)},
		{v1alpha1.ConditionReconciling, reconciling(policy, e)},
		{v1alpha1.ConditionStalled, stalled(policy, e)},
		{v1alpha1.ConditionConflicted, conflicted(e)},
		{v1alpha1.ConditionContested, contested(e)},
		{v1alpha1.ConditionOverridden, overridden(e)},
		{v1alpha1.ConditionDrifted, drifted(e)},
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

func no(reason, format string, args ...any) judgement {
	return judgement{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func yes(reason, format string, args ...any) judgement {
	return judgement{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

const staysInForce = "; what was in force stays in force"

// ready is True only when every selected namespace is verified to be as the policies want it.
func ready(policy *v1alpha1.LimitPolicy, e *evidence) judgement {
	switch {
	case e.invalid != nil:
		return no(v1alpha1.ReasonInvalidSpec, "%v"+staysInForce, e.invalid)
	case e.refused.count > 0:
		return no(v1alpha1.ReasonRefused, "%s"+staysInForce, &e.refused)
	case e.conflicts.count > 0:
		return no(v1alpha1.ReasonNameTaken, "%s was not made by Fairlead; delete it, or set its annotation %s to \"true\"",
			&e.conflicts, v1alpha1.AnnotationAdopt)
	case e.failures.count > 0:
		return no(v1alpha1.ReasonApplyFailed, "being retried: %s", &e.failures)
	case e.holds.count > 0:
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonPaused, "nothing is written or verified: " + e.holds.String()}
	case paused(policy):
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonPaused, "nothing is written or verified: the annotation " + v1alpha1.AnnotationPaused + " is set"}
	case e.drifted.count > 0:
		return no(v1alpha1.ReasonForeignEdits, "left as found: %s", &e.drifted)
	case e.covered < e.selected && e.contested.count > 0:
		return no(v1alpha1.ReasonRepeatedEdits, "%s", &e.contested)
	case !e.settled(policy):
		return no(v1alpha1.ReasonProgressing, "%s", e.progress(policy))
	case dryRun(policy):
		return yes(v1alpha1.ReasonDryRun, "%d namespaces examined, nothing written", e.selected)
	default:
		return yes(v1alpha1.ReasonEnforced, "in force in %d namespaces", e.selected)
	}
}

func dryRun(policy *v1alpha1.LimitPolicy) bool { return policy.Spec.Enforcement == v1alpha1.DryRun }

// settled reports whether all is done that the policy asks for; of a dry run, that is a report.
func (e *evidence) settled(policy *v1alpha1.LimitPolicy) bool {
	return e.covered == e.selected && !(dryRun(policy) && e.unreported > 0)
}

func (e *evidence) progress(policy *v1alpha1.LimitPolicy) string {
	text := fmt.Sprintf("%d of %d namespaces covered", e.covered, e.selected)
	if dryRun(policy) {
		text = fmt.Sprintf("%d of %d namespaces examined", e.selected-e.unreported, e.selected)
	}
	if e.terminating.count > 0 {
		text += "; waiting for what somebody is deleting: " + e.terminating.String()
	}
	return text
}

// reconciling is True while the operator itself has work left.
func reconciling(policy *v1alpha1.LimitPolicy, e *evidence) judgement {
	switch {
	case e.invalid != nil:
		return doesNotApply
	case e.failures.count > 0:
		return yes(v1alpha1.ReasonApplyFailed, "being retried: %s", &e.failures)
	case e.working > 0 || dryRun(policy) && e.unreported > 0:
		return yes(v1alpha1.ReasonProgressing, "%s", e.progress(policy))
	default:
		return doesNotApply
	}
}

// stalled is True where a person has to move; never while the operator still has work itself.
func stalled(policy *v1alpha1.LimitPolicy, e *evidence) judgement {
	switch {
	case e.invalid != nil:
		return yes(v1alpha1.ReasonInvalidSpec, "%v", e.invalid)
	case reconciling(policy, e) != doesNotApply:
		return doesNotApply
	case e.refused.count > 0:
		return yes(v1alpha1.ReasonRefused, "%s", &e.refused)
	case e.conflicts.count > 0:
		return yes(v1alpha1.ReasonNameTaken, "not made by Fairlead: %s", &e.conflicts)
	default:
		return doesNotApply
	}
}

func conflicted(e *evidence) judgement {
	switch {
	case e.conflicts.count > 0:
		return yes(v1alpha1.ReasonNameTaken, "not made by Fairlead: %s", &e.conflicts)
	case e.foreign.count > 0:
		return yes(v1alpha1.ReasonForeignLimits, "another LimitRange bounds the same namespace: %s", &e.foreign)
	default:
		return doesNotApply
	}
}

func contested(e *evidence) judgement {
	if e.contested.count == 0 {
		return doesNotApply
	}
	return yes(v1alpha1.ReasonRepeatedEdits, "broken again and again: %s", &e.contested)
}

func overridden(e *evidence) judgement {
	if len(e.overridden) == 0 {
		return doesNotApply
	}
	first := e.overridden[0]
	text := fmt.Sprintf("%s %s lost to %s of policy %s in %d namespaces", first.Field, first.Value, first.Winning, first.Winner, first.Namespaces)
	if more := len(e.overridden) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return yes(v1alpha1.ReasonHigherPriorityWins, "%s", text)
}

func drifted(e *evidence) judgement {
	if e.drifted.count == 0 {
		return doesNotApply
	}
	return yes(v1alpha1.ReasonForeignEdits, "left as found: %s", &e.drifted)
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
	if len(message) > most {
		message = message[:most-len("…")] + "…"
	}
	// The API server would replace what is no UTF-8, and the status would never be as computed.
	return strings.ToValidUTF8(message, "")
}
