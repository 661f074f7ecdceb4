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

// Annotations that a person may set.
const (
	// AnnotationPaused on a custom resource, set to "true", stops all writes for it until it is removed.
	AnnotationPaused = "fleet.fairlead.io/paused"
	// AnnotationAdopt on an object that Fairlead did not make, set to "true", lets Fairlead take it over.
	AnnotationAdopt = "fleet.fairlead.io/adopt"
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
