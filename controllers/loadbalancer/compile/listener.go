// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

const (
	listenerLeftOut = "the listener is left out"
	// closedInstead is for what protects: leaving it out would open what it closes.
	closedInstead = "the listener is left out, since without it everybody could connect"
)

func (c *compiler) listeners() {
	ports := map[int32]v1alpha1.Name{}
	for i := range c.spec.Listeners {
		l := &c.spec.Listeners[i]
		field := part("listeners", l.Name)
		if other, taken := ports[l.Port]; taken {
			c.problem(field+".port", v1alpha1.ProblemInvalid, "%d is the port of listener %s too; %s", l.Port, other, listenerLeftOut)
			continue
		}
		ports[l.Port] = l.Name
		if out, ok := c.listener(field, l); ok {
			c.config.Listeners = append(c.config.Listeners, out)
		}
	}
}

// part is a part of the spec by its name.
func part(kind string, name v1alpha1.Name) string { return fmt.Sprintf("%s[%s]", kind, name) }

func (c *compiler) listener(field string, l *v1alpha1.Listener) (model.Listener, bool) {
	out := model.Listener{
		Name: string(l.Name), Port: l.Port, BindPort: Offset + l.Port, Protocol: model.Protocol(l.Protocol),
		Hostnames: texts(l.Hostnames), ProxyProtocol: l.ProxyProtocol, MaxConnections: l.MaxConnections,
		Timeouts: model.ListenerTimeouts{
			Idle:      c.duration(field+".timeouts.idle", l.Timeouts.Idle, time.Minute, timeoutBounds),
			Request:   c.duration(field+".timeouts.request", l.Timeouts.Request, 10*time.Second, timeoutBounds),
			KeepAlive: c.duration(field+".timeouts.keepAlive", l.Timeouts.KeepAlive, time.Minute, timeoutBounds),
			Tunnel:    c.duration(field+".timeouts.tunnel", l.Timeouts.Tunnel, time.Hour, timeoutBounds),
		},
	}
	var allowed, denied bool
	out.AllowCIDRs, allowed = c.cidrs(field+".allowCIDRs", l.AllowCIDRs, closedInstead)
	out.DenyCIDRs, denied = c.cidrs(field+".denyCIDRs", l.DenyCIDRs, closedInstead)
	if !allowed || !denied {
		return out, false
	}
	if l.TLS != nil {
		var ok bool
		if out.TLS, ok = c.listenerTLS(field+".tls", l); !ok {
			return out, false
		}
	}
	switch {
	case l.Redirect != nil:
		out.Redirect = redirect(l.Redirect)
	case l.Pool != "":
		c.needPool(field+".pool", l.Pool)
		out.Pool = string(l.Pool)
	}
	return out, true
}

// cidrs checks ranges of addresses. One that is none makes the whole list unusable.
func (c *compiler) cidrs(field string, list []v1alpha1.CIDR, effect string) ([]string, bool) {
	var out []string
	for i, text := range list {
		if _, err := netip.ParsePrefix(string(text)); err != nil {
			c.problem(fmt.Sprintf("%s[%d]", field, i), v1alpha1.ProblemInvalid, "%.50q is no range like 10.0.0.0/8; %s", text, effect)
			return nil, false
		}
		out = append(out, string(text))
	}
	return out, true
}

func (c *compiler) listenerTLS(field string, l *v1alpha1.Listener) (*model.ListenerTLS, bool) {
	tls := l.TLS
	out := &model.ListenerTLS{
		MinVersion: string(tls.MinVersion), MaxVersion: string(tls.MaxVersion),
		Ciphers: texts(tls.Ciphers), CipherSuites: texts(tls.CipherSuites), ALPN: texts(tls.ALPN),
	}
	if out.MinVersion == "" {
		out.MinVersion = "1.2"
	}
	if len(out.ALPN) == 0 && l.Protocol == v1alpha1.ProtocolHTTPS {
		out.ALPN = []string{"h2", "http/1.1"}
	}
	for i, ref := range tls.Certificates {
		if secret, ok := c.secret(fmt.Sprintf("%s.certificates[%d]", field, i), ref, "the certificate is left out"); ok {
			out.Certificates = append(out.Certificates, secret)
		}
	}
	if len(out.Certificates) == 0 {
		c.problem(field+".certificates", v1alpha1.ProblemNotFound, "none of the certificates can be used; %s", listenerLeftOut)
		return nil, false
	}
	if tls.ClientAuth != nil {
		ca, ok := c.secret(field+".clientAuth.ca", tls.ClientAuth.CA, closedInstead)
		if !ok {
			return nil, false
		}
		out.ClientAuth = &model.ClientAuth{CA: ca, Optional: tls.ClientAuth.Mode == v1alpha1.ClientAuthOptional}
	}
	return out, true
}

func redirect(r *v1alpha1.Redirect) *model.Redirect {
	out := &model.Redirect{Scheme: r.Scheme, Host: string(r.Host), Port: r.Port, Path: string(r.Path), PathPrefix: pathPrefix(r.PathPrefix), Code: r.Code}
	if out.Code == 0 {
		out.Code = 302
	}
	return out
}

func pathPrefix(path *v1alpha1.Path) *string {
	if path == nil {
		return nil
	}
	text := string(*path)
	return &text
}
