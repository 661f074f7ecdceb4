// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
)

// evidence is what a status is computed from, beside the load balancer itself.
type evidence struct {
	// outcome is nil where the load balancer was not applied since the start.
	outcome *outcome
	repairs []v1alpha1.RepairRecord
	// deployment and service are nil where they do not exist.
	deployment *appsv1.Deployment
	service    *corev1.Service
	// reports are those of pods that live.
	reports []v1alpha1.ReplicaReport
}

// status computes the whole status of a load balancer.
func status(lb *v1alpha1.LoadBalancer, e *evidence) v1alpha1.LoadBalancerStatus {
	out := *lb.Status.DeepCopy()
	out.ObservedGeneration = lb.Generation
	out.Addresses = e.addresses()
	out.Replicas = e.replicas()
	if e.outcome != nil {
		out.Problems = e.problems()
	}
	out.Repairs = e.mergedRepairs(lb.Status.Repairs)
	j := judge{lb: lb, evidence: e, replicas: *out.Replicas, problems: out.Problems}
	j.sample()
	conditions.Set(&out.Conditions, lb.Generation,
		conditions.Condition{Type: v1alpha1.ConditionReady, Verdict: j.ready()},
		conditions.Condition{Type: v1alpha1.ConditionReconciling, Verdict: j.reconciling()},
		conditions.Condition{Type: v1alpha1.ConditionStalled, Verdict: j.stalled()},
		conditions.Condition{Type: v1alpha1.ConditionConflicted, Verdict: j.sampled(&j.conflicts, v1alpha1.ReasonNameTaken, "not made by Fairlead: %s")},
		conditions.Condition{Type: v1alpha1.ConditionContested, Verdict: j.sampled(&j.contested, v1alpha1.ReasonRepeatedEdits, "broken again and again: %s")},
		conditions.Condition{Type: v1alpha1.ConditionDrifted, Verdict: j.sampled(&j.drifted, v1alpha1.ReasonForeignEdits, "left as found: %s")},
	)
	return out
}

// judge derives conditions.
type judge struct {
	*evidence
	lb       *v1alpha1.LoadBalancer
	replicas v1alpha1.ReplicaCounts
	problems *v1alpha1.Problems
	// What stands in the way, with the first in the order of the alphabet.
	refused, conflicts, contested, drifted, terminating, going, refusals conditions.Sample
}

// sample notes what stands in the way.
func (j *judge) sample() {
	for _, report := range j.reports {
		if report.Refused != "" {
			j.refusals.Add(report.Refused)
		}
	}
	if j.outcome == nil {
		return
	}
	result := &j.outcome.result
	for _, refusal := range result.Refused {
		j.refused.Add(refusal.Ref.String() + ": " + refusal.Message)
	}
	for _, conflict := range result.Conflicts {
		j.conflicts.Add(conflict.Ref.String())
	}
	for _, contest := range result.Contested {
		j.contested.Add(conditions.ContestText(contest))
	}
	for _, ref := range result.Drifted {
		j.drifted.Add(ref.String())
	}
	for _, ref := range result.Terminating {
		j.terminating.Add(ref.String())
	}
	for _, ref := range result.Going {
		j.going.Add(ref.String())
	}
}

func (j *judge) sampled(s *conditions.Sample, reason, format string) conditions.Verdict {
	if s.Count == 0 {
		return conditions.DoesNotApply
	}
	return conditions.Yes(reason, format, s)
}

// ready is True only when all replicas that there should be serve all of the spec, at an address.
func (j *judge) ready() conditions.Verdict {
	for _, verdict := range []func() conditions.Verdict{j.blocked, j.applied, j.serving} {
		if v := verdict(); v != conditions.DoesNotApply {
			return v
		}
	}
	return conditions.Yes(v1alpha1.ReasonInForce, "in force on %d replicas", j.replicas.Current)
}

// blocked is what keeps the objects from being as they should be.
func (j *judge) blocked() conditions.Verdict {
	switch {
	case j.outcome == nil:
		return conditions.DoesNotApply
	case j.outcome.stuck != (stuck{}):
		return conditions.No(j.outcome.stuck.reason, "%s"+conditions.StaysInForce, j.outcome.stuck.message)
	case j.refused.Count > 0:
		return conditions.No(v1alpha1.ReasonRefused, "%s"+conditions.StaysInForce, &j.refused)
	case j.conflicts.Count > 0:
		return conditions.No(v1alpha1.ReasonNameTaken, "%s was not made by Fairlead; delete it, or set its annotation %s to \"true\"",
			&j.conflicts, v1alpha1.AnnotationAdopt)
	case j.outcome.failure != "":
		return conditions.No(v1alpha1.ReasonApplyFailed, "being retried: %s", j.outcome.failure)
	default:
		return conditions.DoesNotApply
	}
}

// applied is whether the objects are as they should be.
func (j *judge) applied() conditions.Verdict {
	switch {
	case paused(j.lb):
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
	return j.outcome == nil || j.outcome.generation != j.lb.Generation || !j.outcome.result.Done() || j.terminating.Count+j.going.Count > 0 ||
		j.deployment == nil || j.service == nil
}

func (j *judge) progress() string {
	if j.outcome == nil || j.outcome.generation != j.lb.Generation {
		return "the spec was not looked at yet"
	}
	if j.terminating.Count > 0 {
		return "waiting for what somebody is deleting: " + j.terminating.String()
	}
	if j.going.Count > 0 {
		return "the API server says that the namespace goes, and takes nothing new: " + j.going.String()
	}
	return "objects are being made"
}

// serving is whether the replicas carry it out, and clients reach them.
func (j *judge) serving() conditions.Verdict {
	want := j.replicas.Desired
	switch {
	case j.unaddressed():
		return conditions.No(v1alpha1.ReasonNoAddress, "Service %s has no address: nothing in the cluster has given it one", j.service.Name)
	case j.refusals.Count > 0:
		return conditions.No(v1alpha1.ReasonRefusedByReplica, "%d of %d replicas do not put the spec in force: %s", j.refusals.Count, want, j.refusals.First)
	case want < 1 || j.replicas.Ready < want || !j.rolledOut():
		return conditions.No(v1alpha1.ReasonUnavailable, "%d of %d replicas are ready", j.replicas.Ready, want)
	case j.replicas.Current < want || int(j.replicas.Current) < len(j.reports):
		return conditions.No(v1alpha1.ReasonOutdatedReplicas, "%d of %d replicas serve the newest spec", j.replicas.Current, max(int(want), len(j.reports)))
	case j.problems != nil && j.problems.Count > 0:
		return conditions.No(v1alpha1.ReasonPartlyInForce, "%s", problemsText(j.problems))
	default:
		return conditions.DoesNotApply
	}
}

func (j *judge) unaddressed() bool {
	return j.service.Spec.Type == corev1.ServiceTypeLoadBalancer && len(j.service.Status.LoadBalancer.Ingress) == 0
}

// rolledOut reports whether all pods are of the newest template, and available.
func (j *judge) rolledOut() bool {
	s := &j.deployment.Status
	return s.ObservedGeneration >= j.deployment.Generation && s.UpdatedReplicas >= j.replicas.Desired &&
		s.AvailableReplicas >= j.replicas.Desired && s.Replicas == s.UpdatedReplicas
}

// reconciling is True while something goes on by itself.
func (j *judge) reconciling() conditions.Verdict {
	if j.outcome != nil {
		switch {
		case j.outcome.stuck != (stuck{}) || paused(j.lb):
			return conditions.DoesNotApply
		case j.outcome.failure != "":
			return conditions.Yes(v1alpha1.ReasonApplyFailed, "being retried: %s", j.outcome.failure)
		case j.refused.Count > 0 || j.conflicts.Count > 0 || j.drifted.Count > 0:
			return conditions.DoesNotApply
		}
	}
	if j.working() {
		return conditions.Yes(v1alpha1.ReasonProgressing, "%s", j.progress())
	}
	switch v := j.serving(); v.Reason {
	case v1alpha1.ReasonNoAddress, v1alpha1.ReasonUnavailable, v1alpha1.ReasonOutdatedReplicas:
		return conditions.Yes(v.Reason, "%s", v.Message)
	default:
		return conditions.DoesNotApply
	}
}

// stalled is True where a person has to move; never while something still goes on by itself.
func (j *judge) stalled() conditions.Verdict {
	if j.reconciling() != conditions.DoesNotApply || j.outcome == nil {
		return conditions.DoesNotApply
	}
	verdict := j.blocked()
	if verdict == conditions.DoesNotApply && j.applied() == conditions.DoesNotApply {
		verdict = j.serving()
	}
	if verdict == conditions.DoesNotApply {
		return verdict
	}
	return conditions.Yes(verdict.Reason, "%s", verdict.Message)
}
