// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Reasons of refusals.
const (
	reasonInvalid  = "InvalidValue"
	reasonRejected = "Rejected"
)

// frontends writes the listeners. One that is refused is not open.
func (b *builder) frontends(w *config.Writer) {
	fields := b.cfg.ListenerFields()
	for i := range b.cfg.Listeners {
		if b.broken[fields[i]] {
			continue
		}
		if section, ok := b.frontend(fields[i], &b.cfg.Listeners[i]); ok {
			w.AppendText("\n")
			w.Append(section)
		}
	}
}

func (b *builder) frontend(field string, l *model.Listener) (*config.Writer, bool) {
	w := &config.Writer{}
	w.Section("frontend", "listener."+l.Name)
	bind := []config.Arg{config.Raw(b.bind(l.BindPort))}
	if l.ProxyProtocol {
		bind = append(bind, config.Raw("accept-proxy"))
	}
	if l.TLS != nil {
		args, ok := b.listenerTLS(field, l)
		if !ok {
			return nil, false
		}
		bind = append(bind, args...)
	}
	if isStream(l) {
		w.Line("mode tcp")
	}
	w.Line("bind", bind...)
	if l.MaxConnections > 0 {
		w.Line("maxconn", config.Int(l.MaxConnections))
	}
	b.accessLog(w, l)
	b.connections(w, l)
	if isStream(l) {
		b.stream(w, l)
	} else {
		b.requests(w, l)
	}
	if err := w.Err(); err != nil {
		b.refuse(field, reasonInvalid, "the listener cannot be configured: "+err.Error())
		return nil, false
	}
	return w, true
}

// bind gives the addresses of a port. There are two, since a client of IPv4 on a socket of IPv6 has another address.
func (b *builder) bind(port int32) string {
	if b.options.IPv4Only {
		return fmt.Sprintf("0.0.0.0:%d", port)
	}
	return fmt.Sprintf("0.0.0.0:%d,:::%d v6only", port, port)
}

// connections writes what is decided before the first byte of a client, but the PROXY protocol's.
func (b *builder) connections(w *config.Writer, l *model.Listener) {
	rule := "tcp-request connection reject"
	if l.ProxyProtocol {
		// The client's address is known later then.
		rule = "tcp-request session reject"
	}
	name := "listener." + l.Name
	if len(l.AllowCIDRs) > 0 {
		w.Line(rule + " if !{ " + b.inNetworks(name+".allow.map", l.AllowCIDRs) + " }")
	}
	if len(l.DenyCIDRs) > 0 {
		w.Line(rule + " if { " + b.inNetworks(name+".deny.map", l.DenyCIDRs) + " }")
	}
}

// inNetworks is true for a client in one of the networks, which change at run time.
func (b *builder) inNetworks(name string, cidrs []string) string {
	entries := make([]socket.Entry, 0, len(cidrs))
	for _, cidr := range cidrs {
		entries = append(entries, socket.Entry{Key: cidr, Value: "1"})
	}
	return "src,map_ip(" + b.addMap(name, entries) + ") -m found"
}

// requests writes a listener of HTTP.
func (b *builder) requests(w *config.Writer, l *model.Listener) {
	w.Line("timeout client", config.Millis(l.Timeouts.Idle.Std()))
	w.Line("timeout http-request", config.Millis(l.Timeouts.Request.Std()))
	w.Line("timeout http-keep-alive", config.Millis(l.Timeouts.KeepAlive.Std()))
	// A reload or the end of the process closes no connection under a request that is on its way.
	w.Line("option idle-close-on-response")
	// Host and path are kept as the client sent them: routes may change what the member sees. Every line costs each request,
	// so those that nothing reads are left out.
	w.Line("http-request set-var(txn.path) path")
	if b.readsHost(l) {
		w.Line("http-request set-var(txn.host) " + hostname)
	}
	if b.cfg.AccessLog != model.LogNone {
		w.Line("http-request set-var(txn.method) method")
	}
	if slices.ContainsFunc(b.cfg.Pools, func(p model.Pool) bool { return shortens(l, &p) }) {
		w.Line("http-request set-var(txn.listener_tunnel)", config.Raw("int("+millis(l.Timeouts.Tunnel)+")"))
	}
	// A member learns who the client is and how it came; what the client says about the second is not believed.
	w.Line("http-request add-header X-Forwarded-For %[src]")
	w.Line("http-request set-header X-Forwarded-Proto", config.Raw(scheme(l)))
	if l.Redirect != nil {
		b.redirect(w, l, l.Redirect, "", nil)
		return
	}
	b.routes(w, l, "http-request")
	w.Line("http-request deny deny_status 404 if !" + found("txn.pool") + " !" + found("txn.route"))
	w.Line("http-request deny deny_status 503 if !" + found("txn.pool"))
	b.selection(w, l)
}

// shortens reports whether upgraded connections from a listener to a pool may be silent for less than the pool allows.
func shortens(l *model.Listener, p *model.Pool) bool {
	return !isStream(l) && l.Timeouts.Tunnel < p.Timeouts.Tunnel
}

// scheme is that of the listener's URLs.
func scheme(l *model.Listener) string {
	if l.Protocol == model.HTTPS {
		return "https"
	}
	return "http"
}

// stream writes a listener of connections.
func (b *builder) stream(w *config.Writer, l *model.Listener) {
	w.Line("timeout client", config.Millis(l.Timeouts.Idle.Std()))
	if l.Protocol == model.TLS {
		w.Line("tcp-request inspect-delay", config.Millis(l.Timeouts.Request.Std()))
		w.Line("tcp-request content reject unless { req.ssl_hello_type 1 }")
		w.Line("tcp-request content set-var(txn.host) req.ssl_sni,lower,rtrim(.) if { req.ssl_sni -m found }")
	}
	b.routes(w, l, "tcp-request content")
	w.Line("tcp-request content reject if !" + found("txn.pool"))
	b.selection(w, l)
}

// hostname is the name that a client asks for, without what makes no difference.
const hostname = "req.hdr(host),host_only,lower,rtrim(.)"

// readsHost reports whether something reads the name again that the client asked for.
func (b *builder) readsHost(l *model.Listener) bool {
	return b.cfg.AccessLog != model.LogNone || slices.ContainsFunc(b.usable(b.cfg.OrderedRules(l)), func(r model.Rule) bool {
		return !plain(&r) && r.Hostname != ""
	})
}

// routes writes how a request or connection comes to its route (txn.route), what the route does with it, and which pool
// it goes to (txn.pool).
func (b *builder) routes(w *config.Writer, l *model.Listener, rule string) {
	lines := &config.Writer{}
	b.routeLines(lines, l)
	r := b.routing(l)
	simple := len(r.conditional) == 0 && !b.readsRule(l)
	if simple && b.cfg.AccessLog == model.LogNone && l.Pool == "" && lines.String() == "" {
		b.direct(w, l, rule, r)
	}
	if simple {
		b.lookups(w, l, rule, r, "txn.route", ",field(1,/)")
	} else {
		b.lookups(w, l, rule, r, "txn.rule", "")
		b.conditionals(w, rule, r)
		w.Line(rule + " set-var(txn.route) var(txn.rule),field(1,/) if !{ var(txn.rule) -m beg -- -/ }")
	}
	w.Append(lines)
	b.routePool(w, l, rule)
	if l.Pool != "" && !b.poolless["listeners["+l.Name+"]"] {
		pool := l.Pool
		if isStream(l) {
			pool = b.streamTarget(pool)
		}
		w.Line(rule + " set-var(txn.pool) str(" + pool + ") if !" + found("txn.route"))
	}
}

// direct takes a request to the only pool of its route in one look, where the pool is all that the route decides.
func (b *builder) direct(w *config.Writer, l *model.Listener, rule string, r *routing) {
	if !b.allows(l) || len(r.wildcards) > 0 {
		return
	}
	w.Line(rule + " set-var(txn.pool) " + b.host(l) + "," + b.hosts(l, r) + b.path(l, r) + ",field(4,/)")
	w.Line(rule + " allow if " + found("txn.pool"))
}

// allows reports whether nothing more is decided about a request that has its pool.
func (b *builder) allows(l *model.Listener) bool {
	return !isStream(l) && !slices.ContainsFunc(b.targets, func(t target) bool { return b.grouped(&t) && !t.tcp })
}

// readsRule reports whether a route asks which of its matches a request met.
func (b *builder) readsRule(l *model.Listener) bool {
	return slices.ContainsFunc(b.cfg.Routes, func(r model.Route) bool {
		return slices.Contains(r.Listeners, l.Name) && len(r.Matches) > 0 &&
			(r.Rewrite != nil && r.Rewrite.PathPrefix != nil || r.Action.Redirect != nil && r.Action.Redirect.PathPrefix != nil)
	})
}

// routePool writes which pool a route goes to: by one look where it is always the same, by a draw where it is not.
func (b *builder) routePool(w *config.Writer, l *model.Listener, rule string) {
	set := splitSet(l, "")
	w.Line(rule + " set-var(txn.pool) " + soleKey(l) + ",map_str(" + b.mapPath(solesMap) + ")")
	if b.allows(l) {
		// All lines below are for others.
		w.Line(rule + " allow if " + found("txn.pool"))
	}
	none := " if !" + found("txn.pool") + " " + found("txn.route")
	w.Line(rule + " set-var(txn.slot) " + splitDraw() + none)
	w.Line(rule + " set-var(txn.pool) str(" + set + "),concat(,txn.route),concat(/,txn.slot),map_beg(" + b.mapPath(splitsMap) + ")" + none)
}

// soleKey is an expression for the key of a request's route in the map of those with one pool. Requests, of which there are
// more, have the shorter one; no route's name has a colon.
func soleKey(l *model.Listener) string {
	if isStream(l) {
		return "str(" + splitSet(l, "") + "),concat(,txn.route)"
	}
	return "var(txn.route)"
}

// splitSet names the split of a route: a pool has another name where streams use it.
func splitSet(l *model.Listener, route string) string {
	if isStream(l) {
		return "stream:" + route
	}
	return "route:" + route
}

// lookups writes how the tables are asked: what they say, cut as told, is in the variable then.
func (b *builder) lookups(w *config.Writer, l *model.Listener, rule string, r *routing, variable, cut string) {
	path := b.path(l, r) + cut
	set, none := rule+" set-var("+variable+") ", ""
	if l.Protocol != model.TCP {
		none = " if !" + found(variable)
		w.Line(set + b.host(l) + "," + b.hosts(l, r) + path)
		if len(r.wildcards) > 0 {
			w.Line(set + b.host(l) + ",map_end(" + b.table(l, "wildcards", r.wildcards) + ")" + path + none)
		}
	}
	// Wherever a client names no host, and where there are wildcards, one that none of them knows.
	w.Line(set + "str(*)" + path + none)
}

// host gives an expression for the name that the client asks for.
func (b *builder) host(l *model.Listener) string {
	if isStream(l) || b.readsHost(l) {
		return "var(txn.host)"
	}
	return hostname
}

// hosts gives a converter of a hostname to a virtual host. Without wildcards, * is that of all that have none of their own.
func (b *builder) hosts(l *model.Listener, r *routing) string {
	other := ""
	if len(r.wildcards) == 0 {
		other = ",*"
	}
	return "map_str(" + b.table(l, "hosts", r.hosts) + other + ")"
}

// path gives a converter of a virtual host to what becomes of the path there.
func (b *builder) path(l *model.Listener, r *routing) string {
	return ",concat(,txn.path," + pathEnd + "),map_beg(" + b.table(l, "paths", r.paths) + ")"
}

// table gives the path of one of a listener's tables.
func (b *builder) table(l *model.Listener, kind string, entries []socket.Entry) string {
	return b.addMap("listener."+l.Name+"."+kind+".map", entries)
}

// conditionals writes the rules that ask for more than a hostname and a path.
func (b *builder) conditionals(w *config.Writer, rule string, r *routing) {
	if len(r.conditional) == 0 {
		return
	}
	w.Line(rule + " set-var(txn.bound) var(txn.rule),field(3,/)")
	for k := range r.conditional {
		b.conditional(w, k, &r.conditional[k])
	}
	w.Line(rule + " set-var(txn.rule) var(txn.special) if " + found("txn.special"))
}

func millis(d model.Duration) string { return fmt.Sprint((d.Std().Microseconds() + 999) / 1000) }
