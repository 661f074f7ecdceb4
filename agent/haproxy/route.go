// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// A request comes to its route by maps, which change at run time, and by lines of the config only where a route asks for
// more than a hostname and a path:
//
//	hosts      shop.example.com          shop.example.com   the virtual host, by the exact name
//	wildcards  .example.com              *.example.com      or by the longest end of it; * if neither knows it
//	paths      shop.example.com/api/     api/1/0/web        what becomes of the longest beginning of a path there, looked up
//	           shop.example.com/cart/?   cart/0/2/web       with /? at its end: so whole elements count, and an exact path,
//	                                                        which alone has the ?, before all beginnings
//
// A value is the route, the index of the match in it, how many of the conditional rules (those with lines in the
// config, numbered in their order) come before it: these, and no others, may take the request instead; and the target
// of a route all of whose requests go to one. So a route of hostnames and paths comes and goes without any line of the
// config changing, but for the first and the last wildcard of a listener: without any, requests take a look less.

const noRoute = "-"

// routing is the tables of one listener.
type routing struct {
	hosts, wildcards, paths []socket.Entry
	conditional             []model.Rule
	// sole gives the target of a route's requests; empty if there are several or none.
	sole map[*model.Route]string
}

// routing makes the tables of a listener.
func (b *builder) routing(l *model.Listener) *routing {
	ordered := b.usable(b.cfg.OrderedRules(l))
	r := &routing{sole: map[*model.Route]string{}}
	for i := range ordered {
		if route := ordered[i].Route; !b.broken[b.routeField[route]] {
			r.sole[route] = sole(b.shares(l, route))
		}
	}
	before := make(map[ruleID]int, len(ordered))
	for i := range ordered {
		rule := &ordered[i]
		if !plain(rule) {
			r.conditional = append(r.conditional, *rule)
			continue
		}
		before[idOf(rule)] = len(r.conditional)
	}
	for _, host := range model.VirtualHosts(ordered) {
		r.host(host.Hostname)
		r.site(host, before)
	}
	return r
}

// ruleID tells rules apart.
type ruleID struct {
	route    *model.Route
	index    int
	hostname string
}

func idOf(rule *model.Rule) ruleID { return ruleID{rule.Route, rule.Index, rule.Hostname} }

// plain rules ask for a hostname and a path only.
func plain(rule *model.Rule) bool {
	m := rule.Match
	return len(m.Methods)+len(m.Headers)+len(m.Query) == 0 && (m.Path == nil || m.Path.Type != model.PathRegex)
}

func (r *routing) host(hostname string) {
	suffix, wildcard := strings.CutPrefix(hostname, "*")
	switch {
	case wildcard:
		r.wildcards = append(r.wildcards, socket.Entry{Key: suffix, Value: hostname})
	case hostname != "":
		r.hosts = append(r.hosts, socket.Entry{Key: hostname, Value: hostname})
	}
}

// pathEnd ends a path that is looked up. No path has a question mark.
const pathEnd = "/?"

// site fills in the paths of a virtual host. Its rules hold those of less specific hostnames too, so what is not found
// there is found nowhere; what a shorter prefix says just the same is left out.
func (r *routing) site(host model.VirtualHost, before map[ruleID]int) {
	index := newPathIndex(host.Rules)
	key := host.Hostname
	if key == "" {
		key = "*"
	}
	value := func(rule *model.Rule) string {
		if rule == nil {
			return fmt.Sprintf("%s/0/%d", noRoute, len(r.conditional))
		}
		text := fmt.Sprintf("%s/%d/%d", rule.Route.Name, rule.Index, before[idOf(rule)])
		if only := r.sole[rule.Route]; only != "" {
			text += "/" + only
		}
		return text
	}
	if root := index.lookup("", false); root != nil || len(r.conditional) > 0 {
		r.paths = append(r.paths, socket.Entry{Key: key + "/", Value: value(root)})
	}
	for _, prefix := range index.prefixes {
		if rule := index.lookup(prefix, false); prefix != "" && rule != index.lookup(parent(prefix), false) {
			r.paths = append(r.paths, socket.Entry{Key: key + prefix + "/", Value: value(rule)})
		}
	}
	for _, exact := range index.exact {
		if rule := index.lookup(exact, true); rule != index.lookup(strings.TrimSuffix(exact, "/"), false) {
			r.paths = append(r.paths, socket.Entry{Key: key + exact + pathEnd, Value: value(rule)})
		}
	}
}

// pathIndex finds the first of the plain rules of a virtual host.
type pathIndex struct {
	// exact and prefixes are the paths, each once, in the rules' order. A prefix has no / at its end.
	exact, prefixes []string
	// levels are the rules by hostname, the most specific first.
	levels []level
}

type level struct {
	hostname      string
	exact, prefix map[string]*model.Rule
}

func newPathIndex(rules []model.Rule) *pathIndex {
	index := &pathIndex{}
	knownExact, knownPrefix := map[string]bool{}, map[string]bool{}
	for i := range rules {
		rule := &rules[i]
		if !plain(rule) {
			continue
		}
		if n := len(index.levels); n == 0 || index.levels[n-1].hostname != rule.Hostname {
			index.levels = append(index.levels, level{rule.Hostname, map[string]*model.Rule{}, map[string]*model.Rule{}})
		}
		at := index.levels[len(index.levels)-1]
		if rule.Match.Path != nil && rule.Match.Path.Type == model.PathExact {
			index.exact = note(at.exact, knownExact, index.exact, rule.Match.Path.Value, rule)
		} else {
			index.prefixes = note(at.prefix, knownPrefix, index.prefixes, prefixOf(rule.Match.Path), rule)
		}
	}
	return index
}

// note keeps the first rule of a path in its level, and the path in the list once.
func note(rules map[string]*model.Rule, known map[string]bool, list []string, path string, rule *model.Rule) []string {
	if rules[path] == nil {
		rules[path] = rule
	}
	if known[path] {
		return list
	}
	known[path] = true
	return append(list, path)
}

// prefixOf gives a prefix without / at its end; none is the empty one.
func prefixOf(path *model.PathMatch) string {
	if path == nil {
		return ""
	}
	return strings.TrimRight(path.Value, "/")
}

// parent is the path without its last element.
func parent(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// lookup gives the first rule for a path, by exact ones also if so asked; nil if there is none.
func (x *pathIndex) lookup(path string, exact bool) *model.Rule {
	for _, at := range x.levels {
		if rule := at.exact[path]; exact && rule != nil {
			return rule
		}
		for prefix := strings.TrimSuffix(path, "/"); ; prefix = parent(prefix) {
			if rule := at.prefix[prefix]; rule != nil {
				return rule
			}
			if prefix == "" {
				break
			}
		}
	}
	return nil
}
