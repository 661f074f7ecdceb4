// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// evidence is what a status is computed from, beside the mesh itself.
type evidence struct {
	// outcome is nil where the mesh was not applied since the start; so are definitions and nodes for what meshes share.
	outcome            *outcome
	definitions, nodes *shared
	repairs            []v1alpha1.RepairRecord
	ca                 *v1alpha1.MeshCA
}

// status computes the whole status of a mesh.
func status(mesh *v1alpha1.Mesh, e *evidence) v1alpha1.MeshStatus {
	out := *mesh.Status.DeepCopy()
	out.ObservedGeneration = mesh.Generation
	out.Repairs = drift.Merge(e.repairs, mesh.Status.Repairs)
	if len(out.Repairs) == 0 {
		out.Repairs = nil
	}
	j := judge{mesh: mesh, evidence: e}
	if e.outcome != nil && e.outcome.decided {
		tell := &e.outcome.told
		out.Problems = boundedProblems(tell.problems)
		out.DesiredVersion, out.RunningVersion = tell.desired, tell.running
		out.Revisions, out.Members, out.Upgrade, out.History = tell.revisions, tell.members, tell.upgrade, tell.history
	}
	out.CA = e.ca
	j.sample()
	conditions.Set(&out.Conditions, mesh.Generation,
		conditions.Condition{Type: v1alpha1.ConditionReady, Verdict: j.ready()},
		conditions.Condition{Type: v1alpha1.ConditionReconciling, Verdict: j.reconciling()},
		conditions.Condition{Type: v1alpha1.ConditionStalled, Verdict: j.stalled()},
		conditions.Condition{Type: v1alpha1.ConditionConflicted, Verdict: j.sampled(&j.conflicts, v1alpha1.ReasonNameTaken, "not made by Fairlead: %s")},
		conditions.Condition{Type: v1alpha1.ConditionContested, Verdict: j.sampled(&j.contested, v1alpha1.ReasonRepeatedEdits, "broken again and again: %s")},
		conditions.Condition{Type: v1alpha1.ConditionDrifted, Verdict: j.sampled(&j.drifted, v1alpha1.ReasonForeignEdits, "left as found: %s")},
	)
	return out
}

func boundedProblems(all []v1alpha1.Problem) *v1alpha1.Problems {
	if len(all) == 0 {
		return nil
	}
	return &v1alpha1.Problems{Count: int32(len(all)), Top: slices.Clone(all[:min(len(all), maxProblems)])}
}

// judge derives conditions.
type judge struct {
	*evidence
	mesh *v1alpha1.Mesh
	// What stands in the way, with the first in the order of the alphabet.
	refused, conflicts, contested, drifted, terminating, unserved conditions.Sample
}

// sample notes what stands in the way, in what the mesh has and in what it shares.
func (j *judge) sample() {
	if j.outcome == nil {
		return
	}
	results := []*shared{{result: j.outcome.result}, j.definitions}
	if j.outcome.nodes != nil {
		results = append(results, j.nodes)
	}
	for _, s := range results {
		if s == nil {
			continue
		}
		for _, refusal := range s.result.Refused {
			j.refused.Add(refusal.Ref.String() + ": " + refusal.Message)
		}
		for _, conflict := range s.result.Conflicts {
			j.conflicts.Add(conflict.Ref.String())
		}
		for _, contest := range s.result.Contested {
			j.contested.Add(conditions.ContestText(contest))
		}
		for _, ref := range s.result.Drifted {
			j.drifted.Add(ref.String())
		}
		for _, ref := range slices.Concat(s.result.Terminating, s.result.Going) {
			j.terminating.Add(ref.String())
		}
		for _, ref := range s.result.Unserved {
			j.unserved.Add(ref.String())
		}
	}
}

func (j *judge) sampled(s *conditions.Sample, reason, format string) conditions.Verdict {
	if s.Count == 0 {
		return conditions.DoesNotApply
	}
	return conditions.Yes(reason, format, s)
}

// ready is True only when all objects are as they should be, and the control plane injects.
func (j *judge) ready() conditions.Verdict {
	for _, verdict := range []func() conditions.Verdict{j.leaving, j.blocked, j.applied} {
		if v := verdict(); v != conditions.DoesNotApply {
			return v
		}
	}
	return j.decided(j.outcome.decision.Ready)
}

// decided is what the rollout says, in the words of the conditions.
func (j *judge) decided(verdict rollout.Verdict) conditions.Verdict {
	v := conditions.Verdict(verdict)
	switch {
	case v.Reason == rollout.ReasonVersionRefused:
		v.Reason = cmp.Or(j.outcome.refusal, v1alpha1.ReasonUnsupportedUpgrade)
		v.Message += conditions.StaysInForce
	case v.Reason == rollout.ReasonProgressing && v.Status != metav1.ConditionTrue && j.outcome.decision.Progress.Good.IsZero() && j.outcome.lacks != "":
		v.Reason, v.Message = v1alpha1.ReasonIstiodUnavailable, j.outcome.lacks
	case (v.Reason == rollout.ReasonUnavailable || v.Reason == rollout.ReasonDeadline) && j.outcome.lacks != "":
		v.Message += ": " + j.outcome.lacks
	case v.Status == metav1.ConditionTrue && v.Reason == rollout.ReasonInForce && j.mesh.Spec.RollbackTo > 0:
		v.Reason = v1alpha1.ReasonRollbackInForce
	}
	return v
}

// leaving is that the mesh is being deleted.
func (j *judge) leaving() conditions.Verdict {
	switch {
	case j.mesh.DeletionTimestamp == nil:
		return conditions.DoesNotApply
	case j.outcome != nil && j.outcome.held > 0:
		return conditions.No(v1alpha1.ReasonMembersRemain,
			"the mesh is being deleted, and stays until %d proxies of it are gone; set uninstall.withMembers to Proceed not to wait", j.outcome.held)
	default:
		return conditions.No(v1alpha1.ReasonUninstalling, "the mesh is being deleted")
	}
}

// blocked is what keeps the objects from being as they should be.
func (j *judge) blocked() conditions.Verdict {
	switch {
	case j.outcome == nil:
		return conditions.DoesNotApply
	case j.outcome.stuck != (stuck{}):
		return conditions.No(j.outcome.stuck.reason, "%s"+conditions.StaysInForce, j.outcome.stuck.message)
	case j.definitions != nil && j.definitions.stuck != (stuck{}):
		return conditions.No(j.definitions.stuck.reason, "%s", j.definitions.stuck.message)
	case j.outcome.nodes != nil && j.nodes != nil && j.nodes.stuck != (stuck{}):
		return conditions.No(j.nodes.stuck.reason, "%s", j.nodes.stuck.message)
	case j.refused.Count > 0:
		return conditions.No(v1alpha1.ReasonRefused, "%s"+conditions.StaysInForce, &j.refused)
	case j.conflicts.Count > 0:
		return conditions.No(v1alpha1.ReasonNameTaken, "%s was not made by Fairlead; delete it, or set its annotation %s to \"true\"",
			&j.conflicts, v1alpha1.AnnotationAdopt)
	case j.failure() != "":
		return conditions.No(v1alpha1.ReasonApplyFailed, "being retried: %s", j.failure())
	default:
		return conditions.DoesNotApply
	}
}

// failure is the class of an error that is being retried, empty for none.
func (j *judge) failure() string {
	switch {
	case j.outcome.failure != "":
		return j.outcome.failure
	case j.definitions != nil && j.definitions.failure != "":
		return j.definitions.failure
	case j.outcome.nodes != nil && j.nodes != nil:
		return j.nodes.failure
	default:
		return ""
	}
}

// applied is whether the objects are as they should be.
func (j *judge) applied() conditions.Verdict {
	switch {
	case paused(j.mesh):
		return conditions.Unknown(v1alpha1.ReasonPaused, "nothing is written or verified: the annotation %s is set", v1alpha1.AnnotationPaused)
	case j.drifted.Count > 0:
		return conditions.No(v1alpha1.ReasonForeignEdits, "left as found: %s", &j.drifted)
	case j.working() && j.contested.Count > 0:
		return conditions.No(v1alpha1.ReasonRepeatedEdits, "%s", &j.contested)
	case j.working():
		return conditions.No(v1alpha1.ReasonProgressing, "%s", j.progress())
	default:
		return conditions.DoesNotApply
	}
}

// working reports whether the operator has objects left to bring into force.
func (j *judge) working() bool {
	return !j.looked() || !j.outcome.result.Done() || j.terminating.Count > 0 ||
		!j.definitions.covers(j.mesh.Name, j.outcome) || j.outcome.nodes != nil && !j.nodes.covers(j.mesh.Name, j.outcome)
}

// looked reports whether the spec as it is now was looked at.
func (j *judge) looked() bool { return j.outcome != nil && j.outcome.generation == j.mesh.Generation }

func (j *judge) progress() string {
	switch {
	case !j.looked():
		return "the spec was not looked at yet"
	case j.terminating.Count > 0:
		return "waiting for what somebody is deleting: " + j.terminating.String()
	case j.unserved.Count > 0:
		return "waiting for the API server to serve Istio's kinds: " + j.unserved.String()
	default:
		return "objects are being made"
	}
}

// reconciling is True while something goes on by itself.
func (j *judge) reconciling() conditions.Verdict {
	if v := j.leaving(); v != conditions.DoesNotApply {
		if v.Reason == v1alpha1.ReasonMembersRemain {
			// While members restart, nobody has to move.
			if j.outcome.decision.Progress.Phase == rollout.Idle {
				return j.underWay()
			}
			return conditions.DoesNotApply
		}
		return conditions.Yes(v.Reason, "%s", v.Message)
	}
	if j.outcome != nil {
		switch {
		case paused(j.mesh):
			return conditions.DoesNotApply
		case j.looked() && j.blocked() != conditions.DoesNotApply && j.failure() == "":
			return conditions.DoesNotApply
		case j.failure() != "":
			return conditions.Yes(v1alpha1.ReasonApplyFailed, "being retried: %s", j.failure())
		case j.drifted.Count > 0:
			return conditions.DoesNotApply
		}
	}
	if j.working() {
		return conditions.Yes(v1alpha1.ReasonProgressing, "%s", j.progress())
	}
	return j.underWay()
}

// underWay is that the rollout goes on by itself, and gets on.
func (j *judge) underWay() conditions.Verdict {
	if j.outcome.decision.Stalled.Status == metav1.ConditionTrue {
		return conditions.DoesNotApply
	}
	return j.onlyTrue(j.outcome.decision.Reconciling)
}

// onlyTrue is a verdict of the rollout where it applies.
func (j *judge) onlyTrue(verdict rollout.Verdict) conditions.Verdict {
	if verdict.Status != metav1.ConditionTrue {
		return conditions.DoesNotApply
	}
	return j.decided(verdict)
}

// stalled is True where a person has to move; never while something still goes on by itself.
func (j *judge) stalled() conditions.Verdict {
	if j.reconciling() != conditions.DoesNotApply || j.outcome == nil {
		return conditions.DoesNotApply
	}
	verdict := j.leaving()
	if verdict == conditions.DoesNotApply {
		verdict = j.blocked()
	}
	if verdict == conditions.DoesNotApply {
		return j.onlyTrue(j.outcome.decision.Stalled)
	}
	return conditions.Yes(verdict.Reason, "%s", verdict.Message)
}
