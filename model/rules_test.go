// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func prefixMatch(value string) Match { return Match{Path: &PathMatch{Type: PathPrefix, Value: value}} }

// describe gives rules as route:index@hostname.
func describe(rules []Rule) string {
	var out []string
	for _, rule := range rules {
		out = append(out, fmt.Sprintf("%s:%d@%s", rule.Route.Name, rule.Index, rule.Hostname))
	}
	return strings.Join(out, " ")
}

// TestOrder: each test has its rules in an order that must be turned round, by one property.
func TestOrder(t *testing.T) {
	values := func(n int) []ValueMatch { return make([]ValueMatch, n) }
	for name, c := range map[string]struct {
		routes []Route
		want   string
	}{
		"hostnames": {[]Route{{Name: "any"}, {Name: "wild", Hostnames: []string{"*.test"}}, {Name: "longer", Hostnames: []string{"*.a.test"}}, {Name: "exact", Hostnames: []string{"b.test"}}},
			"exact:0@b.test longer:0@*.a.test wild:0@*.test any:0@"},
		"hostname before path": {[]Route{{Name: "any", Matches: []Match{{Path: &PathMatch{Type: PathExact, Value: "/a"}}}}, {Name: "exact", Hostnames: []string{"b.test"}}},
			"exact:0@b.test any:0@"},
		"paths": {[]Route{{Name: "r", Matches: []Match{{}, prefixMatch("/a"), prefixMatch("/a/b/"), {Path: &PathMatch{Type: PathRegex, Value: "x"}}, {Path: &PathMatch{Type: PathExact, Value: "/"}}}}},
			"r:4@ r:3@ r:2@ r:1@ r:0@"},
		"a slash at the end counts nothing": {[]Route{{Name: "a", Matches: []Match{prefixMatch("/a"), prefixMatch("/a/")}}, {Name: "none"}, {Name: "root", Matches: []Match{prefixMatch("/")}}},
			"a:0@ a:1@ none:0@ root:0@"},
		"methods": {[]Route{{Name: "r", Matches: []Match{{Headers: values(3)}, {Methods: []string{"GET"}}}}}, "r:1@ r:0@"},
		"headers": {[]Route{{Name: "r", Matches: []Match{{Headers: values(1), Query: values(3)}, {Headers: values(2)}}}}, "r:1@ r:0@"},
		"query":   {[]Route{{Name: "r", Matches: []Match{{Query: values(1)}, {Query: values(2)}}}}, "r:1@ r:0@"},
		"else as they come": {[]Route{{Name: "b", Matches: []Match{{Methods: []string{"GET"}}, {Methods: []string{"PUT", "POST"}}}}, {Name: "a", Matches: []Match{{Methods: []string{"PUT"}}}}},
			"b:0@ b:1@ a:0@"},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.routes {
				c.routes[i].Listeners = []string{"web"}
			}
			other := Route{Name: "other", Listeners: []string{"other"}}
			cfg := &Config{Routes: append(c.routes, other)}
			if got := describe(cfg.OrderedRules(&Listener{Name: "web"})); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestVirtualHosts: a hostname has the rules of all that cover it.
func TestVirtualHosts(t *testing.T) {
	route := func(name string, hostnames ...string) Route {
		return Route{Name: name, Hostnames: hostnames, Listeners: []string{"web"}}
	}
	cfg := &Config{Routes: []Route{route("any"), route("wild", "*.b.test"), route("exact", "a.b.test", "b.test"), route("top", "*.test")}}
	for name, c := range map[string]struct {
		listener []string
		want     []string
	}{
		"open": {nil, []string{
			"a.b.test = exact:0@a.b.test wild:0@*.b.test top:0@*.test any:0@",
			"b.test = exact:0@b.test top:0@*.test any:0@",
			"*.b.test = wild:0@*.b.test top:0@*.test any:0@",
			"*.test = top:0@*.test any:0@",
			" = any:0@"}},
		"one name": {[]string{"a.b.test"}, []string{"a.b.test = any:0@a.b.test wild:0@a.b.test exact:0@a.b.test top:0@a.b.test"}},
		"a wildcard": {[]string{"*.b.test"}, []string{
			"a.b.test = exact:0@a.b.test any:0@*.b.test wild:0@*.b.test top:0@*.b.test",
			"*.b.test = any:0@*.b.test wild:0@*.b.test top:0@*.b.test"}},
		"another": {[]string{"c.example"}, []string{"c.example = any:0@c.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, host := range cfg.Rules(&Listener{Name: "web", Hostnames: c.listener}) {
				got = append(got, host.Hostname+" = "+describe(host.Rules))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestVirtualHostsAgainstCovers: the rules of a virtual host are those whose hostname covers it, in the listener's order.
func TestVirtualHostsAgainstCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same names each time
	names := []string{"", "test", "a.test", "*.test", "b.a.test", "*.a.test", "*.b.a.test", "c.b.a.test", "aa.test", "*.aa.test"}
	for range 300 {
		cfg := &Config{}
		for i := range 6 {
			route := Route{Name: fmt.Sprint(i), Listeners: []string{"web"}}
			for range random.IntN(3) {
				if name := names[random.IntN(len(names))]; name != "" {
					route.Hostnames = append(route.Hostnames, name)
				}
			}
			cfg.Routes = append(cfg.Routes, route)
		}
		listener := &Listener{Name: "web"}
		if name := names[random.IntN(len(names))]; name != "" {
			listener.Hostnames = []string{name}
		}
		ordered := cfg.OrderedRules(listener)
		for _, host := range VirtualHosts(ordered) {
			var want []Rule
			for _, rule := range ordered {
				if Covers(rule.Hostname, host.Hostname) {
					want = append(want, rule)
				}
			}
			if describe(host.Rules) != describe(want) {
				t.Fatalf("%q has %s, want %s", host.Hostname, describe(host.Rules), describe(want))
			}
		}
	}
}

// TestCovers: a wildcard stands for one label or more, and not for none.
func TestCovers(t *testing.T) {
	for _, c := range []struct {
		general, special string
		want             bool
	}{
		{"", "", true}, {"", "a.test", true}, {"", "*.test", true},
		{"a.test", "a.test", true}, {"a.test", "b.a.test", false}, {"a.test", "", false},
		{"*.test", "a.test", true}, {"*.test", "b.a.test", true}, {"*.test", "*.a.test", true}, {"*.test", "*.test", true},
		{"*.test", "test", false}, {"*.test", ".test", false}, {"*.test", "", false}, {"*.a.test", "*.test", false}, {"*.a.test", "aa.test", false}, {"*.a.test", "xa.test", false},
	} {
		if got := Covers(c.general, c.special); got != c.want {
			t.Errorf("%q covers %q: %t, want %t", c.general, c.special, got, c.want)
		}
	}
}
