// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReplicaCounts counts the replicas of a load balancer.
type ReplicaCounts struct {
	// desired is how many there should be.
	Desired int32 `json:"desired"`
	// ready is how many serve.
	Ready int32 `json:"ready"`
	// current is how many serve the current spec.
	Current int32 `json:"current"`
}

// Problem is a part of the spec that is not in force. The parts beside it are.
type Problem struct {
	// field is the path in the spec, like routes[api].basicAuth.users.
	Field string `json:"field"`
	// reason is one word.
	Reason string `json:"reason"`
	// message says what is wrong and what helps.
	Message string `json:"message"`
}

// Problems are the parts of the spec that are not in force.
type Problems struct {
	// count of all problems.
	Count int32 `json:"count"`
	// top are the first 10, by field.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Top []Problem `json:"top,omitempty"`
}

// LoadBalancerStatus is what is in force.
type LoadBalancerStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready always; Reconciling, Stalled, Contested, Conflicted and Drifted where they apply.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// addresses where clients reach it: IP addresses or hostnames.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Addresses []string `json:"addresses,omitempty"`

	// replicas counts those that serve.
	// +optional
	Replicas *ReplicaCounts `json:"replicas,omitempty"`

	// problems are the parts of the spec that are not in force.
	// +optional
	Problems *Problems `json:"problems,omitempty"`

	// repairs lists the last 5 foreign changes, of objects and of HAProxy itself, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Repairs []RepairRecord `json:"repairs,omitempty"`
}

// AgentReport is what one replica of a load balancer says of itself. The agent in the pod writes it when what is in force
// changes, and it goes with the pod.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:categories=fairlead
// +kubebuilder:printcolumn:name="LoadBalancer",type=string,JSONPath=`.report.loadBalancer`
// +kubebuilder:printcolumn:name="Generation",type=integer,JSONPath=`.report.generation`
// +kubebuilder:printcolumn:name="HAProxy",type=string,JSONPath=`.report.version`
// +kubebuilder:printcolumn:name="Reloads",type=integer,JSONPath=`.report.reloads`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +operator-sdk:csv:customresourcedefinitions:displayName="Agent Report"
type AgentReport struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// report is what the replica says.
	// +required
	Report ReplicaReport `json:"report"`
}

// ReplicaReport is what one replica says of itself.
type ReplicaReport struct {
	// loadBalancer is the name of the LoadBalancer, in the same namespace.
	// +required
	// +kubebuilder:validation:MaxLength=63
	LoadBalancer string `json:"loadBalancer"`
	// generation of the LoadBalancer that is in force; 0 for none yet.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// model is the hash of the model that is in force.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Model string `json:"model,omitempty"`
	// version of HAProxy.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`
	// reloads that HAProxy went through since the pod began, at the time of this report.
	// +optional
	Reloads int32 `json:"reloads,omitempty"`
	// refused is set where the newest generation is not in force as a whole, and says why.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Refused string `json:"refused,omitempty"`
	// problems are the parts that are not in force; the first 10.
	// +optional
	Problems *Problems `json:"problems,omitempty"`
	// repairs lists the last 5 foreign changes of HAProxy itself, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Repairs []RepairRecord `json:"repairs,omitempty"`
}

// AgentReportList is a list of AgentReport.
//
// +kubebuilder:object:root=true
type AgentReportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []AgentReport `json:"items"`
}
