// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import "testing"

// route is a spec with one route of these fields.
func route(fields string) string { return `routes: [{name: x, ` + fields + `}]` }

var routeCases = map[string]loadBalancerCase{
	"everything that goes together": {
		spec: route(`listeners: [web], hostnames: [a.b, "*.c"], matches: [{path: {value: /api}, methods: [GET], headers: [{name: X, value: "\"%[src]"}, {name: Z, type: Present}], query: [{name: q, type: Regex, value: "^a"}]}, {path: {value: /v2}}],
  allowCIDRs: [10.0.0.0/8], denyCIDRs: [10.1.0.0/16], rateLimit: {key: Header, header: X, requests: 5, per: 24h}, cors: {allowOrigins: ["https://a.b"], allowCredentials: true, maxAge: 24h}, basicAuth: {realm: "a b", users: {secretName: u}},
  requestHeaders: {set: [{name: X, value: "a;b"}], add: [{name: X, value: c}], remove: [Z]}, responseHeaders: {remove: [Server]}, rewrite: {host: b.c, pathPrefix: /}, retries: {attempts: 2, retryOn: [ConnectFailure, 5xx]},
  timeouts: {response: 10s, tunnel: 24h}, action: {pool: a}`),
	},
	"no listener": {
		spec: route(`listeners: [], action: {pool: a}`),
		want: []string{`spec.routes[0].listeners: 0: spec.routes[0].listeners in body should have at least 1 items`},
	},
	"an empty match":      {spec: route(`matches: [{}], action: {pool: a}`), want: []string{`spec.routes[0].matches[0]: 0: spec.routes[0].matches[0] in body should have at least 1 properties`}},
	"a path without /":    {spec: route(`matches: [{path: {value: api}}], action: {pool: a}`), want: []string{`spec.routes[0].matches[0].path: value "api" must begin with /`}},
	"a regular one":       {spec: route(`matches: [{path: {type: Regex, value: "[.](png|jpg)$ ?#"}}], action: {pool: a}`)},
	"a path with a query": {spec: route(`matches: [{path: {value: "/a?b=c"}}], action: {pool: a}`), want: []string{`spec.routes[0].matches[0].path: value "/a?b=c" is no path: it has no space, ? or #; query parameters go to query`}},
	"a header without a value": {
		spec: route(`matches: [{headers: [{name: a}]}], action: {pool: a}`), want: []string{`spec.routes[0].matches[0].headers[0]: value is for types Exact and Regex, which need it`},
	},
	"a presence with a value": {
		spec: route(`matches: [{query: [{name: a, type: Present, value: ""}]}], action: {pool: a}`), want: []string{`spec.routes[0].matches[0].query[0]: value is for types Exact and Regex, which need it`},
	},
	"a rate by header without one": {spec: route(`rateLimit: {key: Header, requests: 1}, action: {pool: a}`), want: []string{`spec.routes[0].rateLimit: header is for key Header, which needs it`}},
	"a rate by path with a header": {spec: route(`rateLimit: {key: Path, header: X, requests: 1}, action: {pool: a}`), want: []string{`spec.routes[0].rateLimit: header is for key Header, which needs it`}},
	"a rate per moment":            {spec: route(`rateLimit: {requests: 1, per: 500ms}, action: {pool: a}`), want: []string{`spec.routes[0].rateLimit.per: 500ms is not within 1s to 24h`}},
	"a rate per two days":          {spec: route(`rateLimit: {requests: 1, per: 48h}, action: {pool: a}`), want: []string{`spec.routes[0].rateLimit.per: 48h is not within 1s to 24h`}},
	"any origin and one":           {spec: route(`cors: {allowOrigins: ["*", "https://a"]}, action: {pool: a}`), want: []string{`spec.routes[0].cors: allowOrigins is "*" alone or a list of origins`}},
	"any origin with cookies": {
		spec: route(`cors: {allowOrigins: ["*"], allowCredentials: true}, action: {pool: a}`), want: []string{`spec.routes[0].cors: allowCredentials needs allowOrigins that are named: browsers refuse "*"`},
	},
	"an origin with a path": {
		spec: route(`cors: {allowOrigins: ["https://a/b"]}, action: {pool: a}`), want: []string{`spec.routes[0].cors.allowOrigins[0]: spec.routes[0].cors.allowOrigins[0] in body should match '^([*]|[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+)$'`},
	},
	"a preflight for a week": {spec: route(`cors: {allowOrigins: ["*"], maxAge: 168h}, action: {pool: a}`), want: []string{`spec.routes[0].cors.maxAge: 168h is not within 1s to 24h`}},
	"a header of the framing": {
		spec: route(`requestHeaders: {set: [{name: Transfer-Encoding, value: chunked}], add: [{name: CONNECTION, value: close}]}, action: {pool: a}`),
		want: []string{`spec.routes[0].requestHeaders.add[0]: CONNECTION frames a message, and is the load balancer's own`, `spec.routes[0].requestHeaders.set[0]: Transfer-Encoding frames a message, and is the load balancer's own`},
	},
	"a header that every message has": {spec: route(`requestHeaders: {remove: [X, Host]}, action: {pool: a}`), want: []string{`spec.routes[0].requestHeaders.remove: Host belongs to every message: it is not removed`}},
	"a header set twice": {
		spec: route(`responseHeaders: {set: [{name: a, value: b}, {name: a, value: c}]}, action: {pool: a}`), want: []string{`spec.routes[0].responseHeaders.set[1]: Duplicate value: {"name":"a"}`},
	},
	"two new paths":    {spec: route(`matches: [{path: {value: /a}}], rewrite: {path: /b, pathPrefix: /c}, action: {pool: a}`), want: []string{`spec.routes[0].rewrite: path and pathPrefix exclude each other`}},
	"an empty rewrite": {spec: route(`rewrite: {}, action: {pool: a}`), want: []string{`spec.routes[0].rewrite: 0: spec.routes[0].rewrite in body should have at least 1 properties`}},
	"a prefix without matches": {
		spec: route(`rewrite: {pathPrefix: /b}, action: {pool: a}`), want: []string{`spec.routes[0]: pathPrefix of route x replaces the prefix that it matched by: it needs matches, all by a path of type Prefix`},
	},
	"a prefix for an exact path": {
		spec: route(`matches: [{path: {value: /a}}, {path: {type: Exact, value: /b}}], rewrite: {pathPrefix: /b}, action: {pool: a}`),
		want: []string{`spec.routes[0]: pathPrefix of route x replaces the prefix that it matched by: it needs matches, all by a path of type Prefix`},
	},
	"retries after what is unknown": {
		spec: route(`retries: {attempts: 1, retryOn: [Never]}, action: {pool: a}`),
		want: []string{`spec.routes[0].retries.retryOn[0]: Unsupported value: "Never": supported values: "ConnectFailure", "EmptyResponse", "Timeout", "5xx"`},
	},
	"a timeout of two days": {spec: route(`timeouts: {tunnel: 48h}, action: {pool: a}`), want: []string{`spec.routes[0].timeouts.tunnel: 48h is not within 1ms to 24h`}},
}

const oneAction = `spec.routes[0].action: an action has exactly one of pool, pools, redirect, respond and maintenance`

var actionCases = map[string]loadBalancerCase{
	"one of each": {
		spec: `routes: [{name: a, action: {pool: a}}, {name: b, action: {pools: [{pool: a, weight: 0}, {pool: b}]}}, {name: c, matches: [{path: {value: /old}}], action: {redirect: {pathPrefix: /new, code: 308}}},
  {name: d, responseHeaders: {set: [{name: X, value: "%"}]}, action: {respond: {status: 418, contentType: "text/html; charset=utf-8", body: "<h1>\n\t\"%[src]\";\r\n</h1>", headers: [{name: X, value: b}]}}},
  {name: e, action: {maintenance: {body: back soon, retryAfter: 1h}}}, {name: f, action: {respond: {status: 204}}}]`,
	},
	"none":           {spec: route(`action: {}`), want: []string{oneAction}},
	"two":            {spec: route(`action: {pool: a, respond: {}}`), want: []string{oneAction}},
	"no weight":      {spec: route(`action: {pools: [{pool: a, weight: 0}, {pool: b, weight: 0}]}`), want: []string{`spec.routes[0].action: all weights of pools are 0: nothing would be served; give one of them a weight`}},
	"a pool twice":   {spec: route(`action: {pools: [{pool: a}, {pool: a}]}`), want: []string{`spec.routes[0].action.pools[1]: Duplicate value: {"pool":"a"}`}},
	"nine pools":     {spec: route(`action: {pools: [{pool: a}, {pool: b}, {pool: c}, {pool: d}, {pool: e}, {pool: f}, {pool: g}, {pool: h}, {pool: i}]}`), want: []string{`spec.routes[0].action.pools: Too many: 9: must have at most 8 items`}},
	"a body of 204":  {spec: route(`action: {respond: {status: 204, body: a}}`), want: []string{`spec.routes[0].action.respond: an answer of status 204, 205 or 304 has no body`}},
	"a status below": {spec: route(`action: {respond: {status: 100}}`), want: []string{`spec.routes[0].action.respond.status: 100: spec.routes[0].action.respond.status in body should be greater than or equal to 200`}},
	"a control character in a body": {
		spec: route(`action: {maintenance: {body: "a\0b"}}`), want: []string{`spec.routes[0].action.maintenance.body: spec.routes[0].action.maintenance.body in body should match '^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$'`},
	},
	"a rewrite without a pool": {
		spec: route(`rewrite: {path: /b}, action: {respond: {}}`), want: []string{`spec.routes[0]: rewrite of route x is for what a member gets: it needs action pool or pools`},
	},
	"retries without a pool": {
		spec: route(`retries: {attempts: 1}, action: {maintenance: {}}`), want: []string{`spec.routes[0]: retries of route x is for what a member gets: it needs action pool or pools`},
	},
	"a redirect of a prefix without one": {
		spec: route(`matches: [{methods: [GET]}], action: {redirect: {pathPrefix: /b}}`),
		want: []string{`spec.routes[0]: pathPrefix of route x replaces the prefix that it matched by: it needs matches, all by a path of type Prefix`},
	},
	"a redirect to its own path": {
		spec: route(`matches: [{path: {type: Exact, value: /a}}, {path: {type: Exact, value: /b}}], action: {redirect: {path: /b}}`),
		want: []string{`spec.routes[0]: the redirect of route x leads to the path that it matches: set another path, or scheme, host or port`},
	},
	"a redirect to its own prefix": {
		spec: route(`matches: [{path: {value: /a}}], action: {redirect: {pathPrefix: /a}}`),
		want: []string{`spec.routes[0]: the redirect of route x leads to the path that it matches: set another path, or scheme, host or port`},
	},
	"a redirect to its own path on another host": {spec: route(`matches: [{path: {type: Exact, value: /a}}], action: {redirect: {host: b.c, path: /a}}`)},
	"a redirect of POST to its own path":         {spec: route(`matches: [{path: {type: Exact, value: /a}, methods: [POST]}], action: {redirect: {path: /a, code: 303}}`)},
	"a redirect to its own listener": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP}, {name: sec, port: 443, protocol: HTTPS, tls: {` + certificates + `}}], routes: [{name: x, action: {redirect: {scheme: https}}}]}`,
		want: []string{`spec: route x is for listener sec, to which its redirect leads back: name the listeners that it is for`},
	},
	"a redirect to its own port": {spec: route(`listeners: [web], action: {redirect: {port: 80}}`), want: []string{`spec: route x is for listener web, to which its redirect leads back`}},
	"a redirect to the other listener": {
		spec: `{listeners: [{name: web, port: 80, protocol: HTTP}, {name: sec, port: 443, protocol: HTTPS, tls: {` + certificates + `}}], routes: [{name: x, listeners: [web], action: {redirect: {scheme: https}}}]}`,
	},
}

func TestRouteRules(t *testing.T)  { testLoadBalancerRules(t, routeCases) }
func TestActionRules(t *testing.T) { testLoadBalancerRules(t, actionCases) }
