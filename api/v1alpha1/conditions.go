// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Ready is always present; the others where they apply.
const (
	// ConditionReady is True when everything the spec asks for is in force.
	ConditionReady = "Ready"
	// ConditionReconciling is True while work towards the current generation is under way (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when nothing will move until a person changes something (kstatus).
	ConditionStalled = "Stalled"
	// ConditionContested is True while somebody breaks the same field again and again.
	ConditionContested = "Contested"
	// ConditionConflicted is True when an object that is not ours stands in the way.
	ConditionConflicted = "Conflicted"
	// ConditionOverridden is True when another policy won a field of this one.
	ConditionOverridden = "Overridden"
	// ConditionDrifted is True while a foreign change is reported and left alone (drift: Warn).
	ConditionDrifted = "Drifted"
)

// Condition reasons.
const (
	ReasonEnforced           = "Enforced"
	ReasonDryRun             = "DryRun"
	ReasonProgressing        = "Progressing"
	ReasonInvalidSpec        = "InvalidSpec"
	ReasonRefused            = "RefusedByAPIServer"
	ReasonApplyFailed        = "ApplyFailed"
	ReasonPaused             = "Paused"
	ReasonNameTaken          = "NameTaken"
	ReasonForeignLimits      = "ForeignLimits"
	ReasonHigherPriorityWins = "HigherPriorityWins"
	ReasonRepeatedEdits      = "RepeatedEdits"
	ReasonForeignEdits       = "ForeignEdits"
)

// Condition reasons of LoadBalancer.
const (
	// ReasonInForce is that all replicas serve all of the spec.
	ReasonInForce = "InForce"
	// ReasonPartlyInForce is that parts of the spec are not in force; status.problems names them.
	ReasonPartlyInForce = "PartlyInForce"
	// ReasonNoAddress is that nobody gave the Service an address yet.
	ReasonNoAddress = "NoAddress"
	// ReasonUnavailable is that fewer replicas serve than should.
	ReasonUnavailable = "Unavailable"
	// ReasonOutdatedReplicas is that some replicas do not serve the newest spec yet.
	ReasonOutdatedReplicas = "OutdatedReplicas"
	// ReasonRefusedByReplica is that a replica will not put the newest spec in force.
	ReasonRefusedByReplica = "RefusedByReplica"
	// ReasonNoImage is that the operator does not know the image of its agents.
	ReasonNoImage = "NoImage"
)

// Condition reasons of Mesh, beside InForce, PartlyInForce and those of every kind.
const (
	// ReasonIstiodUnavailable is that the control plane that members use does not answer.
	ReasonIstiodUnavailable = "IstiodUnavailable"
	// ReasonProgressDeadlineExceeded is that an upgrade did not come nearer within its deadline.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonRolledBack is that an upgrade failed and the last good version runs; it is tried again when the spec changes.
	ReasonRolledBack = "RolledBack"
	// ReasonHeld is that an upgrade failed and everything was left as it is.
	ReasonHeld = "Held"
	// ReasonRollbackInForce is that rollbackTo keeps an earlier version in force.
	ReasonRollbackInForce = "RollbackInForce"
	// ReasonUnknownRollback is that history has no entry of the number in rollbackTo.
	ReasonUnknownRollback = "UnknownRollback"
	// ReasonRestartsStuck is that workloads do not become well after a restart.
	ReasonRestartsStuck = "RestartsStuck"
	// ReasonContradictingLabel is that a member has a label that keeps it out of the mesh.
	ReasonContradictingLabel = "ContradictingLabel"
	// ReasonUnknownVersion is that no catalogue has the version.
	ReasonUnknownVersion = "UnknownVersion"
	// ReasonEndOfLife is that the life of the version is over.
	ReasonEndOfLife = "EndOfLife"
	// ReasonUnsupportedKubernetes is that the version is not for this release of Kubernetes.
	ReasonUnsupportedKubernetes = "UnsupportedKubernetes"
	// ReasonUnsupportedUpgrade is that the version is older than the one that runs, or too far ahead of it.
	ReasonUnsupportedUpgrade = "UnsupportedUpgrade"
	// ReasonInvalidValues is that values have keys that the charts do not know.
	ReasonInvalidValues = "InvalidValues"
	// ReasonMembersRemain is that a Mesh is deleted while members run proxies of it.
	ReasonMembersRemain = "MembersRemain"
	// ReasonUninstalling is that a Mesh is deleted and goes away.
	ReasonUninstalling = "Uninstalling"
)

// Reasons of Problem. Agents have more.
const (
	// ProblemInvalid is a value that cannot be used.
	ProblemInvalid = "Invalid"
	// ProblemNotFound is a name of something that does not exist.
	ProblemNotFound = "NotFound"
	// ProblemNotGranted is a reference into another namespace that no ReferenceGrant allows.
	ProblemNotGranted = "NotGranted"
	// ProblemUnsupported is something that does not go together with what it stands beside or refers to.
	ProblemUnsupported = "Unsupported"
	// ProblemPortNeeded is a Service whose port has to be said.
	ProblemPortNeeded = "PortNeeded"
	// ProblemTooLarge is what there is no room for.
	ProblemTooLarge = "TooLarge"
)

// Annotations that a person may set.
const (
	// AnnotationPaused on a custom resource, set to "true", stops all writes for it until it is removed.
	AnnotationPaused = "fleet.fairlead.io/paused"
	// AnnotationAdopt on an object that Fairlead did not make, set to "true", lets Fairlead take it over; on a Mesh, all that it
	// would make by the same names.
	AnnotationAdopt = "fleet.fairlead.io/adopt"
	// AnnotationRetry on a Mesh, set to another text, tries an upgrade again that was rolled back or held.
	AnnotationRetry = "fleet.fairlead.io/retry"
)

// Marks that Fairlead puts on the objects it makes.
const (
	// LabelManagedBy is the label that selects everything Fairlead made; its value is ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy and the name of the field manager.
	ManagedBy = "fairlead"
	// AnnotationSet names the set an object belongs to, as <short name of the kind>/<key>.
	AnnotationSet = "fleet.fairlead.io/set"
	// AnnotationRendered holds the hash of the rendered object as it was last applied.
	AnnotationRendered = "fleet.fairlead.io/rendered"
)
