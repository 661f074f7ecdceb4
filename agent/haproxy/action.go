// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// defaultContentType is that of an answer whose route names none.
const defaultContentType = "text/plain; charset=utf-8"

// routeLines writes what routes do beyond the choice of a pool. A route that was refused answers 503, so that what it
// would have protected does not become reachable by a less specific one.
func (b *builder) routeLines(w *config.Writer, l *model.Listener) {
	for i := range b.cfg.Routes {
		r := &b.cfg.Routes[i]
		field := b.routeField[r]
		if !slices.Contains(r.Listeners, l.Name) || b.unmatchable[field] {
			continue
		}
		section := &config.Writer{}
		if !b.broken[field] {
			b.routeSection(section, l, r)
			if err := section.Err(); err != nil {
				b.refuse(field, reasonInvalid, "the route cannot be configured: "+err.Error())
				b.broken[field] = true
			}
		}
		if b.broken[field] {
			section = &config.Writer{}
			section.Line(refusal(l) + when(r))
		}
		if section.String() != "" {
			w.Line("acl route." + r.Name + " var(txn.route) -m str " + r.Name)
			w.Append(section)
		}
	}
}

func refusal(l *model.Listener) string {
	if isStream(l) {
		return "tcp-request content reject"
	}
	return "http-request deny deny_status 503"
}

// when is the condition of all lines of a route.
func when(r *model.Route) string { return " if route." + r.Name }

func (b *builder) routeSection(w *config.Writer, l *model.Listener, r *model.Route) {
	deny := "http-request deny deny_status 403"
	if isStream(l) {
		deny = "tcp-request content reject"
	}
	if r.CORS != nil {
		corsMarks(w, r)
	}
	if len(r.AllowCIDRs) > 0 {
		w.Line(deny + when(r) + " !{ " + b.inNetworks("route."+r.Name+".allow.map", r.AllowCIDRs) + " }")
	}
	if len(r.DenyCIDRs) > 0 {
		w.Line(deny + when(r) + " { " + b.inNetworks("route."+r.Name+".deny.map", r.DenyCIDRs) + " }")
	}
	if isStream(l) {
		return
	}
	if r.RateLimit != nil {
		b.rateLimit(w, r)
	}
	if r.CORS != nil {
		preflight(w, r)
	}
	if r.BasicAuth != nil {
		w.Line("http-request auth realm", config.Word(r.BasicAuth.Realm), config.Raw(when(r)[1:]+" !{ http_auth(route."+r.Name+") }"))
	}
	headerChanges(w, "http-request", r, r.RequestHeaders)
	headerChanges(w, "http-after-response", r, r.ResponseHeaders)
	if r.Rewrite != nil {
		rewrite(w, r)
	}
	if r.Timeouts.Response > 0 {
		w.Line("http-request set-var(txn.response) int(" + millis(r.Timeouts.Response) + ")" + when(r))
	}
	if r.Timeouts.Tunnel > 0 {
		w.Line("http-request set-var(txn.tunnel) int(" + millis(r.Timeouts.Tunnel) + ")" + when(r))
	}
	switch {
	case r.Action.Redirect != nil:
		b.redirect(w, l, r.Action.Redirect, when(r), r)
	case r.Action.Respond != nil:
		b.respond(w, r)
	}
}

// headerChanges is done for answers of this process, too.
func headerChanges(w *config.Writer, rule string, r *model.Route, changes model.HeaderChanges) {
	condition := config.Raw(when(r)[1:])
	for _, name := range changes.Remove {
		w.Line(rule+" del-header", config.Word(name), condition)
	}
	for _, header := range changes.Set {
		w.Line(rule+" set-header", config.Word(header.Name), config.Format(header.Value), condition)
	}
	for _, header := range changes.Add {
		w.Line(rule+" add-header", config.Word(header.Name), config.Format(header.Value), condition)
	}
}

// newPath is one way to a new path, and the condition of it beyond the route's.
type newPath struct {
	condition string
	parts     []config.Part
}

// newPaths gives the ways to the path of a rewrite or redirect, the first of which that is true holds. r is nil for a
// listener's redirect, where the prefix is /.
func newPaths(w *config.Writer, r *model.Route, path string, prefix *string) []newPath {
	switch {
	case path != "":
		return []newPath{{parts: []config.Part{config.Literal(path)}}}
	case prefix == nil:
		return []newPath{{parts: []config.Part{config.Eval("var(txn.path)")}}}
	case r == nil || len(r.Matches) == 0:
		return replaced("", "", *prefix, "")
	}
	var all []newPath
	for i := range r.Matches {
		old := prefixOf(r.Matches[i].Path)
		index := fmt.Sprintf(" { var(txn.rule),field(2,/) -m str %d }", i)
		whole := fmt.Sprintf("route.%s.whole.%d", r.Name, i)
		if old != "" {
			acl(w, whole, config.Raw("var(txn.path)"), "-m str", old)
		}
		all = append(all, replaced(old, whole, *prefix, index)...)
	}
	return all
}

// replaced puts the new prefix in the place of the old one: element by element, so that there is one / between it and the rest.
func replaced(old, whole, prefix, condition string) []newPath {
	prefix = strings.TrimRight(prefix, "/")
	rest := newPath{condition, []config.Part{config.Literal(prefix), config.Eval(fmt.Sprintf("var(txn.path),bytes(%d)", len(old)))}}
	if old == "" {
		return []newPath{rest}
	}
	alone := prefix
	if alone == "" {
		alone = "/"
	}
	return []newPath{{condition + " " + whole, []config.Part{config.Literal(alone)}}, {rest.condition + " !" + whole, rest.parts}}
}

func rewrite(w *config.Writer, r *model.Route) {
	if r.Rewrite.Host != "" {
		w.Line("http-request set-header Host", config.Format(r.Rewrite.Host), config.Raw(when(r)[1:]))
	}
	if r.Rewrite.Path == "" && r.Rewrite.PathPrefix == nil {
		return
	}
	for _, path := range newPaths(w, r, r.Rewrite.Path, r.Rewrite.PathPrefix) {
		w.Line("http-request set-path", config.Compose(path.parts...), config.Raw(when(r)[1:]+path.condition))
	}
}

// redirect sends the client to a whole URL, whatever path it asked for: a path that begins with // could name another host.
func (b *builder) redirect(w *config.Writer, l *model.Listener, to *model.Redirect, condition string, r *model.Route) {
	parts := []config.Part{config.Literal(schemeOf(l, to) + "://")}
	switch {
	case to.Host != "":
		host := to.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		parts = append(parts, config.Literal(host))
	default:
		w.Line("http-request deny deny_status 400 if" + strings.TrimPrefix(condition, " if") + " !{ req.hdr(host),length -m int gt 0 }")
		parts = append(parts, config.Eval("req.hdr(host),host_only"))
	}
	switch {
	case to.Port != 0:
		parts = append(parts, config.Literal(portSuffix(schemeOf(l, to), to.Port)))
	case to.Scheme == "":
		w.Line("http-request set-var-fmt(txn.port) :%[req.hdr(host),port_only] if" + strings.TrimPrefix(condition, " if") + " { req.hdr(host),port_only -m int gt 0 }")
		parts = append(parts, config.Eval("var(txn.port)"))
	}
	w.Line("http-request set-var-fmt(txn.search) ?%[query] if" + strings.TrimPrefix(condition, " if") + " { query,length -m int gt 0 }")
	for _, path := range newPaths(w, r, to.Path, to.PathPrefix) {
		location := slices.Concat(parts, path.parts, []config.Part{config.Eval("var(txn.search)")})
		args := []config.Arg{config.Compose(location...), config.Raw("code"), config.Int(to.Code)}
		if all := condition + path.condition; all != "" {
			args = append(args, config.Raw(strings.TrimSpace(all)))
		}
		w.Line("http-request redirect location", args...)
	}
}

func schemeOf(l *model.Listener, to *model.Redirect) string {
	if to.Scheme != "" {
		return to.Scheme
	}
	return scheme(l)
}

// portSuffix leaves out the port that the scheme has anyway.
func portSuffix(scheme string, port int32) string {
	if scheme == "http" && port == 80 || scheme == "https" && port == 443 {
		return ""
	}
	return net.JoinHostPort("", fmt.Sprint(port))
}

// respond answers with a body from a file: in a line it could have no line breaks.
func (b *builder) respond(w *config.Writer, r *model.Route) {
	answer := r.Action.Respond
	args := []config.Arg{config.Int(answer.Status)}
	if answer.Body != "" {
		kind := answer.ContentType
		if kind == "" {
			kind = defaultContentType
		}
		file := b.addFile("respond."+r.Name, []byte(answer.Body))
		args = append(args, config.Raw("content-type"), config.Word(kind), config.Raw("file"), config.Word(file))
	}
	for _, header := range answer.Headers {
		args = append(args, config.Raw("hdr"), config.Word(header.Name), config.Format(header.Value))
	}
	w.Line("http-request return status", append(args, config.Raw(when(r)[1:]))...)
}
