// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"strconv"
	"strings"
)

func (v *validator) pool(field string, p *Pool) {
	oneOf(v, field+".algorithm", p.Algorithm, RoundRobin, LeastConnections, Random, SourceHash, URIHash, HeaderHash)
	if p.Algorithm == HeaderHash {
		v.token(field+".hashHeader", p.HashHeader)
	}
	for i := range p.Members {
		v.member(fmt.Sprintf("%s.members[%d]", field, i), &p.Members[i])
	}
	v.count(field+".minActive", p.MinActive)
	oneOf(v, field+".protocol", p.Protocol, MemberHTTP1, MemberHTTP2)
	if p.Monitor != nil {
		v.monitor(field+".monitor", p.Monitor)
	}
	if p.Passive != nil {
		v.positive(field+".passive.errors", p.Passive.Errors)
	}
	if p.Persistence != nil {
		v.persistence(field+".persistence", p.Persistence)
	}
	if p.TLS != nil {
		v.memberTLS(field+".tls", p.TLS)
	}
	v.require(p.ProxyProtocol >= 0 && p.ProxyProtocol <= 2, field+".proxyProtocol", "must be 0, 1 or 2")
	v.optional(field+".slowStart", p.SlowStart)
	v.count(field+".maxConnections", p.MaxConnections)
	v.count(field+".maxQueue", p.MaxQueue)
	v.optional(field+".queueTimeout", p.QueueTimeout)
	v.duration(field+".timeouts.connect", p.Timeouts.Connect)
	v.duration(field+".timeouts.response", p.Timeouts.Response)
	v.duration(field+".timeouts.tunnel", p.Timeouts.Tunnel)
}

func (v *validator) member(field string, m *Member) {
	v.require((m.Service == nil) != (m.Address == nil), field, "must have exactly one of service and address")
	if s := m.Service; s != nil {
		v.require(isLabel(s.Namespace) && isSubdomain(s.Name), field+".service", "must name a Service and its namespace")
		v.require(s.PortName == "" || isLabel(s.PortName), field+".service.portName", "must be the name of a port")
		v.require(s.Port >= 0 && s.Port <= 65535, field+".service.port", "must be between 0 and 65535")
	}
	if m.Address != nil {
		v.require(isIP(m.Address.Host), field+".address.host", "must be an IP address")
		v.port(field+".address.port", m.Address.Port)
	}
	v.weight(field+".weight", m.Weight)
}

func (v *validator) monitor(field string, m *Monitor) {
	oneOf(v, field+".type", m.Type, MonitorHTTP, MonitorTCP, MonitorTLS, MonitorGRPC)
	v.duration(field+".interval", m.Interval)
	v.duration(field+".timeout", m.Timeout)
	v.positive(field+".healthy", m.Healthy)
	v.positive(field+".unhealthy", m.Unhealthy)
	v.require(m.Port >= 0 && m.Port <= 65535, field+".port", "must be between 0 and 65535")
	v.require(m.Method == "" || isToken(m.Method), field+".method", "must be a token of HTTP")
	v.require(m.Path == "" || isTarget(m.Path), field+".path", "must begin with / and have at most 1,024 printable ASCII characters but space and #")
	v.require(m.Host == "" || isAuthority(m.Host), field+".host", "must be a DNS name or IP address, with or without a port")
	v.headers(field+".headers", m.Headers)
	for i, statuses := range m.Statuses {
		v.require(isStatuses(statuses), fmt.Sprintf("%s.statuses[%d]", field, i), "must be a status like 200, or a range like 200-399")
	}
	v.require(len(m.Body) <= maxText && !hasControl(m.Body), field+".body", "must have at most 4,096 bytes and no control characters")
	if m.BodyRegex != "" {
		v.regex(field+".bodyRegex", m.BodyRegex)
		v.require(m.Body == "", field+".bodyRegex", "must not be set beside body")
	}
	v.require(len(m.GRPCService) <= maxHostname && each(m.GRPCService, func(c byte) bool { return isAlnum(c) || strings.IndexByte("._-/", c) >= 0 }),
		field+".grpcService", "must have at most 253 letters, digits, and ._-/")
}

// isTarget takes a path with or without a query.
func isTarget(s string) bool {
	path, query, _ := strings.Cut(s, "?")
	return isPath(path) && (query == "" || isPath("/"+strings.ReplaceAll(query, "?", "/"))) && len(s) <= maxPath
}

// isAuthority takes a host with or without a port.
func isAuthority(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		port, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || port == 0 {
			return false
		}
		host = s[:i]
	}
	if inner, is := strings.CutPrefix(host, "["); is {
		address, closed := strings.CutSuffix(inner, "]")
		return closed && isIP(address)
	}
	return isHostname(strings.ToLower(host)) || isIP(host) && !strings.Contains(host, ":")
}

func isStatuses(s string) bool {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	from, errFrom := strconv.ParseUint(low, 10, 16)
	to, errTo := strconv.ParseUint(high, 10, 16)
	return errFrom == nil && errTo == nil && len(low) == 3 && len(high) == 3 && from >= 100 && from <= to && to <= 599
}

func (v *validator) persistence(field string, p *Persistence) {
	oneOf(v, field+".type", p.Type, PersistCookie, PersistSource, PersistHeader)
	if p.Type == PersistCookie || p.Type == PersistHeader {
		v.token(field+".name", p.Name)
	}
	v.optional(field+".timeout", p.Timeout)
}

func (v *validator) memberTLS(field string, t *MemberTLS) {
	if t.CA != nil {
		v.secret(field+".ca", *t.CA)
	}
	if t.Certificate != nil {
		v.secret(field+".certificate", *t.Certificate)
	}
	v.require(t.ServerName == "" || isHostname(strings.ToLower(t.ServerName)), field+".serverName", "must be a DNS name")
}
