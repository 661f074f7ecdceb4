// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Algorithm is how a pool picks a member.
//
// +kubebuilder:validation:Enum=RoundRobin;LeastConnections;Random;SourceHash;URIHash;HeaderHash
type Algorithm string

const (
	// RoundRobin picks one after the other.
	RoundRobin Algorithm = "RoundRobin"
	// LeastConnections picks the one with the fewest connections.
	LeastConnections Algorithm = "LeastConnections"
	// Random picks two at random and takes the one with fewer connections.
	Random Algorithm = "Random"
	// SourceHash picks by the client's address.
	SourceHash Algorithm = "SourceHash"
	// URIHash picks by the path.
	URIHash Algorithm = "URIHash"
	// HeaderHash picks by a header.
	HeaderHash Algorithm = "HeaderHash"
)

// Pool is a set of members that serve the same.
//
// +kubebuilder:validation:XValidation:rule=`(self.algorithm == 'HeaderHash') == has(self.hashHeader)`,message=`hashHeader is for algorithm HeaderHash, which needs it`
// +kubebuilder:validation:XValidation:rule=`!has(self.passive) || has(self.monitor)`,message=`passive needs monitor, which lets a member in again`
// +kubebuilder:validation:XValidation:rule=`!has(self.queue) || has(self.maxConnections)`,message=`queue needs maxConnections: without it nothing waits`
type Pool struct {
	// name of the pool.
	// +required
	Name Name `json:"name"`

	// algorithm is how a member is picked: RoundRobin, LeastConnections, Random, SourceHash, URIHash or HeaderHash. The
	// hashes are consistent: a member that comes or goes moves only its own part.
	// +optional
	// +default="RoundRobin"
	Algorithm Algorithm `json:"algorithm,omitempty"`

	// hashHeader is the header of HeaderHash.
	// +optional
	HashHeader HeaderName `json:"hashHeader,omitempty"`

	// members are Services, whose endpoints serve, and addresses.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Members []Member `json:"members,omitempty"`

	// minActive is for members of several priorities: while fewer than minActive of the highest priority are up, those
	// of the next are used too, and so on.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinActive int32 `json:"minActive,omitempty"`

	// protocol is what members speak: HTTP1, or HTTP2 (which gRPC needs).
	// +optional
	// +default="HTTP1"
	Protocol MemberProtocol `json:"protocol,omitempty"`

	// monitor asks members whether they work. Without it a member is up as long as its Service says so.
	// +optional
	Monitor *Monitor `json:"monitor,omitempty"`

	// passive takes members out that fail real requests; it needs a monitor, which lets them in again.
	// +optional
	Passive *PassiveCheck `json:"passive,omitempty"`

	// persistence ties a client to the member that it had.
	// +optional
	Persistence *Persistence `json:"persistence,omitempty"`

	// tls encrypts what members get.
	// +optional
	TLS *MemberTLS `json:"tls,omitempty"`

	// proxyProtocol sends members the header of the PROXY protocol: V1 or V2.
	// +optional
	ProxyProtocol ProxyProtocolVersion `json:"proxyProtocol,omitempty"`

	// slowStart is how long a new member takes to its full share, 1s to 1h.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('1h')`,message=`must be 1s to 1h`,messageExpression=`self + ' is not within 1s to 1h'`
	SlowStart Duration `json:"slowStart,omitempty"`

	// maxConnections is the most that one member gets from one replica at a time; what is more waits in the queue.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// queue bounds what waits; it needs maxConnections.
	// +optional
	Queue *Queue `json:"queue,omitempty"`

	// timeouts bound how long a member may take.
	// +optional
	// +default={}
	Timeouts PoolTimeouts `json:"timeouts,omitempty"`
}

// MemberProtocol is what members speak.
//
// +kubebuilder:validation:Enum=HTTP1;HTTP2
type MemberProtocol string

const (
	// MemberHTTP1 is HTTP/1.1, or the stream itself.
	MemberHTTP1 MemberProtocol = "HTTP1"
	// MemberHTTP2 is HTTP/2.
	MemberHTTP2 MemberProtocol = "HTTP2"
)

// ProxyProtocolVersion is a version of the PROXY protocol.
//
// +kubebuilder:validation:Enum=V1;V2
type ProxyProtocolVersion string

const (
	// ProxyProtocolV1 is the text form.
	ProxyProtocolV1 ProxyProtocolVersion = "V1"
	// ProxyProtocolV2 is the binary form.
	ProxyProtocolV2 ProxyProtocolVersion = "V2"
)

// PoolTimeouts bound how long a member may take.
type PoolTimeouts struct {
	// connect is how long a connection may take to come about.
	// +optional
	// +default="5s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Connect Duration `json:"connect,omitempty"`
	// response is how long a member may be silent before and within its answer.
	// +optional
	// +default="1m"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Response Duration `json:"response,omitempty"`
	// tunnel is how long an upgraded connection, or a stream, may be silent in both directions.
	// +optional
	// +default="1h"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Tunnel Duration `json:"tunnel,omitempty"`
}

// Member is a Service, whose endpoints serve, or an address.
//
// +kubebuilder:validation:XValidation:rule=`has(self.service) != has(self.address)`,message=`a member has exactly one of service and address`
type Member struct {
	// service whose endpoints serve. One of type ExternalName has none and is refused.
	// +optional
	Service *ServiceReference `json:"service,omitempty"`

	// address that serves.
	// +optional
	Address *MemberAddress `json:"address,omitempty"`

	// weight is the part of the pool's requests that all endpoints of the member get together, however many they are; 0
	// gets none.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Weight *int32 `json:"weight,omitempty"`

	// priority groups members: the highest serve, those below are spare.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Priority int32 `json:"priority,omitempty"`

	// drain keeps new connections away from the member.
	// +optional
	Drain bool `json:"drain,omitempty"`
}

// ServiceReference names a port of a Service. In another namespace it needs a ReferenceGrant there.
type ServiceReference struct {
	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// namespace of the Service; unset for the load balancer's own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`

	// port of the Service by name or number. Unset for the only one that it has.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^([a-z0-9]+-)*[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$`
	// +kubebuilder:validation:XValidation:rule=`type(self) in [string] || int(self) >= 1 && int(self) <= 65535`,message=`must be a name or a number from 1 to 65535`
	Port *Port `json:"port,omitempty"`
}

// MemberAddress is an IP address and port.
//
// +kubebuilder:validation:XValidation:rule=`!self.host.matches('^(0|127|22[4-9]|2[345].)[.]|^169[.]254[.]|^0*:|^[fF]([eE][89abAB]|[fF])')`,message=`host is an address of no member: unspecified, loopback, link-local, multicast or reserved`,messageExpression=`self.host + ' is an address of no member: unspecified, loopback, link-local, multicast or reserved'`
type MemberAddress struct {
	// host is an IP address that others can reach, so not loopback or link-local. Names are not looked up: make a Service of them.
	// +required
	Host IPAddress `json:"host"`
	// port of the member.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}

// MonitorType is what a monitor asks.
//
// +kubebuilder:validation:Enum=HTTP;TCP;TLS;GRPC
type MonitorType string

const (
	// MonitorHTTP sends a request.
	MonitorHTTP MonitorType = "HTTP"
	// MonitorTCP connects.
	MonitorTCP MonitorType = "TCP"
	// MonitorTLS shakes hands.
	MonitorTLS MonitorType = "TLS"
	// MonitorGRPC calls grpc.health.v1.Health/Check.
	MonitorGRPC MonitorType = "GRPC"
)

// Monitor asks every member again and again whether it works. HTTP and GRPC ask over TLS where the pool has it.
//
// +kubebuilder:validation:XValidation:rule=`self.type == 'HTTP' || !(has(self.method) || has(self.path) || has(self.host) || has(self.headers) || has(self.statuses) || has(self.body) || has(self.bodyRegex))`,message=`method, path, host, headers, statuses, body and bodyRegex are for type HTTP`
// +kubebuilder:validation:XValidation:rule=`self.type == 'GRPC' || !has(self.grpcService)`,message=`grpcService is for type GRPC`
// +kubebuilder:validation:XValidation:rule=`!(has(self.body) && has(self.bodyRegex))`,message=`body and bodyRegex exclude each other`
// +kubebuilder:validation:XValidation:rule=`duration(self.timeout) <= duration(self.interval)`,message=`timeout is longer than interval`,messageExpression=`'timeout ' + self.timeout + ' is longer than interval ' + self.interval`
// +kubebuilder:validation:XValidation:rule=`!has(self.statuses) || self.statuses.all(s, s.size() < 7 || s.substring(0, 3) <= s.substring(4))`,message=`a range in statuses goes down: write the lower one first`,messageExpression=`self.statuses.filter(s, s.size() == 7 && s.substring(0, 3) > s.substring(4))[0] + ' in statuses goes down: write the lower one first'`
// +kubebuilder:validation:XValidation:rule=`!has(self.method) || self.method != 'HEAD' || !(has(self.body) || has(self.bodyRegex))`,message=`an answer to HEAD has no body: use method GET, or drop body and bodyRegex`
type Monitor struct {
	// type is HTTP, TCP, TLS or GRPC.
	// +required
	Type MonitorType `json:"type"`
	// interval between two questions, 100ms to 1h.
	// +optional
	// +default="2s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('100ms') && duration(self) <= duration('1h')`,message=`must be 100ms to 1h`,messageExpression=`self + ' is not within 100ms to 1h'`
	Interval Duration `json:"interval,omitempty"`
	// timeout of one question, at most the interval.
	// +optional
	// +default="1s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('10ms') && duration(self) <= duration('1h')`,message=`must be 10ms to 1h`,messageExpression=`self + ' is not within 10ms to 1h'`
	Timeout Duration `json:"timeout,omitempty"`
	// healthyThreshold is how many good answers in a row bring a member in.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HealthyThreshold int32 `json:"healthyThreshold,omitempty"`
	// unhealthyThreshold is how many bad answers in a row take it out.
	// +optional
	// +default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	UnhealthyThreshold int32 `json:"unhealthyThreshold,omitempty"`
	// port is asked instead of the member's own.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// method of the request; GET if unset.
	// +optional
	// +kubebuilder:validation:Enum=GET;HEAD;OPTIONS;POST
	Method string `json:"method,omitempty"`
	// path of the request, with a query if need be; / if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[^\x00-\x20\x7f#]*$`
	Path string `json:"path,omitempty"`
	// host header of the request.
	// +optional
	Host PreciseHostname `json:"host,omitempty"`
	// headers of the request.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Headers []Header `json:"headers,omitempty"`
	// statuses that are good, like 200 or 200-399; 200-399 if unset.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=7
	// +kubebuilder:validation:items:Pattern=`^[1-5][0-9]{2}(-[1-5][0-9]{2})?$`
	Statuses []string `json:"statuses,omitempty"`
	// body is a text that the answer must contain.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	Body string `json:"body,omitempty"`
	// bodyRegex is a regular expression that the answer must match.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	BodyRegex string `json:"bodyRegex,omitempty"`

	// grpcService is the service that is asked about; unset for the server as a whole.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.]+$`
	GRPCService string `json:"grpcService,omitempty"`
}

// PassiveCheck takes a member out that fails real requests.
type PassiveCheck struct {
	// observe is Requests to look at answers, of which 5xx are failures, or Connections to look at connections only.
	// +optional
	// +default="Requests"
	// +kubebuilder:validation:Enum=Requests;Connections
	Observe ObserveMode `json:"observe,omitempty"`
	// errors in a row that take the member out.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Errors int32 `json:"errors,omitempty"`
}

// ObserveMode is what a passive check looks at.
type ObserveMode string

const (
	// ObserveRequests looks at answers.
	ObserveRequests ObserveMode = "Requests"
	// ObserveConnections looks at connections.
	ObserveConnections ObserveMode = "Connections"
)

// Queue bounds what waits for a member.
type Queue struct {
	// length is the most that wait for one member; unset for no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Length int32 `json:"length,omitempty"`
	// timeout is how long one waits before it is answered 503.
	// +optional
	// +default="5s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('1h')`,message=`must be 1ms to 1h`,messageExpression=`self + ' is not within 1ms to 1h'`
	Timeout Duration `json:"timeout,omitempty"`
}

// PersistenceType is what ties a client to its member.
//
// +kubebuilder:validation:Enum=Cookie;SourceIP;Header
type PersistenceType string

const (
	// PersistCookie is a cookie that the load balancer sets.
	PersistCookie PersistenceType = "Cookie"
	// PersistSource is the client's address.
	PersistSource PersistenceType = "SourceIP"
	// PersistHeader is a header of the request.
	PersistHeader PersistenceType = "Header"
)

// Persistence ties a client to the member that it had.
//
// +kubebuilder:validation:XValidation:rule=`self.type != 'SourceIP' || !has(self.name)`,message=`name is for types Cookie and Header`
// +kubebuilder:validation:XValidation:rule=`self.type == 'SourceIP' || has(self.name)`,message=`types Cookie and Header need name`
type Persistence struct {
	// type is Cookie, SourceIP or Header.
	// +required
	Type PersistenceType `json:"type"`
	// name of the cookie or header.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Name string `json:"name,omitempty"`
	// timeout is how long a client that is away keeps its member, 1s to 480h. Unset is the browser's session for Cookie, else 30m.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('480h')`,message=`must be 1s to 480h`,messageExpression=`self + ' is not within 1s to 480h'`
	Timeout Duration `json:"timeout,omitempty"`
}

// MemberTLS encrypts what members get.
//
// +kubebuilder:validation:XValidation:rule=`!(has(self.insecureSkipVerify) && self.insecureSkipVerify && has(self.ca))`,message=`insecureSkipVerify and ca exclude each other`
type MemberTLS struct {
	// ca is a Secret whose key ca.crt holds the authorities of members' certificates, in PEM; unset for those of the image.
	// +optional
	CA *SecretReference `json:"ca,omitempty"`
	// serverName is sent to members, and their certificates must be for it. Unset sends none and checks no name, only who
	// signed; with insecureSkipVerify the request's host is sent.
	// +optional
	ServerName PreciseHostname `json:"serverName,omitempty"`
	// insecureSkipVerify accepts every certificate.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
	// certificate is a Secret of type kubernetes.io/tls that is shown to members.
	// +optional
	Certificate *SecretReference `json:"certificate,omitempty"`
}
