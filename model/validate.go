// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds that a target can rely on.
const (
	MaxDuration = Duration(20 * 24 * time.Hour)
	// MaxBody is the most bytes of Respond.Body: an answer has to fit into one buffer of a proxy, with its headers.
	MaxBody = 12 << 10
	// MaxWeight bounds weights of members and pools, MaxMatches the matches of a route, MaxConditions the headers and the
	// query parameters of a match each.
	MaxWeight      = 1_000_000
	MaxMatches     = 64
	MaxConditions  = 16
	maxCount       = 10_000_000
	maxHeaderValue = 4 << 10
	maxPath        = 1 << 10
	maxRegex       = 1 << 10
	maxText        = 4 << 10
)

// Problem is a part of a model that nobody may put in force.
type Problem struct {
	// Field is like routes[api].matches[0].path.value. In the brackets stands the name of a listener, route or pool, or
	// its index where the name is no DNS label or not the first of its kind.
	Field string
	// Message is a sentence without the value.
	Message string
}

// Part is the listener, route or pool that the problem is in, like routes[api], or empty for what concerns all.
func (p Problem) Part() string {
	if i := strings.IndexByte(p.Field, ']'); i >= 0 && !strings.HasPrefix(p.Field, "drain.") {
		return p.Field[:i+1]
	}
	return ""
}

// ListenerFields gives the name of each listener as it stands in Problem.Field.
func (c *Config) ListenerFields() []string {
	return fields("listeners", len(c.Listeners), func(i int) string { return c.Listeners[i].Name })
}

// RouteFields is like ListenerFields, for routes.
func (c *Config) RouteFields() []string {
	return fields("routes", len(c.Routes), func(i int) string { return c.Routes[i].Name })
}

// PoolFields is like ListenerFields, for pools.
func (c *Config) PoolFields() []string {
	return fields("pools", len(c.Pools), func(i int) string { return c.Pools[i].Name })
}

func fields(kind string, n int, name func(int) string) []string {
	out, seen := make([]string, n), map[string]bool{}
	for i := range n {
		out[i] = fmt.Sprintf("%s[%d]", kind, i)
		if isLabel(name(i)) && !seen[name(i)] {
			seen[name(i)] = true
			out[i] = kind + "[" + name(i) + "]"
		}
	}
	return out
}

// Validate gives what a target may not put in force, in the model's order. References to Secrets and Services are
// checked in form only.
func Validate(c *Config) []Problem {
	v := &validator{config: c, listeners: map[string]*Listener{}, pools: map[string]bool{}}
	v.whole()
	for i, field := range c.ListenerFields() {
		v.name(field, "listener", c.Listeners[i].Name)
		v.listener(field, &c.Listeners[i])
		if _, known := v.listeners[c.Listeners[i].Name]; !known {
			v.listeners[c.Listeners[i].Name] = &c.Listeners[i]
		}
	}
	poolFields := c.PoolFields()
	for i := range c.Pools {
		v.pools[c.Pools[i].Name] = isLabel(c.Pools[i].Name)
	}
	for i, field := range c.ListenerFields() {
		v.poolExists(field+".pool", c.Listeners[i].Pool)
	}
	for i, field := range c.RouteFields() {
		v.name(field, "route", c.Routes[i].Name)
		v.route(field, &c.Routes[i])
	}
	for i, field := range poolFields {
		v.name(field, "pool", c.Pools[i].Name)
		v.pool(field, &c.Pools[i])
	}
	return v.problems
}

// validator collects problems.
type validator struct {
	config    *Config
	problems  []Problem
	listeners map[string]*Listener
	pools     map[string]bool
}

// require tells a problem unless ok.
func (v *validator) require(ok bool, field, message string) {
	if !ok {
		v.problems = append(v.problems, Problem{Field: field, Message: message})
	}
}

func (v *validator) whole() {
	c := v.config
	v.require(c.Version == Version, "version", "must be "+Version)
	v.require(len(c.Name) <= maxPath && !hasControl(c.Name), "name", "must have no control characters")
	v.require(c.DrainTimeout >= Duration(time.Second) && c.DrainTimeout <= MaxDuration, "drainTimeout", "must be between 1 s and 20 days")
	v.count("maxConnections", c.MaxConnections)
	v.require(c.AccessLog == LogNone || c.AccessLog == LogJSON, "accessLog", "must be JSON or empty")
	for i, node := range c.Drain.Nodes {
		v.require(isSubdomain(node), fmt.Sprintf("drain.nodes[%d]", i), "must be the name of a node")
	}
	for i, address := range c.Drain.Addresses {
		v.require(isIP(address), fmt.Sprintf("drain.addresses[%d]", i), "must be an IP address")
	}
}

// name tells when the field, which was made from it, had to do without it.
func (v *validator) name(field, kind, name string) {
	if !isLabel(name) {
		v.require(false, field+".name", "must be a DNS label: at most 63 of a-z, 0-9 and -, not - at an end")
		return
	}
	v.require(strings.HasSuffix(field, "["+name+"]"), field+".name", "is the name of another "+kind)
}

func (v *validator) poolExists(field, pool string) {
	v.require(pool == "" || v.pools[pool], field, "names a pool that does not exist")
}

// duration is one that must be set; optional is one that may be 0.
func (v *validator) duration(field string, d Duration) {
	v.require(d > 0 && d <= MaxDuration, field, "must be more than 0 and at most 20 days")
}

func (v *validator) optional(field string, d Duration) {
	v.require(d >= 0 && d <= MaxDuration, field, "must be at most 20 days")
}

func (v *validator) count(field string, n int32) {
	v.require(n >= 0 && n <= maxCount, field, "must be between 0 and 10,000,000")
}

func (v *validator) positive(field string, n int32) {
	v.require(n >= 1 && n <= maxCount, field, "must be between 1 and 10,000,000")
}

func (v *validator) weight(field string, n int32) {
	v.require(n >= 0 && n <= MaxWeight, field, "must be between 0 and 1,000,000")
}

func (v *validator) port(field string, port int32) {
	v.require(port >= 1 && port <= 65535, field, "must be between 1 and 65535")
}

func (v *validator) cidrs(field string, cidrs []string) {
	for i, cidr := range cidrs {
		v.require(isCIDR(cidr), fmt.Sprintf("%s[%d]", field, i), "must be an IP address or a network like 10.0.0.0/8")
	}
}

func (v *validator) secret(field string, ref SecretRef) {
	v.require(isLabel(ref.Namespace) && isSubdomain(ref.Name), field, "must name a Secret and its namespace")
}

func (v *validator) hostnames(field string, hostnames []string) {
	for i, hostname := range hostnames {
		v.require(isHostname(strings.TrimPrefix(hostname, "*.")), fmt.Sprintf("%s[%d]", field, i),
			"must be a DNS name in lower case without a dot at the end, exact or with *. in front")
	}
}

func (v *validator) token(field, token string) {
	v.require(isToken(token), field, "must be a token of HTTP: letters, digits and !#$%&'*+-.^_`|~")
}

func (v *validator) tokens(field string, tokens []string) {
	for i, token := range tokens {
		v.token(fmt.Sprintf("%s[%d]", field, i), token)
	}
}

// framing are headers that say where a message ends, or what becomes of its connection; a proxy writes them itself.
var framing = []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

func (v *validator) headerName(field, name string) {
	v.token(field, name)
	v.require(!slices.Contains(framing, strings.ToLower(name)), field, "must be none of "+strings.Join(framing, ", "))
}

func (v *validator) headers(field string, headers []Header) {
	for i, header := range headers {
		at := fmt.Sprintf("%s[%d]", field, i)
		v.headerName(at+".name", header.Name)
		v.headerValue(at+".value", header.Value)
	}
}

func (v *validator) headerValue(field, value string) {
	v.require(value != "" && len(value) <= maxHeaderValue && !hasControl(value) && strings.TrimSpace(value) == value, field,
		"must have 1 to 4,096 bytes, no control characters, and no space at an end")
}

// path checks one that a request can have or be sent with.
func (v *validator) path(field, path string) {
	v.require(isPath(path), field, "must begin with / and have at most 1,024 printable ASCII characters but space, ? and #")
}

func (v *validator) regex(field, regex string) {
	v.require(regex != "" && len(regex) <= maxRegex && !hasControl(regex), field, "must have 1 to 1,024 bytes and no control characters")
	v.require(balanced(regex), field, "has a bracket or parenthesis that is not closed, or a backslash at its end")
}

// oneOf requires one of the values of an enumeration.
func oneOf[T ~string](v *validator, field string, value T, of ...T) {
	names := make([]string, 0, len(of))
	for _, name := range of {
		names = append(names, string(name))
	}
	v.require(slices.Contains(of, value), field, "must be one of "+strings.Join(names, ", "))
}
