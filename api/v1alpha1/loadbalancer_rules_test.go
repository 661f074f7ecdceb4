// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// createLoadBalancer asks the real API server for a dry run of a LoadBalancer with this spec.
func (s spec) createLoadBalancer(ctx context.Context) error {
	return create(ctx, v1alpha1.GroupVersion.String(), "LoadBalancer", metav1.ObjectMeta{Namespace: namespace, Name: "shop"}, s)
}

// fillLoadBalancer adds what every spec needs, so that a case shows only what it is about: the listener web of protocol
// HTTP, and the pools a and b.
func (s spec) fillLoadBalancer() {
	if _, ok := s["listeners"]; !ok {
		s["listeners"] = []any{map[string]any{"name": "web", "port": 80, "protocol": "HTTP"}}
	}
	if _, ok := s["pools"]; !ok {
		s["pools"] = []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}
	}
}

// A loadBalancerCase is a spec, in YAML, and the messages of its refusal; none means that it is accepted.
type loadBalancerCase struct {
	spec string
	want []string
}

func testLoadBalancerRules(t *testing.T, cases map[string]loadBalancerCase) {
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := fromYAML(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			s.fillLoadBalancer()
			var got []string
			if err := s.createLoadBalancer(t.Context()); err != nil {
				got = messages(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("refusal\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

var referenceCases = map[string]loadBalancerCase{
	"every reference there is": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP, pool: a}], routes: [{name: x, listeners: [web], action: {pool: b}}, {name: v, action: {pools: [{pool: a}, {pool: b, weight: 0}]}}]}`,
	},
	"a listener's pool": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP, pool: a}, {name: alt, port: 81, protocol: HTTP, pool: nope}]}`,
		want: []string{`spec: listener alt names pool nope, which pools does not have`},
	},
	"a listener's pool, without pools": {
		spec: `{pools: null, listeners: [{name: web, port: 80, protocol: HTTP, pool: a}]}`,
		want: []string{`spec: listener web names pool a, which pools does not have`},
	},
	"a route's listener": {
		spec: `routes: [{name: x, listeners: [web], action: {pool: a}}, {name: v, listeners: [web, wbe], action: {pool: a}}]`,
		want: []string{`spec: route v names listener wbe, which listeners does not have`},
	},
	"a route's pool": {
		spec: `routes: [{name: x, action: {pool: a}}, {name: v, action: {pool: c}}]`,
		want: []string{`spec: route v names pool c, which pools does not have`},
	},
	"a weighted pool": {
		spec: `routes: [{name: x, action: {pool: a}}, {name: v, action: {pools: [{pool: a}, {pool: b}]}}, {name: z, action: {pools: [{pool: a}, {pool: b}, {pool: c}]}}]`,
		want: []string{`spec: route z names pool c, which pools does not have`},
	},
	"a weighted pool, without pools": {
		spec: `{pools: null, routes: [{name: z, action: {pools: [{pool: c}]}}]}`,
		want: []string{`spec: route z names pool c, which pools does not have`},
	},
	"a name twice": {
		spec: `{pools: [{name: a}, {name: a}], listeners: [{name: l, port: 1, protocol: TCP}, {name: l, port: 2, protocol: TCP}]}`,
		want: []string{`spec.listeners[1]: Duplicate value: {"name":"l"}`, `spec.pools[1]: Duplicate value: {"name":"a"}`},
	},
	"a port twice": {
		spec: `listeners: [{name: x, port: 80, protocol: HTTP}, {name: v, port: 81, protocol: HTTP}, {name: z, port: 80, protocol: TCP}]`,
		want: []string{`spec: listeners x and z have the same port`},
	},
	"a route of a listener that redirects": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP, redirect: {scheme: https}}, {name: alt, port: 81, protocol: HTTP}], routes: [{name: x, listeners: [alt, web], action: {pool: a}}]}`,
		want: []string{`spec: route x is for listener web, which redirects every request`},
	},
	"a route of all listeners, one of which redirects": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP, redirect: {scheme: https}}, {name: alt, port: 81, protocol: HTTP}], routes: [{name: x, action: {pool: a}}]}`,
	},
	"a route of all listeners, all of which redirect": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP, redirect: {scheme: https}}], routes: [{name: x, action: {pool: a}}]}`,
		want: []string{`spec: route x names no listeners, and none of protocol HTTP or HTTPS is without a redirect: name the listeners that it is for`},
	},
	"no listener": {spec: `listeners: []`, want: []string{`spec.listeners: 0: spec.listeners in body should have at least 1 items`}},
}

// streams are a TCP and a TLS listener beside web.
const streams = `listeners: [{name: web, port: 80, protocol: HTTP}, {name: db, port: 5432, protocol: TCP}, {name: sni, port: 443, protocol: TLS}]`

var streamCases = map[string]loadBalancerCase{
	"a route of each protocol": {
		spec: `{` + streams + `, routes: [{name: x, listeners: [web], matches: [{path: {value: /x}}], action: {pool: a}}, {name: v, listeners: [db], allowCIDRs: [10.0.0.0/8], action: {pool: a}},
  {name: z, listeners: [sni], hostnames: [a.example.com], action: {pools: [{pool: a}, {pool: b}]}}, {name: rest, listeners: [sni], action: {pool: a}}]}`,
	},
	"one route for all": {spec: `{` + streams + `, routes: [{name: x, action: {pool: a}}]}`},
	"a field for requests of a route without listeners": {
		spec: `{` + streams + `, routes: [{name: x, rateLimit: {requests: 1}, action: {pool: a}}]}`,
	},
	"two routes of a TCP listener": {
		spec: `{` + streams + `, routes: [{name: x, listeners: [db], action: {pool: a}}, {name: v, listeners: [db, web], action: {pool: b}}]}`,
		want: []string{`spec: route x takes every stream of listener db, and so does another route`},
	},
	"a route and a pool of a TCP listener": {
		spec: `{listeners: [{name: db, port: 5432, protocol: TCP, pool: a}], routes: [{name: x, listeners: [db], action: {pool: a}}]}`,
		want: []string{`spec: route x takes every stream of listener db, and so does its pool`},
	},
	"two routes without hostnames of a TLS listener": {
		spec: `{` + streams + `, routes: [{name: x, listeners: [sni], action: {pool: a}}, {name: v, listeners: [sni], hostnames: [], action: {pool: b}}]}`,
		want: []string{`spec: route x takes every stream of listener sni, and so does another route`},
	},
	"a default pool of a TLS listener": {
		spec: `{listeners: [{name: sni, port: 443, protocol: TLS, pool: a}], routes: [{name: x, listeners: [sni], hostnames: [a.example.com], action: {pool: b}}]}`,
	},
	"hostnames on a TCP listener": {
		spec: `{` + streams + `, routes: [{name: x, listeners: [sni, db], hostnames: [a.example.com], action: {pool: a}}]}`,
		want: []string{`spec: route x is for listener db of protocol TCP, which takes no hostnames`},
	},
	"hostnames of a route without listeners": {
		spec: `{` + streams + `, routes: [{name: x, hostnames: [a.example.com], action: {pool: a}}]}`,
	},
	"a pool for requests of a TCP listener": {
		spec: `{listeners: [{name: db, port: 5432, protocol: TCP, pool: a}], pools: [{name: a, persistence: {type: Cookie, name: c}}]}`,
		want: []string{`spec: listener db of protocol TCP sends streams to pool a, whose persistence by Cookie is for requests`},
	},
	"a pool for requests of a route of streams": {
		spec: `{` + streams + `, pools: [{name: a, protocol: HTTP2}], routes: [{name: x, listeners: [sni], hostnames: [a.b], action: {pool: a}}]}`,
		want: []string{`spec: route x sends streams to pool a, whose protocol HTTP2 is for requests`},
	},
	"a pool for requests of a route without listeners": {
		spec: `{` + streams + `, pools: [{name: a, algorithm: URIHash}], routes: [{name: x, action: {pool: a}}]}`,
	},
	"a weighted pool for requests of a route of streams": {
		spec: `{` + streams + `, pools: [{name: a}, {name: b, monitor: {type: TCP}, passive: {}}], routes: [{name: x, listeners: [db], action: {pools: [{pool: a}, {pool: b}]}}]}`,
		want: []string{`spec: a route of streams names, with a weight, a pool with fields for requests: algorithm URIHash or HeaderHash, protocol HTTP2, persistence by Cookie or Header, or passive.observe Requests`},
	},
	"pools that streams take": {
		spec: `{` + streams + `, pools: [{name: a, algorithm: SourceHash, monitor: {type: HTTP}, passive: {observe: Connections}, persistence: {type: SourceIP}, tls: {}, proxyProtocol: V2, slowStart: 10s},
  {name: b, algorithm: URIHash, persistence: {type: Header, name: x}, monitor: {type: GRPC}, passive: {}, protocol: HTTP2}],
  routes: [{name: x, listeners: [db, sni], action: {pool: a}}, {name: v, listeners: [web], action: {pools: [{pool: b}]}}]}`,
	},
}

func TestReferenceRules(t *testing.T) { testLoadBalancerRules(t, referenceCases) }
func TestStreamRules(t *testing.T)    { testLoadBalancerRules(t, streamCases) }

// TestFieldsForRequestsAreNotForStreams tries each field of a route that speaks of requests on a TCP and a TLS listener.
func TestFieldsForRequestsAreNotForStreams(t *testing.T) {
	cases := map[string]loadBalancerCase{}
	for field, text := range map[string]string{
		"matches": `matches: [{methods: [GET]}]`, "rateLimit": `rateLimit: {requests: 1}`, "cors": `cors: {allowOrigins: ["*"]}`, "basicAuth": `basicAuth: {users: {secretName: a}}`,
		"requestHeaders": `requestHeaders: {remove: [a]}`, "responseHeaders": `responseHeaders: {remove: [a]}`, "rewrite": `rewrite: {path: /}`, "retries": `retries: {attempts: 1}`,
		"timeouts": `timeouts: {response: 1s}`, "redirect": `action: {redirect: {path: /x}}`, "respond": `action: {respond: {}}`, "maintenance": `action: {maintenance: {}}`,
	} {
		if !strings.HasPrefix(text, "action") {
			text += `, action: {pool: a}`
		}
		for listener, protocol := range map[string]string{"db": "TCP", "sni": "TLS"} {
			cases[field+" on "+protocol] = loadBalancerCase{
				spec: `{` + streams + `, routes: [{name: x, listeners: [web, ` + listener + `], ` + text + `}]}`,
				want: []string{`spec: route x is for listener ` + listener + ` of protocol ` + protocol + `, which takes no ` + field},
			}
			cases[field+" on HTTP beside "+protocol] = loadBalancerCase{spec: `{` + streams + `, routes: [{name: x, listeners: [web], ` + text + `}]}`}
		}
	}
	testLoadBalancerRules(t, cases)
}
