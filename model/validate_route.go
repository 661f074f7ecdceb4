// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (v *validator) route(field string, r *Route) {
	v.routeListeners(field, r)
	v.hostnames(field+".hostnames", r.Hostnames)
	v.require(len(r.Matches) <= MaxMatches, field+".matches", "must have at most 64")
	for i := range r.Matches {
		v.match(fmt.Sprintf("%s.matches[%d]", field, i), &r.Matches[i])
	}
	v.cidrs(field+".allowCIDRs", r.AllowCIDRs)
	v.cidrs(field+".denyCIDRs", r.DenyCIDRs)
	if r.RateLimit != nil {
		v.rateLimit(field+".rateLimit", r.RateLimit)
	}
	if r.CORS != nil {
		v.cors(field+".cors", r.CORS)
	}
	if r.BasicAuth != nil {
		v.secret(field+".basicAuth.users", r.BasicAuth.Users)
		v.require(r.BasicAuth.Realm != "" && len(r.BasicAuth.Realm) <= maxHostname && !hasControl(r.BasicAuth.Realm) && !strings.ContainsAny(r.BasicAuth.Realm, `"\`),
			field+".basicAuth.realm", "must have 1 to 253 bytes, no control characters, quotes or backslashes")
	}
	v.headerChanges(field+".requestHeaders", r.RequestHeaders)
	v.headerChanges(field+".responseHeaders", r.ResponseHeaders)
	if r.Rewrite != nil {
		v.rewrite(field+".rewrite", r)
	}
	if r.Retries != nil {
		v.require(r.Retries.Attempts >= 0 && r.Retries.Attempts <= 10, field+".retries.attempts", "must be between 0 and 10")
		for i, on := range r.Retries.On {
			oneOf(v, fmt.Sprintf("%s.retries.on[%d]", field, i), on, RetryConnectFailure, RetryEmptyResponse, RetryTimeout, Retry5xx)
		}
	}
	v.optional(field+".timeouts.response", r.Timeouts.Response)
	v.optional(field+".timeouts.tunnel", r.Timeouts.Tunnel)
	v.action(field+".action", r)
}

func (v *validator) routeListeners(field string, r *Route) {
	v.require(len(r.Listeners) > 0, field+".listeners", "must have at least one")
	for i, name := range r.Listeners {
		at := fmt.Sprintf("%s.listeners[%d]", field, i)
		l := v.listeners[name]
		v.require(l != nil, at, "names a listener that does not exist")
		v.require(!slices.Contains(r.Listeners[:i], name), at, "is there twice")
		if l == nil || !l.streams() {
			continue
		}
		v.require(l.Protocol == TLS || len(r.Hostnames) == 0, at, "is one of TCP, where a connection has no hostname")
		v.require(!r.requests(), at, "is one of TCP or TLS, where a route has nothing but hostnames, allowCIDRs, denyCIDRs and pools")
	}
}

// requests reports whether the route has what only requests have.
func (r *Route) requests() bool {
	changes := func(h HeaderChanges) bool { return len(h.Set)+len(h.Add)+len(h.Remove) > 0 }
	return len(r.Matches) > 0 || r.RateLimit != nil || r.CORS != nil || r.BasicAuth != nil || changes(r.RequestHeaders) ||
		changes(r.ResponseHeaders) || r.Rewrite != nil || r.Retries != nil || r.Timeouts != RouteTimeouts{} ||
		r.Action.Redirect != nil || r.Action.Respond != nil
}

func (v *validator) match(field string, m *Match) {
	if m.Path != nil {
		oneOf(v, field+".path.type", m.Path.Type, PathExact, PathPrefix, PathRegex)
		if m.Path.Type == PathRegex {
			v.regex(field+".path.value", m.Path.Value)
		} else {
			v.path(field+".path.value", m.Path.Value)
		}
	}
	v.require(len(m.Methods) <= MaxConditions, field+".methods", "must have at most 16")
	v.tokens(field+".methods", m.Methods)
	v.values(field+".headers", m.Headers, v.token)
	v.values(field+".query", m.Query, func(at, name string) {
		v.require(name != "" && len(name) <= maxHostname && !strings.ContainsAny(name, " &=#?\t") && !hasControl(name), at,
			"must have 1 to 253 bytes, no control characters and spaces, and none of &=#?")
	})
}

func (v *validator) values(field string, values []ValueMatch, name func(field, name string)) {
	v.require(len(values) <= MaxConditions, field, "must have at most 16")
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", field, i)
		name(at+".name", value.Name)
		oneOf(v, at+".type", value.Type, ValueExact, ValueRegex, ValuePresent)
		if value.Type == ValueRegex {
			v.regex(at+".value", value.Value)
			continue
		}
		v.require(len(value.Value) <= maxHeaderValue && !hasControl(value.Value), at+".value", "must have at most 4,096 bytes and no control characters")
	}
}

func (v *validator) rateLimit(field string, r *RateLimit) {
	oneOf(v, field+".key", r.Key, RateBySource, RateByHeader, RateByPath)
	if r.Key == RateByHeader {
		v.token(field+".header", r.Header)
	}
	v.positive(field+".requests", r.Requests)
	v.require(r.Per >= Duration(10*time.Millisecond) && r.Per <= Duration(24*time.Hour), field+".per", "must be between 10 ms and 24 h")
}

func (v *validator) cors(field string, c *CORS) {
	v.require(len(c.AllowOrigins) > 0, field+".allowOrigins", "must have at least one")
	for i, origin := range c.AllowOrigins {
		v.require(isOrigin(origin) || origin == "*" && len(c.AllowOrigins) == 1, fmt.Sprintf("%s.allowOrigins[%d]", field, i),
			"must be like https://shop.example.com, or * alone")
	}
	v.tokens(field+".allowMethods", c.AllowMethods)
	v.tokens(field+".allowHeaders", c.AllowHeaders)
	v.tokens(field+".exposeHeaders", c.ExposeHeaders)
	v.optional(field+".maxAge", c.MaxAge)
}

func (v *validator) headerChanges(field string, h HeaderChanges) {
	v.headers(field+".set", h.Set)
	v.headers(field+".add", h.Add)
	for i, name := range h.Remove {
		at := fmt.Sprintf("%s.remove[%d]", field, i)
		v.headerName(at, name)
		v.require(!strings.EqualFold(name, "host"), at, "must not be host")
	}
}

func (v *validator) rewrite(field string, r *Route) {
	v.require(r.Rewrite.Host == "" || isAuthority(r.Rewrite.Host), field+".host", "must be a DNS name or IP address, with or without a port")
	v.newPath(field, r.Rewrite.Path, r.Rewrite.PathPrefix)
	v.prefixMatches(field, r.Rewrite.PathPrefix, r)
}

func (v *validator) newPath(field, path string, prefix *string) {
	v.require(path == "" || prefix == nil, field+".pathPrefix", "must not be set beside path")
	if path != "" {
		v.path(field+".path", path)
	}
	if prefix != nil && *prefix != "" {
		v.path(field+".pathPrefix", *prefix)
	}
}

// prefixMatches requires that there is a prefix that can be replaced; a route without matches has the prefix /.
func (v *validator) prefixMatches(field string, prefix *string, r *Route) {
	if prefix == nil {
		return
	}
	for i := range r.Matches {
		path := r.Matches[i].Path
		v.require(path == nil || path.Type == PathPrefix, field+".pathPrefix", "needs matches of prefixes only")
	}
}

func (v *validator) redirect(field string, r *Redirect) {
	if r.Scheme != "" {
		oneOf(v, field+".scheme", r.Scheme, "http", "https")
	}
	v.require(r.Host == "" || isHostname(r.Host) || isIP(r.Host), field+".host", "must be a DNS name or an IP address")
	v.require(r.Port >= 0 && r.Port <= 65535, field+".port", "must be between 0 and 65535")
	v.newPath(field, r.Path, r.PathPrefix)
	v.require(slices.Contains([]int32{301, 302, 303, 307, 308}, r.Code), field+".code", "must be 301, 302, 303, 307 or 308")
}

func (v *validator) action(field string, r *Route) {
	set := 0
	for _, is := range []bool{len(r.Action.Pools) > 0, r.Action.Redirect != nil, r.Action.Respond != nil} {
		if is {
			set++
		}
	}
	v.require(set == 1, field, "must have exactly one of pools, redirect and respond")
	for i, pool := range r.Action.Pools {
		at := fmt.Sprintf("%s.pools[%d]", field, i)
		v.require(pool.Pool != "", at+".pool", "must be set")
		v.poolExists(at+".pool", pool.Pool)
		v.weight(at+".weight", pool.Weight)
	}
	if r.Action.Redirect != nil {
		v.redirect(field+".redirect", r.Action.Redirect)
		v.prefixMatches(field+".redirect", r.Action.Redirect.PathPrefix, r)
	}
	if r.Action.Respond != nil {
		v.respond(field+".respond", r.Action.Respond)
	}
}

func (v *validator) respond(field string, r *Respond) {
	v.require(r.Status >= 200 && r.Status <= 599, field+".status", "must be between 200 and 599")
	v.require(r.ContentType == "" || isMediaType(r.ContentType), field+".contentType", "must be like text/plain; charset=utf-8")
	v.require(len(r.Body) <= MaxBody, field+".body", "must have at most 12,288 bytes")
	v.require(r.Body == "" || r.Status != 204 && r.Status != 304, field+".body", "must be empty for the statuses 204 and 304")
	v.headers(field+".headers", r.Headers)
	v.require(len(r.Headers) <= MaxConditions, field+".headers", "must have at most 16")
	for i, header := range r.Headers {
		v.require(!strings.EqualFold(header.Name, "content-type"), fmt.Sprintf("%s.headers[%d].name", field, i), "must not be content-type, which is a field of its own")
	}
}
