// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
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

// Protocol is what a listener speaks.
//
// +kubebuilder:validation:Enum=HTTP;HTTPS;TCP;TLS
type Protocol string

const (
	// ProtocolHTTP is HTTP/1.1, and HTTP/2 without TLS.
	ProtocolHTTP Protocol = "HTTP"
	// ProtocolHTTPS is HTTP/1.1 and HTTP/2 over TLS, which the load balancer ends.
	ProtocolHTTPS Protocol = "HTTPS"
	// ProtocolTCP is a stream; with tls it is decrypted.
	ProtocolTCP Protocol = "TCP"
	// ProtocolTLS is an encrypted stream that is passed on as it is, by its server name.
	ProtocolTLS Protocol = "TLS"
)

// Listener is a port where clients connect.
type Listener struct {
	// name of the listener.
	// +required
	Name Name `json:"name"`

	// port where clients connect, 1 to 55535. The process listens at 10000 + port, so that it needs no privilege.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=55535
	Port int32 `json:"port"`

	// protocol is HTTP, HTTPS, TCP or TLS. TLS passes encrypted streams on by their server name.
	// +required
	Protocol Protocol `json:"protocol"`

	// hostnames narrow the routes of the listener; empty for any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// tls is needed for HTTPS, and decrypts a TCP listener.
	// +optional
	TLS *ListenerTLS `json:"tls,omitempty"`

	// proxyProtocol expects the header of the PROXY protocol, version 1 or 2, on every connection: it says who the client is.
	// +optional
	ProxyProtocol bool `json:"proxyProtocol,omitempty"`

	// redirect answers every request of an HTTP or HTTPS listener; it has no routes and no pool then.
	// +optional
	Redirect *Redirect `json:"redirect,omitempty"`

	// allowCIDRs, if any, are the only client addresses that may connect.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowCIDRs []CIDR `json:"allowCIDRs,omitempty"`

	// denyCIDRs are client addresses that may not connect, even if allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	DenyCIDRs []CIDR `json:"denyCIDRs,omitempty"`

	// maxConnections is the most connections of the listener in one replica at a time; unset for no bound of its own.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2000000
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// timeouts bound how long a client may take.
	// +optional
	// +default={}
	Timeouts ListenerTimeouts `json:"timeouts,omitempty"`

	// pool takes what no route matches. Without it a request gets 404 and a stream is closed.
	// +optional
	Pool Name `json:"pool,omitempty"`
}

// ListenerTimeouts bound how long a client may take.
type ListenerTimeouts struct {
	// idle is how long a client may be silent in the middle of a request or stream.
	// +optional
	// +default="1m"
	Idle Duration `json:"idle,omitempty"`
	// request is how long the head of a request, or a TLS client's first message, may take.
	// +optional
	// +default="10s"
	Request Duration `json:"request,omitempty"`
	// keepAlive is how long a connection may wait for its next request.
	// +optional
	// +default="1m"
	KeepAlive Duration `json:"keepAlive,omitempty"`
	// tunnel is how long an upgraded connection, or a stream, may be silent in both directions.
	// +optional
	// +default="1h"
	Tunnel Duration `json:"tunnel,omitempty"`
}

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum="1.0";"1.1";"1.2";"1.3"
type TLSVersion string

// CipherName is a cipher by OpenSSL's name.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[A-Z0-9][A-Za-z0-9_-]*$`
type CipherName string

// ListenerTLS decrypts what clients send.
type ListenerTLS struct {
	// certificates are Secrets of type kubernetes.io/tls. The server name picks one; the first is for clients that send none.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Certificates []SecretReference `json:"certificates"`

	// minVersion is the oldest version of TLS that is spoken.
	// +optional
	// +default="1.2"
	MinVersion TLSVersion `json:"minVersion,omitempty"`

	// maxVersion is the newest version of TLS that is spoken; unset for the newest there is.
	// +optional
	MaxVersion TLSVersion `json:"maxVersion,omitempty"`

	// ciphers for TLS up to 1.2, by OpenSSL's names, the best first; empty for a sound choice.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Ciphers []CipherName `json:"ciphers,omitempty"`

	// cipherSuites for TLS 1.3, by OpenSSL's names, the best first; empty for a sound choice.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	CipherSuites []CipherName `json:"cipherSuites,omitempty"`

	// clientAuth asks clients for a certificate.
	// +optional
	ClientAuth *ClientAuth `json:"clientAuth,omitempty"`

	// alpn are the application protocols in order of preference. Unset is h2 and http/1.1 for HTTPS, and none for TCP.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:Enum=h2;http/1.1
	ALPN []string `json:"alpn,omitempty"`
}

// ClientAuth asks clients for a certificate.
type ClientAuth struct {
	// mode is Required to turn clients without a good certificate away, or Optional to let those without one in.
	// +optional
	// +default="Required"
	// +kubebuilder:validation:Enum=Required;Optional
	Mode ClientAuthMode `json:"mode,omitempty"`

	// ca is a Secret whose key ca.crt holds the authorities, in PEM.
	// +required
	CA SecretReference `json:"ca"`
}

// ClientAuthMode says what becomes of clients without a certificate.
type ClientAuthMode string

const (
	// ClientAuthRequired turns them away.
	ClientAuthRequired ClientAuthMode = "Required"
	// ClientAuthOptional lets them in.
	ClientAuthOptional ClientAuthMode = "Optional"
)

// SecretReference names a Secret. In another namespace it needs a ReferenceGrant there.
type SecretReference struct {
	// secretName is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`

	// namespace of the Secret; unset for the load balancer's own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
}

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

// ServiceTemplate is the Service in front of the replicas.
type ServiceTemplate struct {
	// type is LoadBalancer, NodePort or ClusterIP.
	// +optional
	// +default="LoadBalancer"
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// annotations of the Service, for whoever gives it its address.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// externalTrafficPolicy is Local to keep clients' addresses and to send traffic only to nodes with a replica, or
	// Cluster. Unset is Local, and not for ClusterIP.
	// +optional
	// +kubebuilder:validation:Enum=Local;Cluster
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// loadBalancerClass is who gives the Service its address, where several could.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// PodTemplate is how a replica runs.
type PodTemplate struct {
	// image of HAProxy, 2.6 to 3.2; unset for the operator's setting.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9][-a-zA-Z0-9._/:@]*$`
	Image string `json:"image,omitempty"`

	// resources of HAProxy's container. Unset requests 100m CPU and 128Mi, and limits nothing.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// nodeSelector picks the nodes for replicas by their labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations let replicas run on tainted nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// spread are the topology keys over which replicas are spread evenly where that is possible. Unset is by node and by zone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Spread []string `json:"spread,omitempty"`

	// priorityClassName of replicas.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// imagePullSecrets are names of Secrets that images are pulled with.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
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
