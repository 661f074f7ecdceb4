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
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	LoadBalancer string `json:"loadBalancer"`
	// generation of the LoadBalancer that is in force; 0 for none yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// model is the hash of the model that is in force.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9:+/=_-]*$`
	Model string `json:"model,omitempty"`
	// version of HAProxy.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Version string `json:"version,omitempty"`
	// reloads that HAProxy went through since the pod began, at the time of this report.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Reloads int32 `json:"reloads,omitempty"`
	// refused is set where the newest generation is not in force as a whole, and says why.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Refused string `json:"refused,omitempty"`
	// problems are the parts that are not in force; the first 10.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`!has(self.top) || self.top.all(p, size(p.field) <= 256 && size(p.reason) <= 64 && size(p.message) <= 1024)`,message=`a problem is too long: field has at most 256 characters, reason 64, message 1024`
	// +kubebuilder:validation:XValidation:rule=`self.count >= 0 && (!has(self.top) || self.top.size() <= self.count)`,message=`count is less than the number of problems in top`
	Problems *Problems `json:"problems,omitempty"`
	// repairs lists the last 5 foreign changes of HAProxy itself, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:XValidation:rule=`size(self.object) <= 512 && (!has(self.field) || size(self.field) <= 512) && (!has(self.want) || size(self.want) <= 256) && (!has(self.found) || size(self.found) <= 256) && size(self.manager) <= 256`,message=`a record is too long: object and field have at most 512 characters, want, found and manager 256`
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
