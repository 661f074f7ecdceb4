// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/internal/drift"
)

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
		// While not all is seen, what was known stays; but the condition never speaks of a loss that the list does not have.
		if e.unseen == 0 || len(e.overridden) > 0 {
			out.Overridden = slices.Clone(e.overridden[:min(len(e.overridden), maxOverridden)])
		}
	}
	out.Repairs = drift.Merge(e.repairs, policy.Status.Repairs)
	conditions.Set(&out.Conditions, policy.Generation,
		conditions.Condition{Type: v1alpha1.ConditionReady, Verdict: ready(policy, e)},
		conditions.Condition{Type: v1alpha1.ConditionReconciling, Verdict: reconciling(policy, e)},
		conditions.Condition{Type: v1alpha1.ConditionStalled, Verdict: stalled(policy, e)},
		conditions.Condition{Type: v1alpha1.ConditionConflicted, Verdict: conflicted(e)},
		conditions.Condition{Type: v1alpha1.ConditionContested, Verdict: contested(e)},
		conditions.Condition{Type: v1alpha1.ConditionOverridden, Verdict: overridden(e)},
		conditions.Condition{Type: v1alpha1.ConditionDrifted, Verdict: drifted(e)},
	)
	return out
}

// ready is True only when every selected namespace is verified to be as the policies want it.
func ready(policy *v1alpha1.LimitPolicy, e *evidence) conditions.Verdict {
	switch {
	case e.invalid != nil:
		return conditions.No(v1alpha1.ReasonInvalidSpec, "%v"+conditions.StaysInForce, e.invalid)
	case e.refused.Count > 0:
		return conditions.No(v1alpha1.ReasonRefused, "%s"+conditions.StaysInForce, &e.refused)
	case e.conflicts.Count > 0:
		return conditions.No(v1alpha1.ReasonNameTaken, "%s was not made by Fairlead; delete it, or set its annotation %s to \"true\"",
			&e.conflicts, v1alpha1.AnnotationAdopt)
	case e.failures.Count > 0:
		return conditions.No(v1alpha1.ReasonApplyFailed, "being retried: %s", &e.failures)
	case e.holds.Count > 0:
		return conditions.Unknown(v1alpha1.ReasonPaused, "%s", "nothing is written or verified: "+e.holds.String())
	case paused(policy):
		return conditions.Unknown(v1alpha1.ReasonPaused, "%s", "nothing is written or verified: the annotation "+v1alpha1.AnnotationPaused+" is set")
	case e.drifted.Count > 0:
		return conditions.No(v1alpha1.ReasonForeignEdits, "left as found: %s", &e.drifted)
	case e.covered < e.selected && e.contested.Count > 0:
		return conditions.No(v1alpha1.ReasonRepeatedEdits, "%s", &e.contested)
	case !e.settled(policy):
		return conditions.No(v1alpha1.ReasonProgressing, "%s", e.progress(policy))
	case dryRun(policy):
		return conditions.Yes(v1alpha1.ReasonDryRun, "%d namespaces examined, nothing written", e.selected)
	default:
		return conditions.Yes(v1alpha1.ReasonEnforced, "in force in %d namespaces", e.selected)
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
	if e.terminating.Count > 0 {
		text += "; waiting for what somebody is deleting: " + e.terminating.String()
	}
	return text
}

// reconciling is True while the operator itself has work left.
func reconciling(policy *v1alpha1.LimitPolicy, e *evidence) conditions.Verdict {
	switch {
	case e.invalid != nil:
		return conditions.DoesNotApply
	case e.failures.Count > 0:
		return conditions.Yes(v1alpha1.ReasonApplyFailed, "being retried: %s", &e.failures)
	case e.working > 0 || dryRun(policy) && e.unreported > 0:
		return conditions.Yes(v1alpha1.ReasonProgressing, "%s", e.progress(policy))
	default:
		return conditions.DoesNotApply
	}
}

// stalled is True where a person has to move; never while the operator still has work itself.
func stalled(policy *v1alpha1.LimitPolicy, e *evidence) conditions.Verdict {
	switch {
	case e.invalid != nil:
		return conditions.Yes(v1alpha1.ReasonInvalidSpec, "%v", e.invalid)
	case reconciling(policy, e) != conditions.DoesNotApply:
		return conditions.DoesNotApply
	case e.refused.Count > 0:
		return conditions.Yes(v1alpha1.ReasonRefused, "%s", &e.refused)
	case e.conflicts.Count > 0:
		return conditions.Yes(v1alpha1.ReasonNameTaken, "not made by Fairlead: %s", &e.conflicts)
	default:
		return conditions.DoesNotApply
	}
}

func conflicted(e *evidence) conditions.Verdict {
	switch {
	case e.conflicts.Count > 0:
		return conditions.Yes(v1alpha1.ReasonNameTaken, "not made by Fairlead: %s", &e.conflicts)
	case e.foreign.Count > 0:
		return conditions.Yes(v1alpha1.ReasonForeignLimits, "another LimitRange bounds the same namespace: %s", &e.foreign)
	default:
		return conditions.DoesNotApply
	}
}

func contested(e *evidence) conditions.Verdict {
	if e.contested.Count == 0 {
		return conditions.DoesNotApply
	}
	return conditions.Yes(v1alpha1.ReasonRepeatedEdits, "broken again and again: %s", &e.contested)
}

func overridden(e *evidence) conditions.Verdict {
	if len(e.overridden) == 0 {
		return conditions.DoesNotApply
	}
	first := e.overridden[0]
	text := fmt.Sprintf("%s %s lost to %s of policy %s in %d namespaces", first.Field, first.Value, first.Winning, first.Winner, first.Namespaces)
	if more := len(e.overridden) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return conditions.Yes(v1alpha1.ReasonHigherPriorityWins, "%s", text)
}

func drifted(e *evidence) conditions.Verdict {
	if e.drifted.Count == 0 {
		return conditions.DoesNotApply
	}
	return conditions.Yes(v1alpha1.ReasonForeignEdits, "left as found: %s", &e.drifted)
}
