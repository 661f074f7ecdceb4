// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

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
//
// +kubebuilder:validation:XValidation:rule=`self.protocol != 'HTTPS' || has(self.tls)`,message=`protocol HTTPS needs tls with certificates, one or more`
// +kubebuilder:validation:XValidation:rule=`!(self.protocol in ['HTTP', 'TLS']) || !has(self.tls)`,message=`tls is for protocols HTTPS and TCP`,messageExpression=`'protocol ' + self.protocol + ' takes no tls: use ' + (self.protocol == 'HTTP' ? 'HTTPS' : 'TCP, which decrypts the stream that TLS passes on')`
// +kubebuilder:validation:XValidation:rule=`self.protocol != 'TCP' || !has(self.hostnames) || self.hostnames.size() == 0`,message=`protocol TCP takes no hostnames: a stream names none; use TLS to tell streams apart by their server name`
// +kubebuilder:validation:XValidation:rule=`self.protocol in ['HTTP', 'HTTPS'] || !has(self.redirect)`,message=`redirect is for protocols HTTP and HTTPS`,messageExpression=`'redirect is for protocols HTTP and HTTPS, not for ' + self.protocol`
// +kubebuilder:validation:XValidation:rule=`!has(self.redirect) || !has(self.pool)`,message=`redirect and pool exclude each other: a redirect answers every request`
// +kubebuilder:validation:XValidation:rule=`!has(self.redirect) || !has(self.redirect.pathPrefix)`,message=`redirect.pathPrefix is for routes, which have a prefix to replace: use redirect.path`
// +kubebuilder:validation:XValidation:rule=`!has(self.redirect) || has(self.redirect.host) || has(self.redirect.scheme) && (self.redirect.scheme == 'https') != (self.protocol == 'HTTPS') || (has(self.redirect.port) ? self.redirect.port : !has(self.redirect.scheme) ? self.port : self.redirect.scheme == 'https' ? 443 : 80) != self.port`,message=`the redirect leads back to this listener: set another scheme, host or port`
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
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Idle Duration `json:"idle,omitempty"`
	// request is how long the head of a request, or a TLS client's first message, may take.
	// +optional
	// +default="10s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Request Duration `json:"request,omitempty"`
	// keepAlive is how long a connection may wait for its next request.
	// +optional
	// +default="1m"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	KeepAlive Duration `json:"keepAlive,omitempty"`
	// tunnel is how long an upgraded connection, or a stream, may be silent in both directions.
	// +optional
	// +default="1h"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
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
//
// +kubebuilder:validation:XValidation:rule=`!has(self.maxVersion) || self.minVersion <= self.maxVersion`,message=`minVersion is greater than maxVersion`,messageExpression=`'minVersion ' + self.minVersion + ' is greater than maxVersion ' + self.maxVersion`
// +kubebuilder:validation:XValidation:rule=`!has(self.ciphers) || self.ciphers.size() == 0 || self.minVersion <= '1.2'`,message=`ciphers are for TLS up to 1.2, and minVersion is 1.3: use cipherSuites`
// +kubebuilder:validation:XValidation:rule=`!has(self.cipherSuites) || self.cipherSuites.size() == 0 || !has(self.maxVersion) || self.maxVersion == '1.3'`,message=`cipherSuites are for TLS 1.3, and maxVersion is less: use ciphers`,messageExpression=`'cipherSuites are for TLS 1.3, and maxVersion is ' + self.maxVersion + ': use ciphers'`
// +kubebuilder:validation:XValidation:rule=`!has(self.alpn) || !('h2' in self.alpn) || !has(self.maxVersion) || self.maxVersion >= '1.2'`,message=`h2 in alpn needs TLS 1.2, and maxVersion is less`,messageExpression=`'h2 in alpn needs TLS 1.2, and maxVersion is ' + self.maxVersion`
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
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
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
