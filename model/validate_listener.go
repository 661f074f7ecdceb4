// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
)

// streams reports whether the listener knows connections only, and no requests.
func (l *Listener) streams() bool { return l.Protocol == TCP || l.Protocol == TLS }

func (v *validator) listener(field string, l *Listener) {
	oneOf(v, field+".protocol", l.Protocol, HTTP, HTTPS, TCP, TLS)
	v.port(field+".port", l.Port)
	v.port(field+".bindPort", l.BindPort)
	for _, other := range v.listeners {
		v.require(other.Port != l.Port, field+".port", "is the port of another listener")
		v.require(other.BindPort != l.BindPort, field+".bindPort", "is the port of another listener")
	}
	v.hostnames(field+".hostnames", l.Hostnames)
	v.require(len(l.Hostnames) == 0 || l.Protocol != TCP, field+".hostnames", "must be empty for TCP")
	v.cidrs(field+".allowCIDRs", l.AllowCIDRs)
	v.cidrs(field+".denyCIDRs", l.DenyCIDRs)
	v.count(field+".maxConnections", l.MaxConnections)
	v.duration(field+".timeouts.idle", l.Timeouts.Idle)
	v.duration(field+".timeouts.request", l.Timeouts.Request)
	v.duration(field+".timeouts.keepAlive", l.Timeouts.KeepAlive)
	v.duration(field+".timeouts.tunnel", l.Timeouts.Tunnel)
	if l.Redirect != nil {
		v.require(!l.streams(), field+".redirect", "must not be set for TCP and TLS")
		v.redirect(field+".redirect", l.Redirect)
	}
	switch {
	case l.TLS != nil:
		v.require(l.Protocol == HTTPS || l.Protocol == TCP, field+".tls", "must not be set for HTTP and TLS")
		v.listenerTLS(field+".tls", l.TLS)
	default:
		v.require(l.Protocol != HTTPS, field+".tls", "must be set for HTTPS")
	}
}

func (v *validator) listenerTLS(field string, t *ListenerTLS) {
	v.require(len(t.Certificates) > 0, field+".certificates", "must have at least one")
	for i, ref := range t.Certificates {
		v.secret(fmt.Sprintf("%s.certificates[%d]", field, i), ref)
	}
	versions := []string{"1.0", "1.1", "1.2", "1.3"}
	oneOf(v, field+".minVersion", t.MinVersion, versions...)
	if t.MaxVersion != "" {
		oneOf(v, field+".maxVersion", t.MaxVersion, versions...)
		v.require(slices.Index(versions, t.MinVersion) <= slices.Index(versions, t.MaxVersion), field+".maxVersion", "must not be below minVersion")
	}
	for i, name := range t.Ciphers {
		v.require(isCipher(name), fmt.Sprintf("%s.ciphers[%d]", field, i), "must be the name of a cipher")
	}
	for i, name := range t.CipherSuites {
		v.require(isCipher(name), fmt.Sprintf("%s.cipherSuites[%d]", field, i), "must be the name of a cipher suite")
	}
	for i, name := range t.ALPN {
		oneOf(v, fmt.Sprintf("%s.alpn[%d]", field, i), name, "h2", "http/1.1")
	}
	if t.ClientAuth != nil {
		v.secret(field+".clientAuth.ca", t.ClientAuth.CA)
	}
}
