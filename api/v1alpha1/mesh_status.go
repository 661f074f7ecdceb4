// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MeshRevision is one control plane of a mesh.
type MeshRevision struct {
	// name of the revision, as the label istio.io/rev of namespaces has it.
	Name string `json:"name"`
	// version of Istio.
	Version string `json:"version"`
	// state is Installing, Ready, Failing or Retiring.
	State RevisionState `json:"state"`
	// workloads is how many have proxies of the revision.
	Workloads int32 `json:"workloads"`
	// namespaces is how many are labelled for the revision.
	Namespaces int32 `json:"namespaces"`
}

// RevisionState is how it is with a control plane.
type RevisionState string

const (
	// RevisionInstalling is not ready yet.
	RevisionInstalling RevisionState = "Installing"
	// RevisionReady serves.
	RevisionReady RevisionState = "Ready"
	// RevisionFailing does not serve, though it did or should.
	RevisionFailing RevisionState = "Failing"
	// RevisionRetiring is not wanted any more, and goes when nothing uses it.
	RevisionRetiring RevisionState = "Retiring"
)

// MemberCounts counts the members of a mesh.
type MemberCounts struct {
	// namespaces is how many are members.
	Namespaces int32 `json:"namespaces"`
	// workloads is how many run in members and take part: Deployments and the like, bare pods and Jobs.
	Workloads int32 `json:"workloads"`
	// outdated is how many of these have a proxy that is missing, of another revision or of another version.
	Outdated int32 `json:"outdated"`
	// waiting is how many workloads with a wrong proxy do not restart now: bare pods and Jobs, which are left to their owners,
	// all of them without restartWorkloads, and those whose turn has not come. Those of namespaces that left the mesh count.
	Waiting int32 `json:"waiting"`
	// top lists the first 10 that wait, by namespace and name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Top []WaitingWorkload `json:"top,omitempty"`
}

// WaitingWorkload is a workload whose proxies are missing or outdated and that does not restart now.
type WaitingWorkload struct {
	// kind of the workload: Deployment, StatefulSet, DaemonSet, Job, Pod, or that of whatever owns the pods.
	Kind string `json:"kind"`
	// namespace of the workload.
	Namespace string `json:"namespace"`
	// name of the workload.
	Name string `json:"name"`
	// message says what it waits for.
	Message string `json:"message"`
}

// UpgradeProgress is an upgrade that is under way, or the last one. The installation of the first version is one, too.
type UpgradeProgress struct {
	// from is the version that ran before; empty for the first.
	// +optional
	From string `json:"from,omitempty"`
	// to is the version that it leads to.
	To string `json:"to"`
	// phase is Waiting for a maintenance window, Installing, Moving, RollingBack, RolledBack, Held or Complete.
	Phase UpgradePhase `json:"phase"`
	// step says what the phase waits for now.
	// +optional
	Step string `json:"step,omitempty"`
	// startedAt is when the upgrade began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// progressedAt is when it last came nearer; upgrade.progressDeadline counts from then.
	// +optional
	ProgressedAt *metav1.Time `json:"progressedAt,omitempty"`
	// batch of members that moves; 0 before the first has.
	// +optional
	Batch int32 `json:"batch,omitempty"`
	// batches is how many there are.
	// +optional
	Batches int32 `json:"batches,omitempty"`
	// message says what went wrong.
	// +optional
	Message string `json:"message,omitempty"`
}

// UpgradePhase is how it is with an upgrade.
type UpgradePhase string

const (
	// UpgradeWaiting waits for a maintenance window.
	UpgradeWaiting UpgradePhase = "Waiting"
	// UpgradeInstalling brings up the new control plane, until its webhook injects; no member uses it yet.
	UpgradeInstalling UpgradePhase = "Installing"
	// UpgradeMoving moves members over, batch by batch.
	UpgradeMoving UpgradePhase = "Moving"
	// UpgradeRollingBack moves members back.
	UpgradeRollingBack UpgradePhase = "RollingBack"
	// UpgradeRolledBack went back, and waits for a person.
	UpgradeRolledBack UpgradePhase = "RolledBack"
	// UpgradeHeld stopped where it was, and waits for a person.
	UpgradeHeld UpgradePhase = "Held"
	// UpgradeComplete arrived.
	UpgradeComplete UpgradePhase = "Complete"
)

// MeshHistoryEntry is one ControllerRevision of a mesh.
type MeshHistoryEntry struct {
	// number that rollbackTo takes.
	Number int64 `json:"number"`
	// version of Istio.
	Version string `json:"version"`
	// time when it came into force.
	Time metav1.Time `json:"time"`
	// failed is whether it did not become ready in time.
	// +optional
	Failed bool `json:"failed,omitempty"`
}

// MeshCA is the authority that signs the certificates of workloads.
type MeshCA struct {
	// notAfter is when its certificate ends.
	NotAfter metav1.Time `json:"notAfter"`
}

// MeshStatus is what a mesh is.
type MeshStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready always; Reconciling, Stalled, Contested, Conflicted and Drifted where they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// desiredVersion is the exact version that the spec asks for.
	// +optional
	DesiredVersion string `json:"desiredVersion,omitempty"`

	// runningVersion is the exact version that new pods of members get their proxies from.
	// +optional
	RunningVersion string `json:"runningVersion,omitempty"`

	// revisions are the control planes of the mesh, the one that members are moved to first.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Revisions []MeshRevision `json:"revisions,omitempty"`

	// members counts the namespaces and workloads in the mesh.
	// +optional
	Members *MemberCounts `json:"members,omitempty"`

	// upgrade is the one that is under way, or the last one.
	// +optional
	Upgrade *UpgradeProgress `json:"upgrade,omitempty"`

	// history lists what rollbackTo can go back to, the newest first; the first 10.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=10
	History []MeshHistoryEntry `json:"history,omitempty"`

	// ca is the authority that signs the certificates of workloads.
	// +optional
	CA *MeshCA `json:"ca,omitempty"`

	// problems are the parts of the spec that are not in force.
	// +optional
	Problems *Problems `json:"problems,omitempty"`

	// repairs lists the last 5 foreign changes, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Repairs []RepairRecord `json:"repairs,omitempty"`
}
