// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Amount is a Kubernetes quantity written as a string: "512Mi", "2", "100m".
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:Pattern=`^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`
type Amount string

// Amounts maps a resource name (cpu, memory, storage, …) to an amount.
//
// +kubebuilder:validation:MaxProperties=8
type Amounts map[corev1.ResourceName]Amount

// LimitItem bounds one type of object; it is a core/v1 LimitRangeItem with quantities as strings.
type LimitItem struct {
	// type is what the item bounds: each Container, each Pod as a whole, or each PersistentVolumeClaim.
	// +required
	// +kubebuilder:validation:Enum=Container;Pod;PersistentVolumeClaim
	Type corev1.LimitType `json:"type"`

	// max is the most that one object may ask for, by resource.
	// +optional
	Max Amounts `json:"max,omitempty"`

	// min is the least that one object must ask for, by resource.
	// +optional
	Min Amounts `json:"min,omitempty"`

	// default is the limit a container gets that sets none, by resource; not for type Pod.
	// Where it is unset the API server takes max.
	// +optional
	Default Amounts `json:"default,omitempty"`

	// defaultRequest is the request a container gets that sets none, by resource; not for type Pod.
	// Where it is unset the API server takes default, then min.
	// +optional
	DefaultRequest Amounts `json:"defaultRequest,omitempty"`

	// maxLimitRequestRatio is the most that limit divided by request may be, by resource; at least 1.
	// +optional
	MaxLimitRequestRatio Amounts `json:"maxLimitRequestRatio,omitempty"`
}

// Quota bounds a namespace as a whole; it is a core/v1 ResourceQuotaSpec with quantities as strings.
type Quota struct {
	// hard is the most that all objects of a namespace together may use, by resource or object count.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	Hard map[corev1.ResourceName]Amount `json:"hard"`

	// scopes narrows the quota to the objects that match every scope.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=6
	Scopes []corev1.ResourceQuotaScope `json:"scopes,omitempty"`

	// scopeSelector narrows the quota like scopes, with operators and values.
	// +optional
	ScopeSelector *ScopeSelector `json:"scopeSelector,omitempty"`
}

// ScopeSelector narrows a quota to the objects that match all of its expressions.
type ScopeSelector struct {
	// matchExpressions are the terms, all of which must match.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	MatchExpressions []ScopeExpression `json:"matchExpressions"`
}

// ScopeExpression is one term of a ScopeSelector.
type ScopeExpression struct {
	// scopeName is the scope the term is about.
	// +required
	ScopeName corev1.ResourceQuotaScope `json:"scopeName"`

	// operator relates the scope to the values; only PriorityClass takes In and NotIn.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator corev1.ScopeSelectorOperator `json:"operator"`

	// values are the names that In and NotIn compare with; empty for the other operators.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	Values []string `json:"values,omitempty"`
}

// Enforcement says whether a policy is put in force.
//
// +kubebuilder:validation:Enum=Enforce;DryRun
type Enforcement string

const (
	// Enforce writes the limits into the selected namespaces.
	Enforce Enforcement = "Enforce"
	// DryRun writes nothing into namespaces and reports what Enforce would refuse or change.
	DryRun Enforcement = "DryRun"
)

// DriftMode says what happens to a foreign change of something Fairlead made.
//
// +kubebuilder:validation:Enum=Repair;Warn
type DriftMode string

const (
	// Repair undoes foreign changes.
	Repair DriftMode = "Repair"
	// Warn reports foreign changes and leaves them.
	Warn DriftMode = "Warn"
)

// LimitPolicySpec is what a LimitPolicy asks for.
type LimitPolicySpec struct {
	// namespaceSelector picks the namespaces by their labels; an empty selector picks all of them.
	// System namespaces (kube-*, openshift, openshift-*) and the operator's own are left out unless
	// the selector names them outright by the label kubernetes.io/metadata.name.
	// +required
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`

	// priority settles which policy wins where several bound the same field: the higher number does.
	// Policies of equal priority merge to the stricter bound.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority,omitempty"`

	// limits are the bounds for each object, one item per type.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=3
	Limits []LimitItem `json:"limits,omitempty"`

	// quota is the bound for each namespace as a whole.
	// +optional
	Quota *Quota `json:"quota,omitempty"`

	// enforcement is Enforce to put the limits in force, or DryRun to write nothing and only report.
	// +optional
	// +default="Enforce"
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// drift is Repair to undo foreign changes, or Warn to report them and leave them.
	// +optional
	// +default="Repair"
	Drift DriftMode `json:"drift,omitempty"`
}

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

// LimitPolicy keeps one LimitRange and one ResourceQuota in each namespace that it selects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=limits,categories=fairlead
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Selected",type=integer,JSONPath=`.status.namespaces.selected`
// +kubebuilder:printcolumn:name="Covered",type=integer,JSONPath=`.status.namespaces.covered`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.report.refused`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`,priority=1
// +kubebuilder:printcolumn:name="Changed",type=integer,JSONPath=`.status.report.changed`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +operator-sdk:csv:customresourcedefinitions:displayName="Limit Policy",resources={{LimitRange,v1,},{ResourceQuota,v1,}}
type LimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy asks for.
	// +required
	Spec LimitPolicySpec `json:"spec"`
	// status is what it found and did.
	// +optional
	Status LimitPolicyStatus `json:"status,omitempty"`
}

// LimitPolicyList is a list of LimitPolicy.
//
// +kubebuilder:object:root=true
type LimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LimitPolicy `json:"items"`
}
