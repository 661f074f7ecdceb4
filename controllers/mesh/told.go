// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

const (
	// maxRevisions bounds the revisions in a status, maxWaiting the workloads that wait, maxProblems the problems.
	maxRevisions = 8
	maxWaiting   = 10
	maxProblems  = 10
)

// told is what a status says of a decision.
type told struct {
	desired, running string
	revisions        []v1alpha1.MeshRevision
	members          *v1alpha1.MemberCounts
	upgrade          *v1alpha1.UpgradeProgress
	history          []v1alpha1.MeshHistoryEntry
	problems         []v1alpha1.Problem
}

// decide notes what was decided, and what there is to tell of it.
func (o *outcome) decide(seen *observed, wanted *wanted, state *rollout.State, decision rollout.Decision) {
	o.decision, o.decided, o.refusal = decision, true, wanted.reason
	o.concerned = make(map[string]bool, len(seen.namespaces))
	for i := range seen.namespaces {
		o.concerned[seen.namespaces[i].Name] = true
	}
	o.told = told{
		desired: desiredVersion(wanted, &decision), problems: wanted.problems, members: memberCounts(seen, &decision),
		upgrade: upgradeProgress(seen.mesh.Status.Upgrade, &decision),
	}
	o.told.revisions = revisionStates(seen, state, &decision)
	good := decision.Progress.Good
	for i := range o.told.revisions {
		if r := &o.told.revisions[i]; r.Name == good.Revision && r.State == v1alpha1.RevisionReady {
			o.told.running = r.Version
		}
	}
	if o.told.running == "" && good.Version != "" && seen.planes[good.Revision] != nil {
		// It did inject, and its pods still do what they were told.
		o.told.running = good.Version
	}
	o.lacks = lacks(seen, state, decision.Progress)
}

// desiredVersion is the exact version that the spec asks for; empty where it asks for none that there is.
func desiredVersion(wanted *wanted, decision *rollout.Decision) string {
	p := &decision.Progress
	switch {
	case wanted.Refused != "":
		return wanted.asked
	case wanted.RollbackTo != nil:
		return wanted.RollbackTo.Version
	case p.Failure != nil || decision.Stalled.Reason == rollout.ReasonVersionRefused:
		return wanted.Resolved
	default:
		return p.Target.Version
	}
}

// revisionStates are the control planes of a mesh, the one that members are moved to first.
func revisionStates(seen *observed, state *rollout.State, decision *rollout.Decision) []v1alpha1.MeshRevision {
	p := &decision.Progress
	var out []v1alpha1.MeshRevision
	for _, release := range decision.Install {
		r := v1alpha1.MeshRevision{Name: release.Revision, Version: release.Version}
		for i := range seen.namespaces {
			ns := &seen.namespaces[i]
			if ns.Revision == release.Revision {
				r.Namespaces++
			}
			for j := range ns.Workloads {
				if runs(&ns.Workloads[j], release.Revision) {
					r.Workloads++
				}
			}
		}
		r.State = revisionState(seen.mesh, state, p, release)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b v1alpha1.MeshRevision) int {
		return cmp.Or(-boolOrder(a.Name == p.Target.Revision, b.Name == p.Target.Revision), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), maxRevisions)]
}

// boolOrder puts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

func runs(w *rollout.Workload, revision string) bool {
	for proxy, count := range w.Proxies {
		if proxy.Revision == revision && count > 0 {
			return true
		}
	}
	return false
}

// revisionState is how it is with a control plane.
func revisionState(mesh *v1alpha1.Mesh, state *rollout.State, p *rollout.Progress, release rollout.Release) v1alpha1.RevisionState {
	if release.Revision != p.Target.Revision && release.Revision != p.Good.Revision {
		return v1alpha1.RevisionRetiring
	}
	at := slices.IndexFunc(state.Revisions, func(r rollout.Revision) bool { return r.Revision == release.Revision })
	if at >= 0 && serves(&state.Revisions[at]) {
		return v1alpha1.RevisionReady
	}
	for _, before := range mesh.Status.Revisions {
		if before.Name == release.Revision && before.State != v1alpha1.RevisionInstalling {
			return v1alpha1.RevisionFailing
		}
	}
	return v1alpha1.RevisionInstalling
}

func serves(r *rollout.Revision) bool { return r.RolledOut && r.CABundle && r.Answers && r.Injects }

// memberCounts counts the members of a mesh; nil where it has none by its spec.
func memberCounts(seen *observed, decision *rollout.Decision) *v1alpha1.MemberCounts {
	if seen.mesh.Spec.Members == nil {
		return nil
	}
	versions := map[string]string{}
	for _, release := range decision.Install {
		versions[release.Revision] = release.Version
	}
	out := &v1alpha1.MemberCounts{Namespaces: int32(seen.count())}
	for i := range seen.namespaces {
		ns := &seen.namespaces[i]
		if !ns.Member {
			continue
		}
		out.Workloads += int32(len(ns.Workloads))
		want := decision.Labels[ns.Name]
		for j := range ns.Workloads {
			if outdated(&ns.Workloads[j], want, versions[want]) {
				out.Outdated++
			}
		}
	}
	out.Waiting = int32(len(decision.Waiting))
	for _, w := range decision.Waiting[:min(len(decision.Waiting), maxWaiting)] {
		out.Top = append(out.Top, v1alpha1.WaitingWorkload{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, Message: w.Why})
	}
	return out
}

// count is how many members a mesh has.
func (s *observed) count() int {
	n := 0
	for i := range s.namespaces {
		if s.namespaces[i].Member {
			n++
		}
	}
	return n
}

// outdated is that a workload has a pod whose proxy is missing, of another revision or of another version.
func outdated(w *rollout.Workload, revision, version string) bool {
	for proxy, count := range w.Proxies {
		if count > 0 && (proxy.Revision != revision || proxy.Version != "" && version != "" && proxy.Version != version) {
			return true
		}
	}
	return false
}

// upgradeProgress is what a status says of the way to the target.
func upgradeProgress(before *v1alpha1.UpgradeProgress, decision *rollout.Decision) *v1alpha1.UpgradeProgress {
	p := &decision.Progress
	if p.Target.IsZero() {
		return nil
	}
	out := &v1alpha1.UpgradeProgress{
		From: p.Good.Version, To: p.Target.Version, Batch: int32(decision.Batch), Batches: int32(decision.Batches),
		StartedAt: second(p.StartedAt), ProgressedAt: second(p.ProgressedAt),
	}
	switch p.Phase {
	case rollout.Installing:
		out.Phase = v1alpha1.UpgradeInstalling
	case rollout.Moving:
		out.Phase = v1alpha1.UpgradeMoving
	case rollout.RollingBack:
		out.Phase = v1alpha1.UpgradeRollingBack
	case rollout.Held:
		out.Phase = v1alpha1.UpgradeHeld
	case rollout.Idle:
		out.Phase = v1alpha1.UpgradeComplete
	}
	if p.Failure != nil {
		out.Message = p.Failure.Message
		if p.Phase == rollout.Idle {
			out.Phase, out.To = v1alpha1.UpgradeRolledBack, p.Failure.Release.Version
		}
	}
	switch {
	case p.Phase == rollout.Idle && decision.Upcoming != "":
		out.Phase, out.From, out.To = v1alpha1.UpgradeWaiting, p.Good.Version, decision.Upcoming
	case p.Phase != rollout.Idle && p.Phase != rollout.Held:
		out.Step = decision.Reconciling.Message
	}
	if out.From == out.To && p.Failure == nil {
		out.From = ""
		if before != nil && before.To == out.To {
			out.From = before.From
		}
	}
	return out
}

// second is a time as a status has it.
func second(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

// lacks says what keeps the target from injecting, or the last good one; empty for nothing.
func lacks(seen *observed, state *rollout.State, p rollout.Progress) string {
	for _, release := range []rollout.Release{p.Target, p.Good} {
		if release.IsZero() || release.Source == "" {
			continue
		}
		at := slices.IndexFunc(state.Revisions, func(r rollout.Revision) bool { return r.Revision == release.Revision })
		if at < 0 {
			return fmt.Sprintf("Deployment %s/%s is not there", seen.mesh.Spec.Namespace, deploymentName(release.Revision))
		}
		if r := &state.Revisions[at]; !serves(r) {
			return lack(seen, r)
		}
	}
	return ""
}

func lack(seen *observed, r *rollout.Revision) string {
	plane := seen.planes[r.Revision]
	switch {
	case !r.RolledOut && plane.deployment != nil:
		return replicasText(plane.deployment)
	case !r.CABundle && len(plane.webhooks) == 0:
		return fmt.Sprintf("the webhook of revision %s is not there", r.Revision)
	case !r.CABundle:
		return fmt.Sprintf("the webhook %s has no certificate of its server yet, which istiod writes", plane.webhooks[0].Name)
	case !r.Answers:
		return fmt.Sprintf("the webhook of revision %s does not answer", r.Revision)
	default:
		return fmt.Sprintf("istiod of revision %s does not inject", r.Revision)
	}
}

func replicasText(d *appsv1.Deployment) string {
	want := int32(0)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	return fmt.Sprintf("Deployment %s/%s: %d of %d pods are of its newest template and available",
		d.Namespace, d.Name, min(d.Status.UpdatedReplicas, d.Status.AvailableReplicas), want)
}
