// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Backend is a section of HAProxy's config that balances among servers.
type Backend struct {
	// Name is pool.<pool>, with .tcp for streams where requests use the pool too, with .<policy> for routes with retries,
	// and with .<group> where the pool has members that are balanced apart.
	Name string
	// Pool is the model's.
	Pool string
	// DynamicCookie is true if servers that were added at run time get their cookie only by "enable dynamic-cookie backend",
	// which does nothing to others. HAProxy 3.2 needs none, 2.6 does.
	DynamicCookie bool

	cfg    *model.Config
	pool   *model.Pool
	group  group
	params []string
	// section is all but the servers.
	section *config.Writer
}

// target is a pool in one of the forms that routes and listeners use it in.
type target struct {
	// name is what the variable txn.pool holds.
	name      string
	pool      *model.Pool
	tcp       bool
	retries   *model.Retries
	algorithm model.Algorithm
	// monitor is nil for none.
	monitor *model.Monitor
	groups  []group
	// first names the target whose backends hold the tables of persistence for all targets of the pool.
	first string
}

// backend names the one of a group.
func (t *target) backend(g *group) string { return backendName(t.name, t.groups, g) }

func backendName(target string, all []group, g *group) string {
	if len(all) == 1 {
		return "pool." + target
	}
	return "pool." + target + "." + g.name
}

// backends adds the backends of all pools, in the order of the model.
func (b *builder) backends() {
	b.targets = b.allTargets()
	for i := range b.targets {
		b.poolBackends(&b.targets[i])
	}
	b.selectionMaps()
}

// poolBackends adds those of one target, or refuses the pool as a whole.
func (b *builder) poolBackends(t *target) {
	field := poolField(t.pool)
	if b.broken[field] {
		return
	}
	params, ok := b.serverParams(t)
	if !ok {
		b.broken[field] = true
		return
	}
	for i := range t.groups {
		g := &t.groups[i]
		var w config.Writer
		if i == 0 && t.first == t.name {
			b.tables(&w, t)
			b.keepFiles(&w, t, params)
		}
		b.backendLines(&w, t, g)
		if err := w.Err(); err != nil {
			b.refuse(field, "InvalidValue", "the pool cannot be configured: "+err.Error())
			b.broken[field] = true
			return
		}
		b.structure.Backends = append(b.structure.Backends, Backend{
			Name: t.backend(g), Pool: t.pool.Name, DynamicCookie: t.cookie() != nil,
			cfg: b.cfg, pool: t.pool, group: *g, params: params, section: &w,
		})
	}
}

// backendLines writes all of a backend but its servers.
func (b *builder) backendLines(w *config.Writer, t *target, g *group) {
	pool := t.pool
	w.Section("backend", t.backend(g))
	if t.tcp {
		w.Line("mode tcp")
	} else {
		w.Line("mode http")
	}
	b.balance(w, t)
	w.Line("timeout connect", config.Millis(pool.Timeouts.Connect.Std()))
	w.Line("timeout server", config.Millis(pool.Timeouts.Response.Std()))
	w.Line("timeout tunnel", config.Millis(pool.Timeouts.Tunnel.Std()))
	queueTimeout := pool.QueueTimeout
	if queueTimeout == 0 {
		queueTimeout = pool.Timeouts.Connect
	}
	w.Line("timeout queue", config.Millis(queueTimeout.Std()))
	monitor(w, t)
	retries(w, t)
	b.persistence(w, t, g)
	limitQueue(w, t)
	if !t.tcp {
		b.routeTimeouts(w, pool)
	}
}

// routeTimeouts puts in force what routes and listeners ask for; only a backend can.
func (b *builder) routeTimeouts(w *config.Writer, pool *model.Pool) {
	if slices.ContainsFunc(b.cfg.Routes, func(r model.Route) bool { return r.Timeouts.Response > 0 }) {
		w.Line("http-request set-timeout server var(txn.response) if { var(txn.response) -m found }")
	}
	if slices.ContainsFunc(b.cfg.Listeners, func(l model.Listener) bool { return shortens(&l, pool) }) {
		w.Line("http-request set-timeout tunnel var(txn.listener_tunnel) if { var(txn.listener_tunnel) -m int lt " +
			strconv.FormatInt(pool.Timeouts.Tunnel.Std().Milliseconds(), 10) + " }")
	}
	if slices.ContainsFunc(b.cfg.Routes, func(r model.Route) bool { return r.Timeouts.Tunnel > 0 }) {
		w.Line("http-request set-timeout tunnel var(txn.tunnel) if { var(txn.tunnel) -m found }")
	}
}

// limitQueue keeps a queue short. A server's own limit (maxqueue) is for those that wait for exactly this server; others
// wait in one queue of the backend, whose bound is that of all its servers together.
func limitQueue(w *config.Writer, t *target) {
	if t.pool.MaxConnections == 0 || t.pool.MaxQueue == 0 {
		return
	}
	full := " if { queue gt 0 } { queue,sub(txn.room) ge 0 }"
	room := "set-var(txn.room) nbsrv,mul(" + strconv.Itoa(int(t.pool.MaxQueue)) + ")"
	if t.tcp {
		w.Line("tcp-request content " + room)
		w.Line("tcp-request content reject" + full)
		return
	}
	w.Line("http-request " + room)
	w.Line("http-request deny deny_status 503" + full)
}

// write writes the section with servers in it. A server that drains is there with its weight: no word of the config is for
// that state, so whoever starts HAProxy sets it by the socket.
func (b *Backend) write(w *config.Writer, servers []Server) {
	w.Append(b.section)
	for _, server := range servers {
		args := []config.Arg{
			config.Word(server.Name),
			config.Word(net.JoinHostPort(server.Address, strconv.Itoa(int(server.Port)))),
		}
		for _, param := range server.Params {
			args = append(args, config.Word(param))
		}
		args = append(args, config.Raw("weight"), config.Int(server.Weight))
		if server.State == socket.Maint {
			args = append(args, config.Raw("disabled"))
		}
		w.Line("server", args...)
	}
}

func poolField(pool *model.Pool) string { return "pools[" + pool.Name + "]" }

// allTargets gives every form that a pool is needed in. The plain one for HTTP is always there unless only streams use
// the pool, so that a new route to it needs no reload.
func (b *builder) allTargets() []target {
	var out []target
	for i := range b.cfg.Pools {
		pool := &b.cfg.Pools[i]
		if b.broken[poolField(pool)] {
			continue
		}
		http, tcp := b.poolModes(pool.Name)
		all, monitor := groups(pool, b.cfg.Drain), b.monitorOf(pool)
		if http || !tcp {
			one := target{name: pool.Name, pool: pool, groups: all, monitor: monitor, first: pool.Name, algorithm: b.algorithm(pool, false)}
			out = append(out, one)
			for _, policy := range b.policies(pool.Name) {
				one.name, one.retries = b.target(pool.Name, policy), policy
				out = append(out, one)
			}
		}
		if tcp {
			name := b.streamTarget(pool.Name)
			one := target{name: name, pool: pool, tcp: true, groups: all, monitor: monitor, first: name, algorithm: b.algorithm(pool, true)}
			if http {
				one.first = pool.Name
			}
			out = append(out, one)
		}
	}
	return out
}

// target names the form of a pool that a route of HTTP uses; retries may be nil.
func (b *builder) target(pool string, retries *model.Retries) string {
	if retries == nil {
		return pool
	}
	return pool + "." + policyName(retries)
}

// streamTarget names the form of a pool that streams use.
func (b *builder) streamTarget(pool string) string {
	if http, tcp := b.poolModes(pool); http && tcp {
		return pool + ".tcp"
	}
	return pool
}

// poolModes reports what listeners use a pool: for requests, for streams, for both or neither.
func (b *builder) poolModes(pool string) (http, tcp bool) {
	streams := map[string]bool{}
	for i := range b.cfg.Listeners {
		listener := &b.cfg.Listeners[i]
		streams[listener.Name] = isStream(listener)
		if listener.Pool == pool {
			http, tcp = http || !streams[listener.Name], tcp || streams[listener.Name]
		}
	}
	for i := range b.cfg.Routes {
		route := &b.cfg.Routes[i]
		if !slices.ContainsFunc(route.Action.Pools, func(one model.WeightedPool) bool { return one.Pool == pool }) {
			continue
		}
		for _, listener := range route.Listeners {
			http, tcp = http || !streams[listener], tcp || streams[listener]
		}
	}
	return http, tcp
}

func isStream(listener *model.Listener) bool {
	return listener.Protocol == model.TCP || listener.Protocol == model.TLS
}

// policies are the distinct retries of the routes to a pool.
func (b *builder) policies(pool string) []*model.Retries {
	found := map[string]*model.Retries{}
	var names []string
	for i := range b.cfg.Routes {
		route := &b.cfg.Routes[i]
		if route.Retries == nil || b.broken["routes["+route.Name+"]"] ||
			!slices.ContainsFunc(route.Action.Pools, func(one model.WeightedPool) bool { return one.Pool == pool }) {
			continue
		}
		name := policyName(route.Retries)
		if found[name] == nil {
			found[name] = route.Retries
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := make([]*model.Retries, 0, len(names))
	for _, name := range names {
		out = append(out, found[name])
	}
	return out
}

// retryOn are HAProxy's words.
var retryOn = []struct {
	failure model.RetryOn
	words   string
}{
	{model.RetryConnectFailure, "conn-failure"},
	{model.RetryEmptyResponse, "empty-response"},
	{model.RetryTimeout, "response-timeout"},
	{model.Retry5xx, "500 502 503 504"},
}

// policyName is a word for retries, the same for the same.
func policyName(retries *model.Retries) string {
	name := "retry" + strconv.Itoa(int(retries.Attempts))
	for _, one := range retryOn {
		if slices.Contains(retries.On, one.failure) {
			name += "-" + strings.ToLower(string(one.failure))
		}
	}
	return name
}

// defaultRetries is how often a connection that failed is tried again elsewhere where no route says anything. The request
// was not sent then.
const defaultRetries = 2

// retries writes when a request or connection goes to another member, at the first repetition already. What was sent is
// repeated for methods only that mean the same twice (RFC 9110, section 9.2.2).
func retries(w *config.Writer, t *target) {
	if t.retries == nil {
		w.Line("retries", config.Int(defaultRetries))
		w.Line("option redispatch 1")
		return
	}
	var words []string
	again := false
	for _, one := range retryOn {
		if slices.Contains(t.retries.On, one.failure) {
			words = append(words, one.words)
			again = again || one.failure != model.RetryConnectFailure
		}
	}
	w.Line("retries", config.Int(t.retries.Attempts))
	if t.retries.Attempts == 0 {
		w.Line("retry-on none")
		return
	}
	w.Line("option redispatch 1")
	if len(words) == 0 {
		words = []string{"conn-failure"}
	}
	w.Line("retry-on " + strings.Join(words, " "))
	if again {
		w.Line("http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE TRACE }")
	}
}
