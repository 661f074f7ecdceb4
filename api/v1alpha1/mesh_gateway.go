// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// MeshGateway is a doorway into the mesh: proxies with a Service in front and, with hosts, an Istio Gateway; with routes, a
// VirtualService. Without hosts it is the proxies and their Service alone, for Gateway objects of your own, whose selector
// is the label istio=<name of the gateway>.
//
// +kubebuilder:validation:XValidation:rule=`!(self.__namespace__ in ['kube-system', 'kube-public', 'kube-node-lease'])`,message=`namespace is one where Istio injects no proxies: use another`,messageExpression=`'namespace ' + self.__namespace__ + ' is one where Istio injects no proxies: use another'`
// +kubebuilder:validation:XValidation:rule=`has(self.hosts) || !has(self.tls) && !has(self.routes)`,message=`tls and routes are for hosts, and there are none: name them in hosts, or "*" for any`,messageExpression=`(has(self.tls) ? 'tls' : 'routes') + ' of gateway ' + self.name + ' needs hosts: name them, or "*" for any'`
// +kubebuilder:validation:XValidation:rule=`!has(self.tls) || !has(self.ports) || self.ports.exists(p, p.protocol == 'HTTPS')`,message=`tls needs a port of protocol HTTPS: add {port: 443, protocol: HTTPS} to ports, or remove tls`
// +kubebuilder:validation:XValidation:rule=`has(self.tls) || !has(self.hosts) || !has(self.ports) || !self.ports.exists(p, p.protocol == 'HTTPS')`,message=`a port of protocol HTTPS needs tls.secretName: name the Secret with the certificate, or make the protocol HTTP`
// +kubebuilder:validation:XValidation:rule=`!has(self.tls) || !has(self.tls.httpsRedirect) || !self.tls.httpsRedirect || !has(self.ports) || self.ports.exists(p, p.protocol == 'HTTP')`,message=`tls.httpsRedirect answers on ports of protocol HTTP, and there are none: add one to ports, or remove httpsRedirect`
// +kubebuilder:validation:XValidation:rule=`!has(self.hosts) || !has(self.routes) || [self.hosts.filter(w, w.startsWith('*')).map(w, w.substring(1))].all(ends, self.routes.all(r, !has(r.hosts) || r.hosts.all(h, h in self.hosts || ends.exists(e, h.endsWith(e)))))`,message=`a route has a host that hosts of the gateway does not cover: add it there, or correct it`,messageExpression=`self.routes.map(r, has(r.hosts) && !r.hosts.all(h, h in self.hosts || self.hosts.exists(w, w.startsWith('*') && h.endsWith(w.substring(1)))), r.hosts.map(h, !(h in self.hosts || self.hosts.exists(w, w.startsWith('*') && h.endsWith(w.substring(1)))), 'a route has host ' + h + ', which hosts of gateway ' + self.name + ' does not cover: add it there, or correct it')[0])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.routes) || self.routes.all(a, self.routes.filter(b, a.pathPrefix == b.pathPrefix && (has(a.hosts) ? has(b.hosts) && sets.intersects(a.hosts, b.hosts) : !has(b.hosts))).size() <= 1)`,message=`two routes are for the same host and pathPrefix: only one of them can serve it`,messageExpression=`self.routes.map(a, self.routes.filter(b, a.pathPrefix == b.pathPrefix && (has(a.hosts) ? has(b.hosts) && sets.intersects(a.hosts, b.hosts) : !has(b.hosts))).size() > 1, 'two routes of gateway ' + self.name + ' are for pathPrefix ' + a.pathPrefix + ' of the same host: only one of them can serve it')[0]`
type MeshGateway struct {
	// name of the gateway, and of its Deployment and Service: a DNS label that begins with a letter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// namespace of the gateway. It must exist, and is better not that of the control plane.
	// +required
	Namespace NamespaceName `json:"namespace"`

	// hosts that clients ask for: names like shop.example.com, or *.example.com, or * for any.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Hosts []GatewayHost `json:"hosts,omitempty"`

	// ports where clients connect. Unset is HTTP on 80 and, with tls, HTTPS on 443.
	// +optional
	// +listType=map
	// +listMapKey=port
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []GatewayPort `json:"ports,omitempty"`

	// tls ends TLS on the ports of protocol HTTPS.
	// +optional
	TLS *GatewayTLS `json:"tls,omitempty"`

	// routes say which requests go where. The exact host goes before the wildcard and the wildcard before routes without
	// hosts, then the longer pathPrefix before the shorter. Unset makes no VirtualService.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Routes []GatewayRoute `json:"routes,omitempty"`

	// service is how clients reach the proxies.
	// +optional
	// +default={}
	Service ServiceTemplate `json:"service,omitempty"`

	// scaling is how many proxies there are.
	// +optional
	// +default={}
	Scaling Scaling `json:"scaling,omitempty"`
}

// GatewayHost is a DNS name in lower case, or one behind a wildcard "*." that stands for one label or more, or "*" for any.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^([*]|([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$`
type GatewayHost string

// GatewayPort is where clients connect.
//
// +kubebuilder:validation:XValidation:rule=`self.port < 15000 || self.port > 15099`,message=`port is one of 15000 to 15099, which are Istio's own: use another`
type GatewayPort struct {
	// port of the Service, and of the proxies.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// protocol is HTTP or HTTPS.
	// +required
	Protocol GatewayProtocol `json:"protocol"`
}

// GatewayProtocol is what clients speak.
//
// +kubebuilder:validation:Enum=HTTP;HTTPS
type GatewayProtocol string

const (
	// GatewayHTTP is plain HTTP.
	GatewayHTTP GatewayProtocol = "HTTP"
	// GatewayHTTPS is HTTP over TLS.
	GatewayHTTPS GatewayProtocol = "HTTPS"
)

// GatewayTLS ends TLS.
type GatewayTLS struct {
	// secretName is a Secret of type kubernetes.io/tls in the gateway's namespace, with the certificate of all hosts.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	SecretName string `json:"secretName"`

	// httpsRedirect answers requests on ports of protocol HTTP with a redirect to https.
	// +optional
	HTTPSRedirect bool `json:"httpsRedirect,omitempty"`
}

// GatewayRoute sends requests to a Service.
type GatewayRoute struct {
	// hosts that the route is for, each covered by one of the gateway's; unset for all of these.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Hosts []GatewayHost `json:"hosts,omitempty"`

	// pathPrefix that the route is for, by whole elements: /api covers /api/x and not /apiary.
	// +optional
	// +default="/"
	PathPrefix Path `json:"pathPrefix,omitempty"`

	// service that requests go to.
	// +required
	Service RouteService `json:"service"`
}

// RouteService is a port of a Service that requests go to.
type RouteService struct {
	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// namespace of the Service; unset for the gateway's own.
	// +optional
	Namespace NamespaceName `json:"namespace,omitempty"`

	// port of the Service. Unset for the only one that it has.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}
