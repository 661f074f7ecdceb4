// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The CEL rules of LoadBalancer refuse what contradicts itself. What needs more than the object is compiled into a problem
// of the status instead: other objects, regular expressions, hostnames of a route that none of its listeners has, and two
// members at one address. For their author:
//
//   - Functions are those of Kubernetes 1.29, the most that a 1.30 API server takes: no isIP and no isCIDR.
//   - References are checked as sets. To look for each name with exists took several seconds on the largest object.
//   - A messageExpression joins names only where its loop variable walks a list of the schema: the cost of all else counts
//     as unbounded, like that of string(number).
//   - An empty string is "" and not two apostrophes, which gofmt turns into a quotation mark.

// LoadBalancerSpec is what a LoadBalancer asks for.
//
// +kubebuilder:validation:XValidation:rule=`self.listeners.all(a, self.listeners.exists_one(b, b.port == a.port))`,message=`two listeners have the same port`,messageExpression=`self.listeners.map(a, self.listeners.exists(b, b.name != a.name && b.port == a.port), self.listeners.map(b, b.name != a.name && b.port == a.port, 'listeners ' + a.name + ' and ' + b.name + ' have the same port')[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!self.listeners.exists(l, has(l.pool)) || has(self.pools) && sets.contains(self.pools.map(p, p.name), self.listeners.filter(l, has(l.pool)).map(l, l.pool))`,message=`a listener names a pool that pools does not have`,messageExpression=`self.listeners.map(l, has(l.pool) && !(has(self.pools) && self.pools.exists(p, p.name == l.pool)), 'listener ' + l.name + ' names pool ' + l.pool + ', which pools does not have')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, !has(r.listeners) || sets.contains(self.listeners.map(l, l.name), r.listeners))`,message=`a route names a listener that listeners does not have`,messageExpression=`self.routes.map(r, has(r.listeners) && !sets.contains(self.listeners.map(l, l.name), r.listeners), 'route ' + r.name + ' names listener ' + r.listeners.filter(n, !(n in self.listeners.map(l, l.name)))[0] + ', which listeners does not have')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, has(r.listeners) || self.listeners.exists(l, l.protocol in ['HTTP', 'HTTPS'] && !has(l.redirect)))`,message=`a route without listeners is for those of HTTP and HTTPS, and there are none that do not redirect: name the listeners that it is for`,messageExpression=`self.routes.map(r, !has(r.listeners), 'route ' + r.name + ' names no listeners, and none of protocol HTTP or HTTPS is without a redirect: name the listeners that it is for')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, !has(r.listeners) || !self.listeners.exists(l, has(l.redirect) && l.name in r.listeners))`,message=`a route is for a listener that redirects every request`,messageExpression=`self.routes.map(r, has(r.listeners) && self.listeners.exists(l, has(l.redirect) && l.name in r.listeners), self.listeners.map(l, has(l.redirect) && l.name in r.listeners, 'route ' + r.name + ' is for listener ' + l.name + ', which redirects every request')[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || !self.routes.exists(r, has(r.action.pool)) || has(self.pools) && sets.contains(self.pools.map(p, p.name), self.routes.filter(r, has(r.action.pool)).map(r, r.action.pool))`,message=`a route names a pool that pools does not have`,messageExpression=`self.routes.map(r, has(r.action.pool) && !(has(self.pools) && self.pools.exists(p, p.name == r.action.pool)), 'route ' + r.name + ' names pool ' + r.action.pool + ', which pools does not have')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || [0, 1, 2, 3, 4, 5, 6, 7].all(i, !self.routes.exists(r, has(r.action.pools) && r.action.pools.size() > i) || has(self.pools) && sets.contains(self.pools.map(p, p.name), self.routes.filter(r, has(r.action.pools) && r.action.pools.size() > i).map(r, r.action.pools[i].pool)))`,message=`a route names, with a weight, a pool that pools does not have`,messageExpression=`self.routes.map(r, has(r.action.pools) && !(has(self.pools) && sets.contains(self.pools.map(p, p.name), r.action.pools.map(w, w.pool))), 'route ' + r.name + ' names pool ' + r.action.pools.map(w, !(has(self.pools) && w.pool in self.pools.map(p, p.name)), w.pool)[0] + ', which pools does not have')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, !(has(r.matches) || has(r.rateLimit) || has(r.cors) || has(r.basicAuth) || has(r.requestHeaders) || has(r.responseHeaders) || has(r.rewrite) || has(r.retries) || has(r.timeouts) || has(r.action.redirect) || has(r.action.respond) || has(r.action.maintenance)) || !self.listeners.exists(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners)))`,message=`a route with fields for requests is for a listener of protocol TCP or TLS`,messageExpression=`self.routes.map(r, (has(r.matches) || has(r.rateLimit) || has(r.cors) || has(r.basicAuth) || has(r.requestHeaders) || has(r.responseHeaders) || has(r.rewrite) || has(r.retries) || has(r.timeouts) || has(r.action.redirect) || has(r.action.respond) || has(r.action.maintenance)) && self.listeners.exists(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners)), self.listeners.map(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners), 'route ' + r.name + ' is for listener ' + l.name + ' of protocol ' + l.protocol + ', which takes no ' + (has(r.matches) ? 'matches' : has(r.rateLimit) ? 'rateLimit' : has(r.cors) ? 'cors' : has(r.basicAuth) ? 'basicAuth' : has(r.requestHeaders) ? 'requestHeaders' : has(r.responseHeaders) ? 'responseHeaders' : has(r.rewrite) ? 'rewrite' : has(r.retries) ? 'retries' : has(r.timeouts) ? 'timeouts' : has(r.action.redirect) ? 'redirect' : has(r.action.respond) ? 'respond' : 'maintenance'))[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, !has(r.hostnames) || r.hostnames.size() == 0 || !self.listeners.exists(l, l.protocol == 'TCP' && (has(r.listeners) && l.name in r.listeners)))`,message=`a route with hostnames is for a listener of protocol TCP, whose streams name none`,messageExpression=`self.routes.map(r, has(r.hostnames) && r.hostnames.size() > 0 && self.listeners.exists(l, l.protocol == 'TCP' && (has(r.listeners) && l.name in r.listeners)), self.listeners.map(l, l.protocol == 'TCP' && (has(r.listeners) && l.name in r.listeners), 'route ' + r.name + ' is for listener ' + l.name + ' of protocol TCP, which takes no hostnames')[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.listeners.all(l, !(l.protocol in ['TCP', 'TLS']) || self.routes.filter(r, (!has(r.hostnames) || r.hostnames.size() == 0) && (has(r.listeners) && l.name in r.listeners)).size() + (has(l.pool) ? 1 : 0) <= 1)`,message=`two routes, or a route and the listener's pool, take every stream of one listener`,messageExpression=`self.listeners.map(l, l.protocol in ['TCP', 'TLS'] && self.routes.filter(r, (!has(r.hostnames) || r.hostnames.size() == 0) && (has(r.listeners) && l.name in r.listeners)).size() + (has(l.pool) ? 1 : 0) > 1, self.routes.map(r, (!has(r.hostnames) || r.hostnames.size() == 0) && (has(r.listeners) && l.name in r.listeners), 'route ' + r.name + ' takes every stream of listener ' + l.name + ', and so does ' + (has(l.pool) ? 'its pool' : 'another route'))[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.pools) || !sets.intersects(self.pools.filter(p, (p.algorithm in ['URIHash', 'HeaderHash'] || p.protocol == 'HTTP2' || has(p.persistence) && p.persistence.type != 'SourceIP' || has(p.passive) && p.passive.observe == 'Requests')).map(p, p.name), self.listeners.filter(l, l.protocol in ['TCP', 'TLS'] && has(l.pool)).map(l, l.pool))`,message=`a pool with fields for requests is for a listener of protocol TCP or TLS`,messageExpression=`self.listeners.map(l, l.protocol in ['TCP', 'TLS'] && has(l.pool), self.pools.map(p, p.name == l.pool && (p.algorithm in ['URIHash', 'HeaderHash'] || p.protocol == 'HTTP2' || has(p.persistence) && p.persistence.type != 'SourceIP' || has(p.passive) && p.passive.observe == 'Requests'), 'listener ' + l.name + ' of protocol ' + l.protocol + ' sends streams to pool ' + l.pool + ', whose ' + (p.algorithm in ['URIHash', 'HeaderHash'] ? 'algorithm ' + p.algorithm : p.protocol == 'HTTP2' ? 'protocol HTTP2' : has(p.persistence) && p.persistence.type != 'SourceIP' ? 'persistence by ' + p.persistence.type : 'passive.observe Requests') + ' is for requests')).filter(t, t.size() > 0)[0][0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.pools) || !has(self.routes) || !sets.intersects(self.pools.filter(p, (p.algorithm in ['URIHash', 'HeaderHash'] || p.protocol == 'HTTP2' || has(p.persistence) && p.persistence.type != 'SourceIP' || has(p.passive) && p.passive.observe == 'Requests')).map(p, p.name), self.routes.filter(r, has(r.action.pool) && self.listeners.exists(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners))).map(r, r.action.pool))`,message=`a pool with fields for requests is for a route of streams`,messageExpression=`self.routes.map(r, has(r.action.pool) && self.listeners.exists(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners)) && self.pools.exists(p, p.name == r.action.pool && (p.algorithm in ['URIHash', 'HeaderHash'] || p.protocol == 'HTTP2' || has(p.persistence) && p.persistence.type != 'SourceIP' || has(p.passive) && p.passive.observe == 'Requests')), 'route ' + r.name + ' sends streams to pool ' + r.action.pool + ', whose ' + self.pools.map(p, p.name == r.action.pool, (p.algorithm in ['URIHash', 'HeaderHash'] ? 'algorithm ' + p.algorithm : p.protocol == 'HTTP2' ? 'protocol HTTP2' : has(p.persistence) && p.persistence.type != 'SourceIP' ? 'persistence by ' + p.persistence.type : 'passive.observe Requests'))[0] + ' is for requests')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.pools) || !has(self.routes) || [0, 1, 2, 3, 4, 5, 6, 7].all(i, !sets.intersects(self.pools.filter(p, (p.algorithm in ['URIHash', 'HeaderHash'] || p.protocol == 'HTTP2' || has(p.persistence) && p.persistence.type != 'SourceIP' || has(p.passive) && p.passive.observe == 'Requests')).map(p, p.name), self.routes.filter(r, has(r.action.pools) && r.action.pools.size() > i && self.listeners.exists(l, l.protocol in ['TCP', 'TLS'] && (has(r.listeners) && l.name in r.listeners))).map(r, r.action.pools[i].pool)))`,message=`a route of streams names, with a weight, a pool with fields for requests: algorithm URIHash or HeaderHash, protocol HTTP2, persistence by Cookie or Header, or passive.observe Requests`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(r, !has(r.action.redirect) || has(r.action.redirect.host) || has(r.action.redirect.path) || has(r.action.redirect.pathPrefix) || !self.listeners.exists(l, (has(r.listeners) ? l.name in r.listeners : !has(l.redirect)) && l.protocol in ['HTTP', 'HTTPS'] && (!has(r.action.redirect.scheme) || (r.action.redirect.scheme == 'https') == (l.protocol == 'HTTPS')) && (has(r.action.redirect.port) ? r.action.redirect.port : r.action.redirect.scheme == 'https' ? 443 : 80) == l.port))`,message=`a route redirects to its own listener`,messageExpression=`self.routes.map(r, !(!has(r.action.redirect) || has(r.action.redirect.host) || has(r.action.redirect.path) || has(r.action.redirect.pathPrefix)) && self.listeners.exists(l, (has(r.listeners) ? l.name in r.listeners : !has(l.redirect)) && l.protocol in ['HTTP', 'HTTPS'] && (!has(r.action.redirect.scheme) || (r.action.redirect.scheme == 'https') == (l.protocol == 'HTTPS')) && (has(r.action.redirect.port) ? r.action.redirect.port : r.action.redirect.scheme == 'https' ? 443 : 80) == l.port), self.listeners.map(l, (has(r.listeners) ? l.name in r.listeners : !has(l.redirect)) && l.protocol in ['HTTP', 'HTTPS'] && (!has(r.action.redirect.scheme) || (r.action.redirect.scheme == 'https') == (l.protocol == 'HTTPS')) && (has(r.action.redirect.port) ? r.action.redirect.port : r.action.redirect.scheme == 'https' ? 443 : 80) == l.port, 'route ' + r.name + ' is for listener ' + l.name + ', to which its redirect leads back' + (has(r.listeners) ? "" : ': name the listeners that it is for'))[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.scaling.maxReplicas) || !has(self.pod.resources) || has(self.pod.resources.requests) && 'cpu' in self.pod.resources.requests || has(self.pod.resources.limits) && 'cpu' in self.pod.resources.limits`,message=`scaling.maxReplicas needs pod.resources.requests[cpu], which CPU use is measured by`
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
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('1h')`,message=`must be 1s to 1h`,messageExpression=`self + ' is not within 1s to 1h'`
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

// Duration is a length of time in hours, minutes, seconds and milliseconds, like 1m30s or 250ms; 1ms to 480h.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(h|m|s|ms)){1,4}$`
// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('480h')`,message=`must be 1ms to 480h`,messageExpression=`self + ' is not within 1ms to 480h'`
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
// +kubebuilder:validation:Format=cidr
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
// +kubebuilder:validation:XValidation:rule=`self.matches('^((25[0-5]|(2[0-4]|1[0-9]|[1-9])?[0-9])([.]|$)){4}$') && !self.endsWith('.') || self.matches('^([0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}$') && !self.matches('^:[^:]|[^:]:$|:::|::.+::') && (self.contains('::') ? self.split(':').size() <= (self.startsWith(':') || self.endsWith(':') ? 9 : 8) : self.split(':').size() == 8)`,message=`not an IP address`,messageExpression=`'"' + self + '" is not an IP address'`
type IPAddress string

// Scaling is how many replicas serve: a fixed number, or between two numbers by an autoscaler.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.replicas) || !(has(self.minReplicas) || has(self.maxReplicas) || has(self.targetCPUUtilization))`,message=`replicas is a fixed number, and excludes minReplicas, maxReplicas and targetCPUUtilization`
// +kubebuilder:validation:XValidation:rule=`has(self.replicas) || has(self.maxReplicas) || !(has(self.minReplicas) || has(self.targetCPUUtilization))`,message=`minReplicas and targetCPUUtilization need maxReplicas, which switches the autoscaler on`
// +kubebuilder:validation:XValidation:rule=`!has(self.maxReplicas) || (has(self.minReplicas) ? self.minReplicas : 2) <= self.maxReplicas`,message=`minReplicas, which is 2 if unset, is greater than maxReplicas`
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
