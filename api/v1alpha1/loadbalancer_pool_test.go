// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import "testing"

var poolCases = map[string]loadBalancerCase{
	"everything that goes together": {
		spec: `pools: [{name: a, algorithm: HeaderHash, hashHeader: X-User, minActive: 2, monitor: {type: TCP}, passive: {errors: 5}, maxConnections: 10, queue: {length: 5, timeout: 1s}, slowStart: 30s,
  persistence: {type: Header, name: X-User, timeout: 480h}, tls: {ca: {secretName: ca}, serverName: a.b, certificate: {secretName: c}}, proxyProtocol: V1, timeouts: {connect: 1ms, response: 24h, tunnel: 24h}},
  {name: b, algorithm: Random, slowStart: 1h, persistence: {type: Cookie, name: S_1}, tls: {insecureSkipVerify: true}}, {name: c, algorithm: URIHash, slowStart: 1s}]`,
	},
	"a hash without its header": {spec: `pools: [{name: a, algorithm: HeaderHash}]`, want: []string{`spec.pools[0]: hashHeader is for algorithm HeaderHash, which needs it`}},
	"a header without its hash": {spec: `pools: [{name: a, hashHeader: X}]`, want: []string{`spec.pools[0]: hashHeader is for algorithm HeaderHash, which needs it`}},
	"an unknown algorithm": {
		spec: `pools: [{name: a, algorithm: First}]`,
		want: []string{`spec.pools[0].algorithm: Unsupported value: "First": supported values: "RoundRobin", "LeastConnections", "Random", "SourceHash", "URIHash", "HeaderHash"`},
	},
	"passive checks without a monitor": {spec: `pools: [{name: a, passive: {}}]`, want: []string{`spec.pools[0]: passive needs monitor, which lets a member in again`}},
	"a queue without a bound":          {spec: `pools: [{name: a, queue: {}}]`, want: []string{`spec.pools[0]: queue needs maxConnections: without it nothing waits`}},
	"a slow start of a day":            {spec: `pools: [{name: a, slowStart: 24h}]`, want: []string{`spec.pools[0].slowStart: 24h is not within 1s to 1h`}},
	"an endless queue": {
		spec: `pools: [{name: a, maxConnections: 1, queue: {timeout: 2h}}]`,
		want: []string{`spec.pools[0].queue.timeout: 2h is not within 1ms to 1h`},
	},
	"timeouts beyond their bounds": {
		spec: `pools: [{name: a, timeouts: {connect: 0ms, response: 1441m, tunnel: 481h}}]`,
		want: []string{
			`spec.pools[0].timeouts.connect: 0ms is not within 1ms to 24h`,
			`spec.pools[0].timeouts.connect: 0ms is not within 1ms to 480h`,
			`spec.pools[0].timeouts.response: 1441m is not within 1ms to 24h`,
			`spec.pools[0].timeouts.tunnel: 481h is not within 1ms to 24h`,
			`spec.pools[0].timeouts.tunnel: 481h is not within 1ms to 480h`,
		},
	},
	"every certificate and an authority": {
		spec: `pools: [{name: a, tls: {insecureSkipVerify: true, ca: {secretName: b}}}]`,
		want: []string{`spec.pools[0].tls: insecureSkipVerify and ca exclude each other`},
	},
	"a cookie without a name": {spec: `pools: [{name: a, persistence: {type: Cookie}}]`, want: []string{`spec.pools[0].persistence: types Cookie and Header need name`}},
	"a header without a name": {spec: `pools: [{name: a, persistence: {type: Header}}]`, want: []string{`spec.pools[0].persistence: types Cookie and Header need name`}},
	"a source with a name":    {spec: `pools: [{name: a, persistence: {type: SourceIP, name: b}}]`, want: []string{`spec.pools[0].persistence: name is for types Cookie and Header`}},
	"a persistence of a moment": {
		spec: `pools: [{name: a, persistence: {type: SourceIP, timeout: 999ms}}]`,
		want: []string{`spec.pools[0].persistence.timeout: 999ms is not within 1s to 480h`},
	},
	"a persistence of a year": {
		spec: `pools: [{name: a, persistence: {type: SourceIP, timeout: 8760h}}]`,
		want: []string{`spec.pools[0].persistence.timeout: 8760h is not within 1ms to 480h`, `spec.pools[0].persistence.timeout: 8760h is not within 1s to 480h`},
	},
}

var memberCases = map[string]loadBalancerCase{
	"services and addresses": {
		spec: `pools: [{name: a, members: [{service: {name: web}}, {service: {name: 1web, namespace: other, port: 8080}, weight: 0}, {service: {name: web, port: 8080-http}, priority: 100, drain: true},
  {address: {host: 10.0.0.7, port: 65535}, weight: 1000000}, {address: {host: "2001:db8::1", port: 1}}]}]`,
	},
	"neither": {spec: `pools: [{name: a, members: [{weight: 1}]}]`, want: []string{`spec.pools[0].members[0]: a member has exactly one of service and address`}},
	"both": {
		spec: `pools: [{name: a, members: [{service: {name: web}, address: {host: 10.0.0.7, port: 1}}]}]`,
		want: []string{`spec.pools[0].members[0]: a member has exactly one of service and address`},
	},
	"a name for an address": {
		spec: `pools: [{name: a, members: [{address: {host: web.example.com, port: 1}}]}]`,
		want: []string{`spec.pools[0].members[0].address.host: "web.example.com" is not an IP address`},
	},
	"port 0":             {spec: `pools: [{name: a, members: [{service: {name: web, port: 0}}]}]`, want: []string{`spec.pools[0].members[0].service.port: must be a name or a number from 1 to 65535`}},
	"port 65536":         {spec: `pools: [{name: a, members: [{service: {name: web, port: 65536}}]}]`, want: []string{`spec.pools[0].members[0].service.port: must be a name or a number from 1 to 65535`}},
	"a number as a name": {spec: `pools: [{name: a, members: [{service: {name: web, port: "80"}}]}]`, want: []string{`spec.pools[0].members[0].service.port: spec.pools[0].members[0].service.port in body should match '^([a-z0-9]+-)*[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$'`}},
	"a weight below 0": {
		spec: `pools: [{name: a, members: [{service: {name: web}, weight: -1}]}]`,
		want: []string{`spec.pools[0].members[0].weight: -1: spec.pools[0].members[0].weight in body should be greater than or equal to 0`},
	},
}

var monitorCases = map[string]loadBalancerCase{
	"one of each type": {
		spec: `pools: [{name: a, monitor: {type: HTTP, method: POST, path: "/health?x=1&y='", host: a.b, headers: [{name: X, value: ""}], statuses: ["200", 200-399, 404-404], body: "ok \"%[src]\"", interval: 100ms, timeout: 100ms, port: 1}},
  {name: b, monitor: {type: TCP, interval: 1h, timeout: 1h}}, {name: c, monitor: {type: TLS}}, {name: d, monitor: {type: GRPC, grpcService: a.B}}, {name: e, monitor: {type: HTTP, method: HEAD}}]`,
	},
	"an HTTP field for TCP": {
		spec: `pools: [{name: a, monitor: {type: TCP, path: /}}]`,
		want: []string{`spec.pools[0].monitor: method, path, host, headers, statuses, body and bodyRegex are for type HTTP`},
	},
	"a gRPC field for HTTP":    {spec: `pools: [{name: a, monitor: {type: HTTP, grpcService: a}}]`, want: []string{`spec.pools[0].monitor: grpcService is for type GRPC`}},
	"two bodies":               {spec: `pools: [{name: a, monitor: {type: HTTP, body: a, bodyRegex: b}}]`, want: []string{`spec.pools[0].monitor: body and bodyRegex exclude each other`}},
	"a body of HEAD":           {spec: `pools: [{name: a, monitor: {type: HTTP, method: HEAD, bodyRegex: b}}]`, want: []string{`spec.pools[0].monitor: an answer to HEAD has no body: use method GET, or drop body and bodyRegex`}},
	"a range that goes down":   {spec: `pools: [{name: a, monitor: {type: HTTP, statuses: [200-200, 399-200]}}]`, want: []string{`spec.pools[0].monitor: 399-200 in statuses goes down: write the lower one first`}},
	"a timeout past the next":  {spec: `pools: [{name: a, monitor: {type: TCP, interval: 1s, timeout: 1001ms}}]`, want: []string{`spec.pools[0].monitor: timeout 1001ms is longer than interval 1s`}},
	"the default timeout":      {spec: `pools: [{name: a, monitor: {type: TCP, interval: 500ms}}]`, want: []string{`spec.pools[0].monitor: timeout 1s is longer than interval 500ms`}},
	"an interval too short":    {spec: `pools: [{name: a, monitor: {type: TCP, interval: 99ms, timeout: 10ms}}]`, want: []string{`spec.pools[0].monitor.interval: 99ms is not within 100ms to 1h`}},
	"a timeout too short":      {spec: `pools: [{name: a, monitor: {type: TCP, timeout: 9ms}}]`, want: []string{`spec.pools[0].monitor.timeout: 9ms is not within 10ms to 1h`}},
	"a status that is none":    {spec: `pools: [{name: a, monitor: {type: HTTP, statuses: ["600"]}}]`, want: []string{`spec.pools[0].monitor.statuses[0]: spec.pools[0].monitor.statuses[0] in body should match '^[1-5][0-9]{2}(-[1-5][0-9]{2})?$'`}},
	"a path with a space":      {spec: `pools: [{name: a, monitor: {type: HTTP, path: "/a b"}}]`, want: []string{`spec.pools[0].monitor.path: spec.pools[0].monitor.path in body should match '^/[^\x00-\x20\x7f#]*$'`}},
	"a header of the framing":  {spec: `pools: [{name: a, monitor: {type: HTTP, headers: [{name: Content-Length, value: "1"}]}}]`, want: []string{`spec.pools[0].monitor.headers[0]: Content-Length frames a message, and is the load balancer's own`}},
	"passive of unknown sight": {spec: `pools: [{name: a, monitor: {type: TCP}, passive: {observe: layer7}}]`, want: []string{`spec.pools[0].passive.observe: Unsupported value: "layer7": supported values: "Requests", "Connections"`}},
}

func TestPoolRules(t *testing.T)    { testLoadBalancerRules(t, poolCases) }
func TestMemberRules(t *testing.T)  { testLoadBalancerRules(t, memberCases) }
func TestMonitorRules(t *testing.T) { testLoadBalancerRules(t, monitorCases) }
