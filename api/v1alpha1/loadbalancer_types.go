// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// LoadBalancerSpec is what a LoadBalancer asks for.
type LoadBalancerSpec struct {
	// className is what carries the load balancer out: haproxy.
	// +optional
	// +default="haproxy"
	// +kubebuilder:validation:Enum=haproxy
	ClassName string `json:"className,omitempty"`

	// listeners are the ports where clients connect.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Listeners []Listener `json:"listeners"`

	// pools are the sets of members that requests go to.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Pools []Pool `json:"pools,omitempty"`

	// routes say which requests go where. Of those that match, the most specific wins: the exact hostname before the
	// wildcard, the exact path before the regular expression before the longer prefix, then who asks for a method, for
	// more headers, for more query parameters, then the earlier in the list.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Routes []Route `json:"routes,omitempty"`

	// scaling is how many replicas serve.
	// +optional
	// +default={}
	Scaling Scaling `json:"scaling,omitempty"`

	// service is how clients reach the replicas.
	// +optional
	// +default={}
	Service ServiceTemplate `json:"service,omitempty"`

	// pod is how a replica runs.
	// +optional
	// +default={}
	Pod PodTemplate `json:"pod,omitempty"`

	// drain keeps new connections away from members; those that are open, and clients that are persistent, go on.
	// +optional
	Drain *Drain `json:"drain,omitempty"`

	// drainTimeout is how long open streams may last when the replica that serves them is replaced or reconfigured;
	// 1s to 1h.
	// +optional
	// +default="5m"
	DrainTimeout Duration `json:"drainTimeout,omitempty"`

	// maxConnections is the most connections of one replica at a time; unset leaves it to HAProxy.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000000
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// accessLog is JSON for a line per request or connection on the standard output of HAProxy's container, or None.
	// +optional
	// +default="None"
	AccessLog AccessLog `json:"accessLog,omitempty"`

	// drift is Repair to undo foreign changes, or Warn to report them and leave them.
	// +optional
	// +default="Repair"
	Drift DriftMode `json:"drift,omitempty"`
}

// AccessLog is a format of access logs.
//
// +kubebuilder:validation:Enum=None;JSON
type AccessLog string

const (
	// AccessLogNone writes none.
	AccessLogNone AccessLog = "None"
	// AccessLogJSON writes one object per line.
	AccessLogJSON AccessLog = "JSON"
)

// Duration is a length of time in hours, minutes, seconds and milliseconds, like 1m30s or 250ms.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
type Duration string

// Name is a name within an object: a DNS label.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type Name string

// Hostname is a DNS name in lower case, or one behind a wildcard "*." that stands for one label or more.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type Hostname string

// CIDR is a range of IP addresses, like 10.0.0.0/8 or fd00::/8.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule=`isCIDR(self)`,message=`not a CIDR: write address/bits, like 10.0.0.0/8`,messageExpression=`'"' + self + '" is not a CIDR: write address/bits, like 10.0.0.0/8'`
type CIDR string

// Drain keeps new connections away from members.
type Drain struct {
	// nodes are names of nodes whose pods get no new connections.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Nodes []string `json:"nodes,omitempty"`

	// addresses are IP addresses of members that get no new connections.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	Addresses []IPAddress `json:"addresses,omitempty"`
}

// IPAddress is an IPv4 or IPv6 address.
//
// +kubebuilder:validation:MaxLength=39
// +kubebuilder:validation:XValidation:rule=`isIP(self)`,message=`not an IP address`,messageExpression=`'"' + self + '" is not an IP address'`
type IPAddress string

// Scaling is how many replicas serve: a fixed number, or between two numbers by an autoscaler.
type Scaling struct {
	// replicas is a fixed number of replicas; unset with maxReplicas. 2 if neither is set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Replicas int32 `json:"replicas,omitempty"`

	// minReplicas is the least that the autoscaler keeps; 2 if unset.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinReplicas int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the most that the autoscaler makes; it switches the autoscaler on.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilization is the CPU use in percent of what is requested, that the autoscaler aims at; 70 if unset.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	TargetCPUUtilization int32 `json:"targetCPUUtilization,omitempty"`
}

// LoadBalancer is an advanced load balancer in front of the Services of its namespace, carried out by HAProxy.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=lb,categories=fairlead
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.size() <= 40`,message=`the name of a LoadBalancer has at most 40 characters, since its objects are named after it`
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')`,message=`the name of a LoadBalancer begins with a letter and has letters, digits and - only, since its Service is named after it`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.addresses[0]`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas.desired`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.replicas.current`
// +kubebuilder:printcolumn:name="Problems",type=integer,JSONPath=`.status.problems.count`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +operator-sdk:csv:customresourcedefinitions:displayName="Load Balancer",resources={{Deployment,v1,},{Service,v1,},{ConfigMap,v1,},{PodDisruptionBudget,v1,},{HorizontalPodAutoscaler,v2,},{ServiceAccount,v1,},{RoleBinding,v1,},{NetworkPolicy,v1,}}
type LoadBalancer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the load balancer shall do.
	// +required
	Spec LoadBalancerSpec `json:"spec"`
	// status is what is in force.
	// +optional
	Status LoadBalancerStatus `json:"status,omitempty"`
}

// LoadBalancerList is a list of LoadBalancer.
//
// +kubebuilder:object:root=true
type LoadBalancerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LoadBalancer `json:"items"`
}

// Port is a port by number or name.
type Port = intstr.IntOrString
