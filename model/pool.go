// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

// Algorithm is how a pool picks a member.
type Algorithm string

// Algorithms. The hashes are consistent: a member that comes or goes moves only its own part.
const (
	RoundRobin       Algorithm = "RoundRobin"
	LeastConnections Algorithm = "LeastConnections"
	Random           Algorithm = "Random"
	SourceHash       Algorithm = "SourceHash"
	URIHash          Algorithm = "URIHash"
	HeaderHash       Algorithm = "HeaderHash"
)

// Pool is a set of members that serve the same.
type Pool struct {
	Name      string    `json:"name"`
	Algorithm Algorithm `json:"algorithm"`
	// HashHeader is the header of HeaderHash.
	HashHeader string   `json:"hashHeader,omitempty"`
	Members    []Member `json:"members,omitempty"`
	// MinActive is for members of several priorities: while fewer than MinActive of the highest are up, those of the
	// next are used too, and so on. At least 1.
	MinActive int32 `json:"minActive,omitempty"`
	// Protocol is what members speak; empty is HTTP/1.1, or the stream itself.
	Protocol MemberProtocol `json:"protocol,omitempty"`
	// Monitor is nil for members that count as up as long as their Service says so.
	Monitor     *Monitor      `json:"monitor,omitempty"`
	Passive     *PassiveCheck `json:"passive,omitempty"`
	Persistence *Persistence  `json:"persistence,omitempty"`
	TLS         *MemberTLS    `json:"tls,omitempty"`
	// ProxyProtocol is the version, 1 or 2, of the header that members get; 0 for none.
	ProxyProtocol int32 `json:"proxyProtocol,omitempty"`
	// SlowStart is how long a member takes from its first request to its full share.
	SlowStart Duration `json:"slowStart,omitempty"`
	// MaxConnections bounds what one member gets from one replica at a time; what is more waits in the queue. 0 for no bound.
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// MaxQueue bounds what waits for one member; 0 for no bound. QueueTimeout is how long it waits before it is answered 503.
	MaxQueue     int32        `json:"maxQueue,omitempty"`
	QueueTimeout Duration     `json:"queueTimeout,omitempty"`
	Timeouts     PoolTimeouts `json:"timeouts"`
}

// MemberProtocol is what members speak.
type MemberProtocol string

// Protocols of members.
const (
	MemberHTTP1 MemberProtocol = ""
	// MemberHTTP2 is HTTP/2, over TLS if the pool has it; what gRPC needs.
	MemberHTTP2 MemberProtocol = "HTTP2"
)

// PoolTimeouts bound how long a member may take. All are set.
type PoolTimeouts struct {
	Connect Duration `json:"connect"`
	// Response is how long a member may be silent before and within its answer.
	Response Duration `json:"response"`
	// Tunnel is how long an upgraded connection or a stream may be silent in both directions.
	Tunnel Duration `json:"tunnel"`
}

// Member is a Service, whose endpoints serve, or an address; exactly one of them.
type Member struct {
	Service *ServiceRef `json:"service,omitempty"`
	Address *Address    `json:"address,omitempty"`
	// Weight is the part of the pool's requests that all endpoints of the member get together, however many they are; 0 to
	// 1,000,000, and 0 gets none.
	Weight int32 `json:"weight"`
	// Priority groups members: the highest serve, those below are spare.
	Priority int32 `json:"priority,omitempty"`
	// Drain keeps new connections away.
	Drain bool `json:"drain,omitempty"`
}

// ServiceRef names a port of a Service.
type ServiceRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// PortName is the name of the port in EndpointSlices; it may be empty there, too.
	PortName string `json:"portName,omitempty"`
	// Port is the port of endpoints whose EndpointSlice names no ports (a headless Service without ports); else 0.
	Port int32 `json:"port,omitempty"`
}

// Address is an IP address and port.
type Address struct {
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// MonitorType is what a monitor asks.
type MonitorType string

// Types of monitors.
const (
	MonitorHTTP MonitorType = "HTTP"
	MonitorTCP  MonitorType = "TCP"
	MonitorTLS  MonitorType = "TLS"
	MonitorGRPC MonitorType = "GRPC"
)

// Monitor asks every member again and again whether it works. HTTP and GRPC ask over TLS where the pool has it.
type Monitor struct {
	Type     MonitorType `json:"type"`
	Interval Duration    `json:"interval"`
	Timeout  Duration    `json:"timeout"`
	// Healthy and Unhealthy are how many answers in a row change the verdict; at least 1.
	Healthy   int32 `json:"healthy"`
	Unhealthy int32 `json:"unhealthy"`
	// Port is asked instead of the member's own; 0 for that.
	Port int32 `json:"port,omitempty"`

	// For HTTP.
	Method  string   `json:"method,omitempty"`
	Path    string   `json:"path,omitempty"`
	Host    string   `json:"host,omitempty"`
	Headers []Header `json:"headers,omitempty"`
	// Statuses are good, like 200 or 200-399; empty is 200-399.
	Statuses []string `json:"statuses,omitempty"`
	// Body is a text that the answer must contain; BodyRegex a regular expression.
	Body      string `json:"body,omitempty"`
	BodyRegex string `json:"bodyRegex,omitempty"`

	// GRPCService is the service that grpc.health.v1.Health/Check is asked about; empty for the server as a whole.
	GRPCService string `json:"grpcService,omitempty"`
}

// PassiveCheck takes a member out that fails real requests.
type PassiveCheck struct {
	// Connections looks at connections only; else at HTTP answers as well (5xx and malformed ones).
	Connections bool `json:"connections,omitempty"`
	// Errors in a row take the member out until its monitor finds it well.
	Errors int32 `json:"errors"`
}

// PersistenceType is what ties a client to its member.
type PersistenceType string

// Types of persistence.
const (
	PersistCookie PersistenceType = "Cookie"
	PersistSource PersistenceType = "SourceIP"
	PersistHeader PersistenceType = "Header"
)

// Persistence ties a client to the member that it had.
type Persistence struct {
	Type PersistenceType `json:"type"`
	// Name is that of the cookie or header.
	Name string `json:"name,omitempty"`
	// Timeout is how long a client that is away keeps its member. For Cookie 0 is the browser's session.
	Timeout Duration `json:"timeout,omitempty"`
}

// MemberTLS encrypts what members get.
type MemberTLS struct {
	// CA is a Secret whose key ca.crt holds the authorities in PEM; nil for those of the system.
	CA *SecretRef `json:"ca,omitempty"`
	// ServerName is sent as SNI, and what the certificate must be for. Empty sends none and checks no name; with Insecure it
	// sends the request's host.
	ServerName string `json:"serverName,omitempty"`
	// Insecure accepts every certificate.
	Insecure bool `json:"insecure,omitempty"`
	// Certificate is a Secret of type kubernetes.io/tls that is shown to members.
	Certificate *SecretRef `json:"certificate,omitempty"`
}
