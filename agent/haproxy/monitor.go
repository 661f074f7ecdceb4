// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// passiveMonitor finds members well again that real requests took out, in pools without a monitor of their own.
var passiveMonitor = model.Monitor{
	Type: model.MonitorTCP, Interval: model.Duration(2 * time.Second), Timeout: model.Duration(time.Second), Healthy: 2, Unhealthy: 3,
}

// monitorOf gives what asks the pool's members, or nil. A monitor that cannot be configured is left out: its members work.
func (b *builder) monitorOf(pool *model.Pool) *model.Monitor {
	if monitor := pool.Monitor; monitor != nil {
		name, message := checkMonitor(monitor)
		if name == "" {
			return monitor
		}
		b.refuse(poolField(pool)+".monitor."+name, "InvalidValue", message+"; the members are not asked")
	}
	if pool.Passive != nil {
		return &passiveMonitor
	}
	return nil
}

// monitor writes what a backend asks its servers. When, where and by what encryption stands in the servers' params, for
// HAProxy asks by a server's own ones unless told otherwise.
func monitor(w *config.Writer, t *target) {
	monitor := t.monitor
	if monitor == nil {
		return
	}
	w.Line("timeout check", config.Millis(monitor.Timeout.Std()))
	switch monitor.Type {
	case model.MonitorHTTP:
		monitorHTTP(w, t.pool, monitor)
	case model.MonitorGRPC:
		monitorGRPC(w, t.pool, monitor)
	case model.MonitorTCP:
		// The line keeps the TLS of the pool out: that a port is open is all that is asked.
		w.Line("option tcp-check")
		connect := []config.Arg{}
		if t.pool.ProxyProtocol != 0 && monitor.Port == 0 {
			connect = append(connect, config.Raw("send-proxy"))
		}
		w.Line("tcp-check connect", connect...)
	case model.MonitorTLS:
		// Without any rule HAProxy's question ends with the handshake, which check-ssl adds.
	}
}

func monitorHTTP(w *config.Writer, pool *model.Pool, monitor *model.Monitor) {
	method := monitor.Method
	if method == "" {
		method = "GET"
	}
	path := monitor.Path
	if path == "" {
		path = "/"
	}
	w.Line("option httpchk")
	args := []config.Arg{
		config.Raw("meth"), config.Word(method), config.Raw("uri"), config.Word(path), config.Raw("ver HTTP/1.1"),
		config.Raw("hdr Host"), config.Format(monitorHost(pool, monitor)),
	}
	for _, header := range monitor.Headers {
		if !strings.EqualFold(header.Name, "host") {
			args = append(args, config.Raw("hdr"), config.Word(header.Name), config.Format(header.Value))
		}
	}
	w.Line("http-check send", args...)
	statuses := monitor.Statuses
	if len(statuses) == 0 {
		statuses = []string{"200-399"}
	}
	w.Line("http-check expect status", config.Word(strings.Join(statuses, ",")))
	if monitor.Body != "" {
		w.Line("http-check expect string", config.Word(monitor.Body))
	}
	if monitor.BodyRegex != "" {
		w.Line("http-check expect rstring", config.Word(monitor.BodyRegex))
	}
}

// monitorHost is a name that members hear in a question. HTTP/1.1 must have one; which, is the matter of members that
// serve several, and their monitors name it.
func monitorHost(pool *model.Pool, monitor *model.Monitor) string {
	for _, header := range monitor.Headers {
		if strings.EqualFold(header.Name, "host") {
			return header.Value
		}
	}
	switch {
	case monitor.Host != "":
		return monitor.Host
	case pool.TLS != nil && pool.TLS.ServerName != "":
		return pool.TLS.ServerName
	default:
		return pool.Name
	}
}

// monitorParams are the params of servers that the monitor needs.
func monitorParams(t *target) []string {
	pool, monitor := t.pool, t.monitor
	if monitor == nil {
		return nil
	}
	params := []string{
		"check", "inter", paramMillis(monitor.Interval), "rise", number(max(monitor.Healthy, 1)), "fall", number(max(monitor.Unhealthy, 1)),
	}
	if monitor.Port != 0 {
		params = append(params, "port", number(monitor.Port))
	} else if pool.ProxyProtocol != 0 {
		params = append(params, "check-send-proxy")
	}
	params = append(params, monitorTLS(pool, monitor)...)
	// Over TLS the protocol is agreed on by ALPN.
	if monitor.Type == model.MonitorHTTP && pool.Protocol == model.MemberHTTP2 && pool.TLS == nil {
		params = append(params, "check-proto", "h2")
	}
	if pool.Passive != nil {
		observe := "layer7"
		if pool.Passive.Connections || t.tcp {
			observe = "layer4"
		}
		params = append(params, "observe", observe, "error-limit", number(max(pool.Passive.Errors, 1)), "on-error", "mark-down")
	}
	return params
}

func monitorTLS(pool *model.Pool, monitor *model.Monitor) []string {
	if monitor.Type == model.MonitorTCP || monitor.Type != model.MonitorTLS && pool.TLS == nil {
		return nil
	}
	params := []string{"check-ssl"}
	if name := monitorServerName(pool, monitor); name != "" {
		params = append(params, "check-sni", name)
	}
	switch {
	case monitor.Type == model.MonitorGRPC, monitor.Type == model.MonitorHTTP && pool.Protocol == model.MemberHTTP2:
		params = append(params, "check-alpn", "h2")
	case monitor.Type == model.MonitorHTTP:
		params = append(params, "check-alpn", "http/1.1")
	}
	if pool.TLS == nil {
		// What passes through is encrypted for others, so only they know whom to trust.
		params = append(params, "verify", "none")
	}
	return params
}

// monitorServerName is the server name of a question; see serverName for why there may be none.
func monitorServerName(pool *model.Pool, monitor *model.Monitor) string {
	switch {
	case pool.TLS != nil && (pool.TLS.ServerName != "" || !pool.TLS.Insecure):
		return pool.TLS.ServerName
	case isHostname(monitor.Host):
		return monitor.Host
	default:
		return ""
	}
}

var statusRange = regexp.MustCompile(`^[1-5][0-9]{2}(-[1-5][0-9]{2})?$`)

// checkMonitor gives the field within the monitor that cannot be configured, and why.
func checkMonitor(monitor *model.Monitor) (field, message string) {
	switch {
	case monitor.Type == model.MonitorGRPC && len(monitor.GRPCService) > maxGRPCService:
		return "grpcService", "the name of the service is too long"
	case monitor.Type != model.MonitorHTTP:
		return "", ""
	case monitor.Method != "" && !isToken(monitor.Method):
		return "method", "the method is no word of letters"
	case strings.ContainsFunc(monitor.Path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || monitor.Path != "" && monitor.Path[0] != '/':
		return "path", "the path must begin with / and have neither spaces nor control characters; encode others with %"
	case monitor.Host != "" && strings.ContainsFunc(monitor.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "host", "the host has a character that no host has"
	case !printable(monitor.Body):
		return "body", "a text that is looked for has no control characters, as HAProxy reads it from a line"
	case !printable(monitor.BodyRegex):
		return "bodyRegex", "a regular expression has no control characters; write them with \\"
	case slices.ContainsFunc(monitor.Statuses, func(one string) bool { return !statusRange.MatchString(one) }):
		return "statuses", "a status is a number of three digits, or two with - between"
	case slices.ContainsFunc(monitor.Headers, func(one model.Header) bool { return !isToken(one.Name) || one.Value == "" || !printable(one.Value) }):
		return "headers", "a header needs a name of letters, digits, - and _, and a value without control characters"
	default:
		return "", ""
	}
}

// printable reports whether a text has no control characters.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
