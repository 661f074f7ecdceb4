// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// list makes n objects.
func list(n int, object func(i int) map[string]any) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = object(i)
	}
	return all
}

// named is a name of the greatest length.
func named(i int) string { return fmt.Sprintf("%s-%03d", strings.Repeat("a", 36), i) }

// largest is a spec with as many listeners, pools, routes and members as there may be, in which every rule has to look at
// everything: all routes name all listeners, and the pools that are looked for last.
func largest(listener, pool, route map[string]any) spec {
	with := func(more map[string]any, own map[string]any) map[string]any {
		maps.Copy(own, more)
		return own
	}
	listeners := list(32, func(i int) map[string]any {
		return with(listener, map[string]any{"name": named(i), "port": i + 1, "pool": named(255)})
	})
	names := make([]any, len(listeners))
	for i := range names {
		names[i] = named(i)
	}
	return spec{
		"listeners": listeners,
		"pools": list(256, func(i int) map[string]any {
			return with(pool, map[string]any{"name": named(i), "members": list(64, func(m int) map[string]any {
				return map[string]any{"address": map[string]any{"host": fmt.Sprintf("2001:db8:1111:2222:3333:4444:%x:%x", i, m), "port": 65535}}
			})})
		}),
		"routes": list(256, func(i int) map[string]any {
			action := map[string]any{"pool": named(255)}
			if i%2 == 0 {
				action = map[string]any{"pools": list(8, func(w int) map[string]any { return map[string]any{"pool": named(255 - w)} })}
			}
			return with(route, map[string]any{"name": named(i), "listeners": names, "hostnames": []any{fmt.Sprintf("h%d.example.com", i)}, "action": action})
		}),
	}
}

// TestLargestLoadBalancer shows that the cost of all rules together stays within what the API server spends on an object.
func TestLargestLoadBalancer(t *testing.T) {
	match := map[string]any{
		"path": map[string]any{"value": "/a"}, "methods": []any{"GET"}, "headers": []any{map[string]any{"name": "X", "value": "b"}}, "query": []any{map[string]any{"name": "q", "type": "Present"}},
	}
	for name, s := range map[string]spec{
		"requests": largest(
			map[string]any{"protocol": "HTTP", "allowCIDRs": []any{"10.0.0.0/8"}},
			map[string]any{"algorithm": "URIHash", "protocol": "HTTP2", "persistence": map[string]any{"type": "Cookie", "name": "a"}, "monitor": map[string]any{"type": "HTTP", "statuses": []any{"200-299"}}, "passive": map[string]any{}},
			map[string]any{"matches": []any{match, match}, "rewrite": map[string]any{"pathPrefix": "/b"}, "timeouts": map[string]any{"response": "1s"}, "requestHeaders": map[string]any{"set": []any{map[string]any{"name": "X", "value": "b"}}}},
		),
		"streams": largest(map[string]any{"protocol": "TLS"}, map[string]any{"monitor": map[string]any{"type": "TLS"}, "passive": map[string]any{"observe": "Connections"}}, map[string]any{"denyCIDRs": []any{"10.0.0.0/8"}}),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "streams" {
				s.dropMembers()
			}
			start := time.Now()
			if err := s.createLoadBalancer(t.Context()); err != nil {
				t.Errorf("%.2000v", err)
			}
			t.Logf("%d bytes in %s", len(s.String()), time.Since(start).Round(time.Millisecond))
		})
	}
}

// TestWrongLargestLoadBalancer shows that single mistakes in a spec of the greatest size are found, and named.
func TestWrongLargestLoadBalancer(t *testing.T) {
	s := largest(map[string]any{"protocol": "HTTP"}, nil, nil)
	s.dropMembers()
	last(s, "listeners")["port"], last(s, "listeners")["pool"] = 1, "nope"
	routes := s["routes"].([]any)
	routes[253].(map[string]any)["listeners"] = []any{named(0), "nope"}
	routes[254].(map[string]any)["action"] = map[string]any{"pools": []any{map[string]any{"pool": named(255)}, map[string]any{"pool": "nope"}}}
	routes[255].(map[string]any)["action"] = map[string]any{"pool": "nope"}
	err := s.createLoadBalancer(t.Context())
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		`spec: listener ` + named(31) + ` names pool nope, which pools does not have`,
		`spec: listeners ` + named(0) + ` and ` + named(31) + ` have the same port`,
		`spec: route ` + named(253) + ` names listener nope, which listeners does not have`,
		`spec: route ` + named(254) + ` names pool nope, which pools does not have`,
		`spec: route ` + named(255) + ` names pool nope, which pools does not have`,
	}
	if got := messages(err); !slices.Equal(got, want) {
		t.Errorf("refusal\n got %q\nwant %q", got, want)
	}
}

// dropMembers leaves the members out, where other rules than theirs are tried.
func (s spec) dropMembers() {
	for _, pool := range s["pools"].([]any) {
		delete(pool.(map[string]any), "members")
	}
}

func last(s spec, field string) map[string]any {
	all := s[field].([]any)
	return all[len(all)-1].(map[string]any)
}

// TestTooLargeLoadBalancerIsRefused goes beyond every bound of a list by one.
func TestTooLargeLoadBalancerIsRefused(t *testing.T) {
	name := func(i int) map[string]any { return map[string]any{"name": named(i)} }
	for field, s := range map[string]spec{
		"listeners": {"listeners": list(33, func(i int) map[string]any { return map[string]any{"name": named(i), "port": i + 1, "protocol": "TCP"} })},
		"pools":     {"pools": list(257, name)},
		"routes": {"routes": list(257, func(i int) map[string]any {
			return map[string]any{"name": named(i), "action": map[string]any{"pool": "a"}}
		})},
		"pools[0].members": {"pools": []any{map[string]any{"name": "a", "members": list(65, func(int) map[string]any { return map[string]any{"service": map[string]any{"name": "a"}} })}}},
		"routes[0].matches": {"routes": []any{map[string]any{"name": "a", "action": map[string]any{"pool": "a"}, "matches": list(17, func(int) map[string]any {
			return map[string]any{"methods": []any{"GET"}}
		})}}},
	} {
		t.Run(field, func(t *testing.T) {
			s := maps.Clone(s)
			s.fillLoadBalancer()
			err := s.createLoadBalancer(t.Context())
			if err == nil || !strings.Contains(messages(err)[0], "spec."+field+": Too many: ") {
				t.Errorf("not refused for being too many: %.300v", err)
			}
		})
	}
}
