// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import "testing"

const certificates = `certificates: [{secretName: a}]`

var listenerCases = map[string]loadBalancerCase{
	"one of each protocol": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, hostnames: [a.example.com, "*.b.example.com"], allowCIDRs: [10.0.0.0/8, "fd00::/8"], denyCIDRs: [10.1.2.3/32]},
  {name: b, port: 443, protocol: HTTPS, tls: {` + certificates + `, alpn: [h2, http/1.1]}}, {name: c, port: 1, protocol: TCP, proxyProtocol: true}, {name: d, port: 55535, protocol: TCP, tls: {` + certificates + `}},
  {name: e, port: 8443, protocol: TLS, hostnames: [a.example.com]}]`,
	},
	"HTTPS without tls": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS}]`,
		want: []string{`spec.listeners[0]: protocol HTTPS needs tls with certificates, one or more`},
	},
	"HTTP with tls": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, tls: {` + certificates + `}}]`,
		want: []string{`spec.listeners[0]: protocol HTTP takes no tls: use HTTPS`},
	},
	"TLS with tls": {
		spec: `listeners: [{name: a, port: 443, protocol: TLS, tls: {` + certificates + `}}]`,
		want: []string{`spec.listeners[0]: protocol TLS takes no tls: use TCP, which decrypts the stream that TLS passes on`},
	},
	"TCP with hostnames": {
		spec: `listeners: [{name: a, port: 1, protocol: TCP, hostnames: [a.b]}]`,
		want: []string{`spec.listeners[0]: protocol TCP takes no hostnames: a stream names none; use TLS to tell streams apart by their server name`},
	},
	"an unknown protocol": {
		spec: `listeners: [{name: a, port: 1, protocol: UDP}]`,
		want: []string{`spec.listeners[0].protocol: Unsupported value: "UDP": supported values: "HTTP", "HTTPS", "TCP", "TLS"`},
	},
	"port 0": {
		spec: `listeners: [{name: a, port: 0, protocol: TCP}]`,
		want: []string{`spec.listeners[0].port: 0: spec.listeners[0].port in body should be greater than or equal to 1`},
	},
	"port 55536": {
		spec: `listeners: [{name: a, port: 55536, protocol: TCP}]`,
		want: []string{`spec.listeners[0].port: 55536: spec.listeners[0].port in body should be less than or equal to 55535`},
	},
	"a hostname in capitals": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, hostnames: [A.b]}]`,
		want: []string{`spec.listeners[0].hostnames[0]: spec.listeners[0].hostnames[0] in body should match '^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'`},
	},
	"no CIDR": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, allowCIDRs: [10.0.0.0/33, 10.0.0.1, "fd00::/129"], denyCIDRs: [any]}]`,
		want: []string{
			`spec.listeners[0].allowCIDRs[0]: spec.listeners[0].allowCIDRs[0] in body must be of type cidr: "10.0.0.0/33"`,
			`spec.listeners[0].allowCIDRs[1]: spec.listeners[0].allowCIDRs[1] in body must be of type cidr: "10.0.0.1"`,
			`spec.listeners[0].allowCIDRs[2]: spec.listeners[0].allowCIDRs[2] in body must be of type cidr: "fd00::/129"`,
			`spec.listeners[0].denyCIDRs[0]: spec.listeners[0].denyCIDRs[0] in body must be of type cidr: "any"`,
		},
	},
	"timeouts at their bounds": {spec: `listeners: [{name: a, port: 80, protocol: HTTP, timeouts: {idle: 1ms, request: 24h, keepAlive: 23h59m59s1000ms, tunnel: 1h1m1s1ms}}]`},
	"timeouts beyond their bounds": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, timeouts: {idle: 0s, request: 24h1ms, keepAlive: 25h}}]`,
		want: []string{
			`spec.listeners[0].timeouts.idle: 0s is not within 1ms to 24h`,
			`spec.listeners[0].timeouts.idle: 0s is not within 1ms to 480h`,
			`spec.listeners[0].timeouts.keepAlive: 25h is not within 1ms to 24h`,
			`spec.listeners[0].timeouts.request: 24h1ms is not within 1ms to 24h`,
		},
	},
	"no duration": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, timeouts: {idle: 1.5s}}]`,
		want: []string{`spec.listeners[0].timeouts.idle: spec.listeners[0].timeouts.idle in body should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'`},
	},
}

var listenerTLSCases = map[string]loadBalancerCase{
	"versions and ciphers": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.2", maxVersion: "1.3", ciphers: [ECDHE-RSA-AES128-GCM-SHA256], cipherSuites: [TLS_AES_128_GCM_SHA256], clientAuth: {ca: {secretName: b, namespace: c}}}},
  {name: b, port: 444, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.3", maxVersion: "1.3", ciphers: [], cipherSuites: [TLS_AES_128_GCM_SHA256]}},
  {name: c, port: 445, protocol: HTTPS, tls: {` + certificates + `, maxVersion: "1.2", ciphers: [AES128-SHA], cipherSuites: []}}]`,
	},
	"no certificate": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificates: []}}]`,
		want: []string{`spec.listeners[0].tls.certificates: 0: spec.listeners[0].tls.certificates in body should have at least 1 items`},
	},
	"the oldest after the newest": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.3", maxVersion: "1.2"}}]`,
		want: []string{`spec.listeners[0].tls: minVersion 1.3 is greater than maxVersion 1.2`},
	},
	"the newest before the default of the oldest": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, maxVersion: "1.1"}}]`,
		want: []string{`spec.listeners[0].tls: minVersion 1.2 is greater than maxVersion 1.1`},
	},
	"an unknown version": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.4"}}]`,
		want: []string{`spec.listeners[0].tls.minVersion: Unsupported value: "1.4": supported values: "1.0", "1.1", "1.2", "1.3"`},
	},
	"ciphers for TLS 1.3": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.3", ciphers: [AES128-SHA]}}]`,
		want: []string{`spec.listeners[0].tls: ciphers are for TLS up to 1.2, and minVersion is 1.3: use cipherSuites`},
	},
	"cipher suites for TLS 1.2": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, maxVersion: "1.2", cipherSuites: [TLS_AES_128_GCM_SHA256]}}]`,
		want: []string{`spec.listeners[0].tls: cipherSuites are for TLS 1.3, and maxVersion is 1.2: use ciphers`},
	},
	"a cipher that is a rule": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, ciphers: ["!aNULL"]}}]`,
		want: []string{`spec.listeners[0].tls.ciphers[0]: spec.listeners[0].tls.ciphers[0] in body should match '^[A-Z0-9][A-Za-z0-9_-]*$'`},
	},
	"HTTP/2 for TLS 1.1": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, minVersion: "1.0", maxVersion: "1.1", alpn: [h2]}}]`,
		want: []string{`spec.listeners[0].tls: h2 in alpn needs TLS 1.2, and maxVersion is 1.1`},
	},
	"an unknown application protocol": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, alpn: [h3]}}]`,
		want: []string{`spec.listeners[0].tls.alpn[0]: Unsupported value: "h3": supported values: "h2", "http/1.1"`},
	},
	"an application protocol twice": {
		spec: `listeners: [{name: a, port: 443, protocol: HTTPS, tls: {` + certificates + `, alpn: [h2, h2]}}]`,
		want: []string{`spec.listeners[0].tls.alpn[1]: Duplicate value: "h2"`},
	},
}

var listenerRedirectCases = map[string]loadBalancerCase{
	"to another scheme, host, port": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {scheme: https, code: 301}}, {name: b, port: 443, protocol: HTTPS, tls: {` + certificates + `}, redirect: {host: example.com, path: /}},
  {name: c, port: 81, protocol: HTTP, redirect: {port: 80}}, {name: d, port: 82, protocol: HTTP, redirect: {scheme: http}}, {name: e, port: 444, protocol: HTTPS, tls: {` + certificates + `}, redirect: {scheme: https}}]`,
	},
	"of a stream": {
		spec: `listeners: [{name: a, port: 80, protocol: TCP, redirect: {scheme: https}}]`,
		want: []string{`spec.listeners[0]: redirect is for protocols HTTP and HTTPS, not for TCP`},
	},
	"beside a pool": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {scheme: https}, pool: a}]`,
		want: []string{`spec.listeners[0]: redirect and pool exclude each other: a redirect answers every request`},
	},
	"of a prefix": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {host: b.c, pathPrefix: /x}}]`,
		want: []string{`spec.listeners[0]: redirect.pathPrefix is for routes, which have a prefix to replace: use redirect.path`},
	},
	"to its own scheme": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {scheme: http}}]`,
		want: []string{`spec.listeners[0]: the redirect leads back to this listener: set another scheme, host or port`},
	},
	"to its own port": {
		spec: `listeners: [{name: a, port: 444, protocol: HTTPS, tls: {` + certificates + `}, redirect: {scheme: https, port: 444}}]`,
		want: []string{`spec.listeners[0]: the redirect leads back to this listener: set another scheme, host or port`},
	},
	"to a path of its own": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {path: /x}}]`,
		want: []string{`spec.listeners[0]: the redirect leads back to this listener: set another scheme, host or port`},
	},
	"to nowhere": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {code: 301}}]`,
		want: []string{
			`spec.listeners[0].redirect: a redirect needs one of scheme, host, port, path and pathPrefix: without them it would lead to itself`,
			`spec.listeners[0]: the redirect leads back to this listener: set another scheme, host or port`,
		},
	},
	"with a status that is none": {
		spec: `listeners: [{name: a, port: 80, protocol: HTTP, redirect: {scheme: https, code: 304}}]`,
		want: []string{`spec.listeners[0].redirect.code: Unsupported value: 304: supported values: "301", "302", "303", "307", "308"`},
	},
}

func TestListenerRules(t *testing.T)         { testLoadBalancerRules(t, listenerCases) }
func TestListenerTLSRules(t *testing.T)      { testLoadBalancerRules(t, listenerTLSCases) }
func TestListenerRedirectRules(t *testing.T) { testLoadBalancerRules(t, listenerRedirectCases) }
