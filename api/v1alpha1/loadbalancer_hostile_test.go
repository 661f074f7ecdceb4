// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// injections are strings that would be more than a value where they reached HAProxy's configuration unquoted.
var injections = map[string]string{
	"a line": "a\nbind :1", "a carriage return": "a\rb", "a null": "a\x00b", "an escape": "a\x1b[31m", "delete": "a\x7f", "a vertical tab": "a\vb", "a form feed": "a\fb",
	"a quote": `a" b "`, "an apostrophe": `a' b '`, "a backslash": `a\`, "a semicolon": "a; show env", "a comment": "a #b", "a format": "a%[env(PATH)]", "a variable": "a${PATH}", "an argument": "a b", "parentheses": "a)b(", "a pipe": "a|&`b`",
}

// control are the injections that no field takes.
var control = map[string]bool{"a line": true, "a carriage return": true, "a null": true, "an escape": true, "delete": true, "a vertical tab": true, "a form feed": true}

// strictFields are specs with a %s in a field that takes none of the injections.
var strictFields = map[string]string{
	"class": `{className: %s}`, "access log": `{accessLog: %s}`, "drift": `{drift: %s}`, "drain timeout": `{drainTimeout: %s}`, "node": `{drain: {nodes: [%s]}}`, "drained address": `{drain: {addresses: [%s]}}`,
	"listener": `{listeners: [{name: %s, port: 1, protocol: TCP}]}`, "protocol": `{listeners: [{name: a, port: 1, protocol: %s}]}`, "listener's hostname": `{listeners: [{name: a, port: 1, protocol: HTTP, hostnames: [%s]}]}`,
	"CIDR": `{listeners: [{name: a, port: 1, protocol: TCP, allowCIDRs: [%s]}]}`, "listener's pool": `{listeners: [{name: a, port: 1, protocol: TCP, pool: %s}]}`, "timeout": `{listeners: [{name: a, port: 1, protocol: TCP, timeouts: {idle: %s}}]}`,
	"certificate": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {certificates: [{secretName: %s}]}}]}`, "certificate's namespace": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {certificates: [{secretName: a, namespace: %s}]}}]}`,
	"cipher": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {` + certificates + `, ciphers: [%s]}}]}`, "cipher suite": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {` + certificates + `, cipherSuites: [%s]}}]}`,
	"version": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {` + certificates + `, minVersion: %s}}]}`, "ALPN": `{listeners: [{name: a, port: 1, protocol: HTTPS, tls: {` + certificates + `, alpn: [%s]}}]}`,
	"redirect's scheme": `{listeners: [{name: a, port: 1, protocol: HTTP, redirect: {scheme: %s}}]}`, "redirect's host": `{listeners: [{name: a, port: 1, protocol: HTTP, redirect: {host: %s}}]}`,
	"pool": `{pools: [{name: %s}]}`, "algorithm": `{pools: [{name: a, algorithm: %s}]}`, "pool's protocol": `{pools: [{name: a, protocol: %s}]}`, "slow start": `{pools: [{name: a, slowStart: %s}]}`,
	"service": `{pools: [{name: a, members: [{service: {name: %s}}]}]}`, "service's namespace": `{pools: [{name: a, members: [{service: {name: a, namespace: %s}}]}]}`, "service's port": `{pools: [{name: a, members: [{service: {name: a, port: %s}}]}]}`,
	"address": `{pools: [{name: a, members: [{address: {host: %s, port: 1}}]}]}`, "monitor": `{pools: [{name: a, monitor: {type: %s}}]}`, "method": `{pools: [{name: a, monitor: {type: HTTP, method: %s}}]}`,
	"monitored host": `{pools: [{name: a, monitor: {type: HTTP, host: %s}}]}`, "status": `{pools: [{name: a, monitor: {type: HTTP, statuses: [%s]}}]}`, "gRPC service": `{pools: [{name: a, monitor: {type: GRPC, grpcService: %s}}]}`,
	"cookie": `{pools: [{name: a, persistence: {type: Cookie, name: %s}}]}`, "server name": `{pools: [{name: a, tls: {serverName: %s}}]}`, "authority": `{pools: [{name: a, tls: {ca: {secretName: %s}}}]}`,
	"route": `{routes: [{name: %s, action: {pool: a}}]}`, "route's listener": `{routes: [{name: a, listeners: [%s], action: {pool: a}}]}`, "route's hostname": `{routes: [{name: a, hostnames: [%s], action: {pool: a}}]}`,
	"route's pool": `{routes: [{name: a, action: {pool: %s}}]}`, "weighted pool": `{routes: [{name: a, action: {pools: [{pool: %s}]}}]}`, "matched method": `{routes: [{name: a, matches: [{methods: [%s]}], action: {pool: a}}]}`,
	"query parameter": `{routes: [{name: a, matches: [{query: [{name: %s, type: Present}]}], action: {pool: a}}]}`, "rewritten host": `{routes: [{name: a, rewrite: {host: %s}, action: {pool: a}}]}`,
	"users": `{routes: [{name: a, basicAuth: {users: {secretName: %s}}, action: {pool: a}}]}`, "origin": `{routes: [{name: a, cors: {allowOrigins: [%s]}, action: {pool: a}}]}`, "CORS method": `{routes: [{name: a, cors: {allowOrigins: [https://a], allowMethods: [%s]}, action: {pool: a}}]}`,
	"retry": `{routes: [{name: a, retries: {attempts: 1, retryOn: [%s]}, action: {pool: a}}]}`, "content type": `{routes: [{name: a, action: {respond: {contentType: %s}}}]}`,
	"service's type": `{service: {type: %s}}`, "load balancer's class": `{service: {loadBalancerClass: %s}}`, "annotation": `{service: {annotations: {%s: a}}}`, "image": `{pod: {image: %s}}`, "amount": `{pod: {resources: {requests: {cpu: %s}}}}`,
	"resource": `{pod: {resources: {requests: {%s: "1"}}}}`, "node label": `{pod: {nodeSelector: {%s: a}}}`, "topology key": `{pod: {spread: [%s]}}`, "priority class": `{pod: {priorityClassName: %s}}`, "pull secret": `{pod: {imagePullSecrets: [%s]}}`,
}

// literalFields are specs with a %s in a field that is taken literally; control characters are refused there too.
var literalFields = map[string]string{
	"matched path": `{routes: [{name: a, matches: [{path: {type: Regex, value: %s}}], action: {pool: a}}]}`, "matched header": `{routes: [{name: a, matches: [{headers: [{name: a, value: %s}]}], action: {pool: a}}]}`,
	"matched query": `{routes: [{name: a, matches: [{query: [{name: a, value: %s}]}], action: {pool: a}}]}`, "header's value": `{routes: [{name: a, requestHeaders: {set: [{name: a, value: %s}]}, action: {pool: a}}]}`,
	"answer's header": `{routes: [{name: a, action: {respond: {headers: [{name: a, value: %s}]}}}]}`, "monitored header": `{pools: [{name: a, monitor: {type: HTTP, headers: [{name: a, value: %s}]}}]}`,
	"monitored body": `{pools: [{name: a, monitor: {type: HTTP, body: %s}}]}`, "monitored body's pattern": `{pools: [{name: a, monitor: {type: HTTP, bodyRegex: %s}}]}`,
}

// bodies take line breaks as well.
var bodies = map[string]string{
	"answer": `{routes: [{name: a, action: {respond: {body: %s}}}]}`, "maintenance": `{routes: [{name: a, action: {maintenance: {body: %s}}}]}`,
}

// TestInjections shows what the API server lets through into each field.
func TestInjections(t *testing.T) {
	try := func(kind string, fields map[string]string, taken func(injection string) bool) {
		for field, text := range fields {
			for name, injection := range injections {
				t.Run(kind+" "+field+" of "+name, func(t *testing.T) {
					s, err := fromYAML(fmt.Sprintf(text, strconv.QuoteToASCII(injection)))
					if err != nil {
						t.Fatal(err)
					}
					s.fillLoadBalancer()
					got, err := refused(s.createLoadBalancer(t.Context()))
					if err != nil || got == taken(name) {
						t.Errorf("refused: %t, %v; spec %s", got, err, s)
					}
				})
			}
		}
	}
	try("strict", strictFields, func(string) bool { return false })
	try("literal", literalFields, func(name string) bool { return !control[name] })
	try("body", bodies, func(name string) bool { return !control[name] || name == "a line" || name == "a carriage return" })
}

// TestStrictFieldsTakeAName shows that a strict field refuses an injection for what it is, and not whatever stands there.
func TestStrictFieldsTakeAName(t *testing.T) {
	for field, value := range map[string]string{
		"node": "a", "listener": "a", "listener's hostname": "a", "listener's pool": "a", "timeout": "1s", "CIDR": "10.0.0.0/8", "certificate": "a", "cipher": "A", "pool": "a", "service": "a", "service's port": "a", "address": "10.0.0.1",
		"monitored host": "a", "cookie": "a", "server name": "a", "route": "a", "route's listener": "web", "route's pool": "a", "matched method": "A", "query parameter": "a", "rewritten host": "a", "origin": "https://a", "image": "a",
		"annotation": "a", "node label": "a", "topology key": "a", "content type": "a/b", "load balancer's class": "a", "amount": "'1'", "redirect's host": "a", "users": "a", "gRPC service": "a", "status": "'200'",
	} {
		s, err := fromYAML(fmt.Sprintf(strictFields[field], value))
		if err != nil {
			t.Fatal(err)
		}
		s.fillLoadBalancer()
		if err := s.createLoadBalancer(t.Context()); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestIPAddressRule holds the rule for IP addresses to the parser of the standard library, over addresses in many forms
// with and without a slip.
func TestIPAddressRule(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	const alphabet = "0123456789abcdefABCDEFg:.:.%/ "
	for range 40 {
		seen := map[string]bool{}
		for len(seen) < 250 {
			text := randomAddress(r)
			if r.IntN(2) == 0 && text != "" {
				at := r.IntN(len(text))
				text = text[:at] + string(alphabet[r.IntN(len(alphabet))]) + text[min(at+r.IntN(2), len(text)):]
			}
			if len(text) > 0 && len(text) <= 39 {
				seen[text] = true
			}
		}
		var addresses []any
		for text := range seen {
			addresses = append(addresses, text)
		}
		s := spec{"drain": map[string]any{"addresses": addresses}}
		s.fillLoadBalancer()
		refusals := map[string]bool{}
		if err := s.createLoadBalancer(t.Context()); err != nil {
			for _, m := range messages(err) {
				if _, text, ok := strings.Cut(m, `: "`); ok && strings.HasSuffix(text, `" is not an IP address`) {
					refusals[strings.TrimSuffix(text, `" is not an IP address`)] = true
				} else {
					t.Errorf("another refusal: %s", m)
				}
			}
		}
		for text := range seen {
			if refusals[text] == isAddress(text) {
				t.Errorf("%q: refused %t, an address %t", text, refusals[text], isAddress(text))
			}
		}
	}
}

// isAddress is what the rule takes: no zones, and no IPv4 address within an IPv6 address.
func isAddress(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Zone() == "" && (addr.Is4() || !strings.Contains(text, "."))
}

func randomAddress(r *rand.Rand) string {
	if r.IntN(2) == 0 {
		part := func() int { return []int{0, 1, 9, 10, 99, 100, 199, 249, 250, 255, 256, 260, 300}[r.IntN(13)] }
		return fmt.Sprintf("%d.%d.%d.%d", part(), part(), part(), part())
	}
	groups := make([]string, 1+r.IntN(9))
	for i := range groups {
		groups[i] = []string{"", "0", "1", "db8", "FFFF", "ffff", "0000", "2001", "12345"}[r.IntN(9)]
	}
	return strings.Join(groups, ":")
}

// TestUnreachableAddressesAreNoMembers tries addresses that only the pod itself, or nothing, would answer at.
func TestUnreachableAddressesAreNoMembers(t *testing.T) {
	for _, host := range []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "169.254.169.254", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "0:0:0:0:0:0:0:1", "0000::0001", "::ffff:7f00:1", "0:0:0:0:0:ffff:a00:1", "fe80::1", "FEBF::1", "ff02::1",
	} {
		want := `spec.pools[0].members[0].address: ` + host + ` is an address of no member: unspecified, loopback, link-local, multicast or reserved`
		s := memberAt(host)
		if err := s.createLoadBalancer(t.Context()); err == nil || messages(err)[0] != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"1.0.0.1", "10.0.0.0", "126.1.1.1", "128.0.0.1", "169.253.0.1", "172.16.0.1", "223.255.255.255", "2001:db8::", "fd00::1", "64:ff9b::1", "fec0::1", "100::1", "169:254::1"} {
		if err := memberAt(host).createLoadBalancer(t.Context()); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func memberAt(host string) spec {
	s := spec{"pools": []any{map[string]any{"name": "a", "members": []any{map[string]any{"address": map[string]any{"host": host, "port": 1}}}}}}
	s.fillLoadBalancer()
	return s
}
