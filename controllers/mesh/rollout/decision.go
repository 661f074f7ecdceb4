// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Decision is what is to be done now.
type Decision struct {
	// Progress is to be persisted first.
	Progress Progress
	// Install are the revisions that have to exist, sorted by name. One without a Source was found and is left as it is.
	Install []Release
	// Remove are the revisions that nothing uses any more.
	Remove []string
	// Current is the revision that owns what a mesh has one of: the tag "default", the validator, the gateways. It is
	// empty until the first istiod is fit.
	Current string
	// Labels are the revisions that namespaces have to name now; the empty one is no label.
	Labels map[string]string
	// Restart are the workloads that have to restart now. To do it is to write the cause into the annotation of the pod
	// template, and the time into that of the workload.
	Restart []Restart
	// Waiting are the other workloads with a wrong proxy or none. Sorted.
	Waiting []Waiting
	// Batch of Batches is how far the members have moved; both are zero at rest.
	Batch, Batches int
	// Upcoming is a version that waits for a maintenance window.
	Upcoming string

	Ready, Reconciling, Stalled Verdict
	// LookAgain is when to decide again if nothing changes before; zero is never.
	LookAgain time.Duration
}

// Restart is a workload that restarts, and what for.
type Restart struct {
	Namespace, Kind, Name string
	Cause                 string
}

// Waiting is a workload with a wrong proxy or none, and why it still has it.
type Waiting struct {
	Namespace, Kind, Name string
	Why                   string
}

// Verdict is what a condition says. It converts to the Verdict of package conditions.
type Verdict struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// Reasons of the verdicts.
const (
	ReasonInForce        = "InForce"
	ReasonProgressing    = "Progressing"
	ReasonAtRest         = "AtRest"
	ReasonVersionRefused = "VersionRefused"
	ReasonDeadline       = "ProgressDeadlineExceeded"
	ReasonRolledBack     = "RolledBack"
	ReasonHeld           = "Held"
	ReasonUnavailable    = "IstiodUnavailable"
	ReasonContradiction  = "ContradictingLabel"
	ReasonRestartsStuck  = "RestartsStuck"
)

// look has the decision made again after a while, if that is the soonest.
func (d *Decision) look(after time.Duration) {
	if after = max(after, time.Second); d.LookAgain == 0 || after < d.LookAgain {
		d.LookAgain = after
	}
}
