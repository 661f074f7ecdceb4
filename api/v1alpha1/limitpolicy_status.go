// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NamespaceCounts counts the namespaces of a policy.
type NamespaceCounts struct {
	// selected is the number of namespaces that the selector picks.
	Selected int32 `json:"selected"`
	// covered is the number of selected namespaces in which the limits are in force and verified.
	Covered int32 `json:"covered"`
	// failed is the number of selected namespaces in which they could not be put in force.
	// +optional
	Failed int32 `json:"failed,omitempty"`
}

// RuleCount counts the findings of one rule.
type RuleCount struct {
	// rule is the path of the bound in the spec, like limits[Container].max[memory].
	Rule string `json:"rule"`
	// refused is the number of objects that the rule would refuse.
	Refused int32 `json:"refused"`
	// changed is the number of objects that the rule would change.
	Changed int32 `json:"changed"`
}

// Finding is one object that the limits would refuse or change if it were created now.
type Finding struct {
	// kind of the object: Pod, Deployment, StatefulSet, DaemonSet, Job, CronJob or PersistentVolumeClaim.
	Kind string `json:"kind"`
	// namespace of the object.
	Namespace string `json:"namespace"`
	// name of the object.
	Name string `json:"name"`
	// rule is the path of the bound in the spec.
	Rule string `json:"rule"`
	// effect is Refused or Changed.
	Effect FindingEffect `json:"effect"`
	// message says it as the API server would.
	Message string `json:"message"`
}

// FindingEffect is what the limits would do to an object.
type FindingEffect string

const (
	// EffectRefused means the API server would refuse the object.
	EffectRefused FindingEffect = "Refused"
	// EffectChanged means the API server would set requests or limits the object leaves open.
	EffectChanged FindingEffect = "Changed"
)

// LimitReport tells what the limits would refuse or change among the objects that exist.
type LimitReport struct {
	// refused is the number of objects that would be refused.
	Refused int32 `json:"refused"`
	// changed is the number of objects that would be accepted with changes.
	Changed int32 `json:"changed"`
	// rules counts the findings by rule, the most frequent first; the first 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Rules []RuleCount `json:"rules,omitempty"`
	// top lists the first 10 findings, refusals first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Top []Finding `json:"top,omitempty"`
}

// OverriddenField is a field of this policy that another policy won.
type OverriddenField struct {
	// field is the path in the spec, like limits[Container].max[memory].
	Field string `json:"field"`
	// value is what this policy asks for.
	Value string `json:"value"`
	// winner is the policy that won.
	Winner string `json:"winner"`
	// winning is what is in force instead, with its field where that is another one.
	Winning string `json:"winning"`
	// namespaces is the number of namespaces in which it lost.
	Namespaces int32 `json:"namespaces"`
}

// RepairRecord is one foreign change and what became of it.
type RepairRecord struct {
	// object is the kind, namespace and name, as Kind namespace/name.
	Object string `json:"object"`
	// field is the path of the change; empty for the whole object.
	// +optional
	Field string `json:"field,omitempty"`
	// want is the value that Fairlead keeps, cut to 64 characters; empty where it wants none.
	// +optional
	Want string `json:"want,omitempty"`
	// found is the value that was found, cut to 64 characters; empty where there was none.
	// +optional
	Found string `json:"found,omitempty"`
	// manager is the field manager that made the change, or unknown.
	Manager string `json:"manager"`
	// time is when the change was seen.
	Time metav1.Time `json:"time"`
	// repaired is false where the change was only reported.
	Repaired bool `json:"repaired"`
}

// LimitPolicyStatus is what a LimitPolicy found and did.
type LimitPolicyStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready always; Reconciling, Stalled, Contested, Conflicted, Overridden and Drifted where they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// namespaces counts the namespaces of the policy.
	// +optional
	Namespaces *NamespaceCounts `json:"namespaces,omitempty"`

	// report tells what the limits would refuse or change among the objects that exist.
	// +optional
	Report *LimitReport `json:"report,omitempty"`

	// overridden lists fields that other policies won, the first 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Overridden []OverriddenField `json:"overridden,omitempty"`

	// repairs lists the last 5 foreign changes, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Repairs []RepairRecord `json:"repairs,omitempty"`
}
