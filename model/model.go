// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package model is what a load balancer shall do, whoever asks for it and whatever carries it out.
//
// Sources write it: today the LoadBalancer kind, later Gateway API routes. Targets read it: today the agent
// beside HAProxy. So it speaks of listeners, routes, pools and members, and neither of a kind nor of a proxy.
// References are resolved, defaults are filled in, and what was refused at the source is not in it.
//
//	source ──▶ Config (JSON, Version) ──▶ Validate ──▶ target
package model

import "time"

// Version is the version of the model that this package writes, and the only one that it reads.
const Version = "v1"

// Config is one load balancer.
type Config struct {
	// Version is Version; a reader refuses any other.
	Version string `json:"version"`
	// Name is namespace/name of the source, for logs and metrics.
	Name string `json:"name"`
	// Generation is that of the source; a target reports it when it is in force.
	Generation int64 `json:"generation"`
	// Listeners are where clients connect, with distinct names and ports.
	Listeners []Listener `json:"listeners"`
	// Routes say what becomes of a request or connection; of those that match, the most specific wins: see Rules.
	Routes []Route `json:"routes,omitempty"`
	// Pools are where requests go, with distinct names.
	Pools []Pool `json:"pools,omitempty"`
	// Drain takes members out of service whatever pool they are in.
	Drain Drain `json:"drain,omitzero"`
	// DrainTimeout is how long streams may last when what serves them is replaced; at least 1 s.
	DrainTimeout Duration `json:"drainTimeout"`
	// MaxConnections bounds all listeners of one replica together; 0 leaves it to the target.
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// AccessLog is the format of a line per request or connection; empty for none.
	AccessLog AccessLog `json:"accessLog,omitempty"`
}

// AccessLog is a format of access logs.
type AccessLog string

// Formats of access logs.
const (
	LogNone AccessLog = ""
	LogJSON AccessLog = "JSON"
)

// Drain names what gets no new connections. Those that are persistent to it, and those that are open, go on.
type Drain struct {
	// Nodes are names of nodes.
	Nodes []string `json:"nodes,omitempty"`
	// Addresses are IP addresses of members.
	Addresses []string `json:"addresses,omitempty"`
}

// Protocol is what a listener speaks.
type Protocol string

// Protocols of listeners.
const (
	HTTP  Protocol = "HTTP"
	HTTPS Protocol = "HTTPS"
	// TCP is a stream; with TLS set it is decrypted.
	TCP Protocol = "TCP"
	// TLS is a stream that is passed on encrypted, by its server name.
	TLS Protocol = "TLS"
)

// Listener is a port where clients connect.
type Listener struct {
	Name string `json:"name"`
	// Port is where clients connect, BindPort where the process listens.
	Port     int32    `json:"port"`
	BindPort int32    `json:"bindPort"`
	Protocol Protocol `json:"protocol"`
	// Hostnames narrow all routes of the listener, exact or with a wildcard "*." in front; empty for any. HTTP, HTTPS and TLS only.
	Hostnames []string `json:"hostnames,omitempty"`
	// TLS is set for HTTPS, and may be for TCP.
	TLS *ListenerTLS `json:"tls,omitempty"`
	// ProxyProtocol expects the header of the PROXY protocol, version 1 or 2, on every connection.
	ProxyProtocol bool `json:"proxyProtocol,omitempty"`
	// Redirect answers every request; the listener needs no routes then. HTTP and HTTPS only.
	Redirect *Redirect `json:"redirect,omitempty"`
	// AllowCIDRs, if any, are the only client addresses that may connect; DenyCIDRs may not, even if allowed.
	AllowCIDRs []string `json:"allowCIDRs,omitempty"`
	DenyCIDRs  []string `json:"denyCIDRs,omitempty"`
	// MaxConnections bounds the listener in one replica; 0 for no bound of its own.
	MaxConnections int32            `json:"maxConnections,omitempty"`
	Timeouts       ListenerTimeouts `json:"timeouts"`
	// Pool takes what no route matches; empty answers 404, or closes a stream.
	Pool string `json:"pool,omitempty"`
}

// ListenerTimeouts bound how long a client may take. All are set.
type ListenerTimeouts struct {
	// Idle is how long a client may be silent in the middle of a request or stream.
	Idle Duration `json:"idle"`
	// Request is how long the head of a request may take, and a TLS client's first message.
	Request Duration `json:"request"`
	// KeepAlive is how long a connection may wait for its next request.
	KeepAlive Duration `json:"keepAlive"`
	// Tunnel is how long an upgraded connection or a stream may be silent in both directions.
	Tunnel Duration `json:"tunnel"`
}

// ListenerTLS decrypts what clients send.
type ListenerTLS struct {
	// Certificates are Secrets of type kubernetes.io/tls. The server name picks one; the first is for clients without.
	Certificates []SecretRef `json:"certificates"`
	// MinVersion and MaxVersion are "1.0" to "1.3"; MaxVersion may be empty for the newest.
	MinVersion string `json:"minVersion"`
	MaxVersion string `json:"maxVersion,omitempty"`
	// Ciphers are for TLS up to 1.2, by OpenSSL's names; CipherSuites for TLS 1.3. Empty leaves them to the target.
	Ciphers      []string `json:"ciphers,omitempty"`
	CipherSuites []string `json:"cipherSuites,omitempty"`
	// ClientAuth asks for client certificates.
	ClientAuth *ClientAuth `json:"clientAuth,omitempty"`
	// ALPN are the application protocols in order of preference: h2, http/1.1.
	ALPN []string `json:"alpn,omitempty"`
}

// ClientAuth asks clients for a certificate.
type ClientAuth struct {
	// CA is a Secret whose key ca.crt holds the authorities in PEM.
	CA SecretRef `json:"ca"`
	// Optional lets clients without a certificate in; one that is presented must be good.
	Optional bool `json:"optional,omitempty"`
}

// SecretRef names a Secret that the reader of the model may read.
type SecretRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String gives namespace/name.
func (r SecretRef) String() string { return r.Namespace + "/" + r.Name }

// Duration is a time.Duration that stands in JSON as text like 1m30s.
type Duration time.Duration

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
