// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"slices"
	"strings"
)

// VirtualHost is what a listener does for the requests of one hostname.
type VirtualHost struct {
	// Hostname is exact, begins with "*.", or is empty for all others.
	Hostname string
	// Rules are those of the hostname and of the less specific ones that cover it, the most specific first: the first
	// that matches a request wins.
	Rules []Rule
}

// Rule is one way for a request to come to a route.
type Rule struct {
	// Hostname is the one that the route asks for.
	Hostname string
	Match    Match
	Route    *Route
	// Index is that of the match in the route; 0 in one without.
	Index int
}

// OrderedRules gives the rules of a listener, the most specific first, in this order: the more specific hostname; an exact path, then a
// regular expression, then the longer prefix; the one that asks for methods; the one with more headers; the one with
// more query parameters; the earlier route.
func (c *Config) OrderedRules(listener *Listener) []Rule {
	var all []Rule
	for i := range c.Routes {
		if slices.Contains(c.Routes[i].Listeners, listener.Name) {
			all = append(all, c.Routes[i].rules(listener)...)
		}
	}
	slices.SortStableFunc(all, compareRules)
	return all
}

// VirtualHosts gives the virtual hosts of a listener, the most specific hostname first, from its ordered rules.
func VirtualHosts(ordered []Rule) []VirtualHost {
	var hosts []VirtualHost
	own := map[string][]Rule{}
	for _, rule := range ordered {
		if _, known := own[rule.Hostname]; !known {
			hosts = append(hosts, VirtualHost{Hostname: rule.Hostname})
		}
		own[rule.Hostname] = append(own[rule.Hostname], rule)
	}
	for i := range hosts {
		for _, hostname := range covering(hosts[i].Hostname) {
			hosts[i].Rules = append(hosts[i].Rules, own[hostname]...)
		}
	}
	return hosts
}

// Rules gives the virtual hosts of a listener with their rules.
func (c *Config) Rules(listener *Listener) []VirtualHost {
	return VirtualHosts(c.OrderedRules(listener))
}

// covering gives every hostname that covers this one, the most specific first: itself, wildcards, the empty one.
func covering(hostname string) []string {
	all := []string{hostname}
	for rest := strings.TrimPrefix(hostname, "*."); ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			break
		}
		all, rest = append(all, "*."+parent), parent
	}
	if hostname != "" {
		all = append(all, "")
	}
	return all
}

// rules are the route's, for the hostnames that it and the listener have in common.
func (r *Route) rules(listener *Listener) []Rule {
	matches := r.Matches
	if len(matches) == 0 {
		matches = []Match{{}}
	}
	var rules []Rule
	for _, hostname := range common(listener.Hostnames, r.Hostnames) {
		for i, match := range matches {
			rules = append(rules, Rule{Hostname: hostname, Match: match, Route: r, Index: i})
		}
	}
	return rules
}

// common gives the hostnames that both lists cover; an empty list covers all.
func common(a, b []string) []string {
	if len(a) == 0 {
		a = []string{""}
	}
	if len(b) == 0 {
		b = []string{""}
	}
	var out []string
	for _, left := range a {
		for _, right := range b {
			switch {
			case Covers(left, right):
				out = append(out, right)
			case Covers(right, left):
				out = append(out, left)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Covers reports whether every name that the second hostname stands for is one that the first stands for.
func Covers(general, special string) bool {
	if general == "" || general == special {
		return true
	}
	suffix, wildcard := strings.CutPrefix(general, "*")
	return wildcard && len(special) > len(suffix) && strings.HasSuffix(special, suffix)
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		compareHostnames(a.Hostname, b.Hostname),
		comparePaths(a.Match.Path, b.Match.Path),
		-compareBool(len(a.Match.Methods) > 0, len(b.Match.Methods) > 0),
		-cmp.Compare(len(a.Match.Headers), len(b.Match.Headers)),
		-cmp.Compare(len(a.Match.Query), len(b.Match.Query)),
	)
}

// compareHostnames puts exact ones before wildcards, longer wildcards before shorter ones, and the empty one last.
func compareHostnames(a, b string) int {
	wild := func(name string) bool { return name == "" || strings.HasPrefix(name, "*") }
	if c := compareBool(wild(a), wild(b)); c != 0 {
		return c
	}
	if wild(a) {
		return cmp.Or(-cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func comparePaths(a, b *PathMatch) int {
	rank := func(p *PathMatch) (kind, length int) {
		switch {
		case p == nil:
			return 2, 0
		case p.Type == PathExact:
			return 0, 0
		case p.Type == PathRegex:
			return 1, 0
		default:
			return 2, len(strings.TrimRight(p.Value, "/"))
		}
	}
	kindA, lengthA := rank(a)
	kindB, lengthB := rank(b)
	return cmp.Or(cmp.Compare(kindA, kindB), -cmp.Compare(lengthA, lengthB))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
