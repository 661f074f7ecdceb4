// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "time"

// State is all that a decision depends on.
type State struct {
	// Now is the time of the look.
	Now time.Time
	// Up is when this operator began to watch. What happened while nobody looked shows before a deadline is held against it.
	Up   time.Time
	Spec Spec
	// Revisions are those of this mesh that are installed, whoever did it.
	Revisions []Revision
	// Namespaces are the members, and all others that name a revision of this mesh or run proxies of one.
	Namespaces []Namespace
	// Proxies counts the running proxies of each revision in the whole cluster, gateways and pods that terminate
	// among them, finished pods not.
	Proxies map[string]int
	// Budgets are the disruptions that each PodDisruptionBudget allows now, by namespace/name.
	Budgets map[string]int
	// Progress is what the last decision persisted.
	Progress Progress
}

// Revision is an istiod that is installed, with what makes it fit to inject.
type Revision struct {
	// Release is what was last applied under this name. Its Source is empty if somebody else did it.
	Release
	// RolledOut is that all of its replicas run that release and are ready.
	RolledOut bool
	// CABundle is that its injection webhook has one, Answers that the webhook can be reached, Injects that a dry-run pod
	// came back with its proxy.
	CABundle, Answers, Injects bool
}

// Namespace is a namespace that has to do with the mesh.
type Namespace struct {
	Name string
	// Member is that the mesh selects it, and no other mesh has it.
	Member bool
	// Revision is its label istio.io/rev.
	Revision string
	// LabelledAt is when that label was last written; zero if that is long ago.
	LabelledAt time.Time
	// Contradiction is a foreign label that keeps the revision from injecting here, such as istio-injection=enabled.
	Contradiction string
	Workloads     []Workload
}

// Kinds of workloads that restart. All others are listed and not touched.
const (
	Deployment  = "Deployment"
	StatefulSet = "StatefulSet"
	DaemonSet   = "DaemonSet"
)

// Workload is what owns some pods; a bare pod owns itself. One that wants no proxy is not listed.
type Workload struct {
	Kind, Name string
	// Replicas are wanted, Ready of its pods are ready.
	Replicas, Ready int
	// RolledOut is that its controller has seen its template and brought all pods to it, or as many as its strategy lets it:
	// one that is paused holds nobody up.
	RolledOut bool
	// Proxies counts its pods by proxy: those that neither finished nor terminate. The zero Proxy is a pod without one.
	Proxies map[Proxy]int
	// Disrupts is how many ready pods its own rolling update takes away at once: maxUnavailable of a Deployment or a DaemonSet, 1 of
	// a StatefulSet, all with Recreate.
	Disrupts int
	// Budgets are the PodDisruptionBudgets that select its pods, by namespace/name.
	Budgets []string
	// Untouchable says why a restart is not ours to make or does nothing: paused, or OnDelete.
	Untouchable string
	// Cause is the annotation in its pod template that its last restart by us left, RestartedAt the time of it, which
	// is an annotation of the workload itself: written again, it restarts nothing.
	Cause       string
	RestartedAt time.Time
}

// Proxy is the proxy of a pod.
type Proxy struct {
	Revision string
	// Version is empty if it is not known, which counts as right.
	Version string
}

func (w *Workload) healthy() bool { return w.RolledOut && w.Ready >= w.Replicas }

// serves: the revision injects, be it with old replicas while new ones start.
func (r *Revision) serves() bool { return r != nil && r.CABundle && r.Answers && r.Injects }

// unmet counts what is missing until a namespace may move to the release.
func (r *Revision) unmet(release Release) int {
	if r == nil || r.Release != release {
		return 5
	}
	n := 0
	for _, met := range []bool{r.RolledOut, r.CABundle, r.Answers, r.Injects} {
		if !met {
			n++
		}
	}
	return n
}
