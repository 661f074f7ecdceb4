// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

const second = Duration(time.Second)

// whole is a model that has each field set.
func whole() *Config {
	replacement := "/new"
	ref := SecretRef{"shop", "tls"}
	timeouts := ListenerTimeouts{Idle: 60 * second, Request: 10 * second, KeepAlive: 75 * second, Tunnel: 3600 * second}
	headers := []Header{{"X-A", "1"}}
	changes := HeaderChanges{Set: headers, Add: headers, Remove: []string{"X-B"}}
	return &Config{
		Version: Version, Name: "shop/web", Generation: 7, DrainTimeout: 30 * second, MaxConnections: 10000, AccessLog: LogJSON,
		Drain: Drain{Nodes: []string{"node-1.example"}, Addresses: []string{"10.0.0.9", "2001:db8::9"}},
		Listeners: []Listener{
			{Name: "http", Port: 80, BindPort: 10080, Protocol: HTTP, Timeouts: timeouts, ProxyProtocol: true, Redirect: &Redirect{Scheme: "https", Code: 301}},
			{Name: "https", Port: 443, BindPort: 10443, Protocol: HTTPS, Timeouts: timeouts, Hostnames: []string{"shop.example.com", "*.shop.example.com"},
				AllowCIDRs: []string{"10.0.0.0/8", "2001:db8::/32"}, DenyCIDRs: []string{"10.1.2.3"}, MaxConnections: 500, Pool: "web",
				TLS: &ListenerTLS{Certificates: []SecretRef{ref}, MinVersion: "1.2", MaxVersion: "1.3", Ciphers: []string{"ECDHE-RSA-AES128-GCM-SHA256"},
					CipherSuites: []string{"TLS_AES_128_GCM_SHA256"}, ClientAuth: &ClientAuth{CA: ref, Optional: true}, ALPN: []string{"h2", "http/1.1"}}},
			{Name: "tcp", Port: 5432, BindPort: 15432, Protocol: TCP, Timeouts: timeouts, Pool: "web"},
			{Name: "tls", Port: 8443, BindPort: 18443, Protocol: TLS, Timeouts: timeouts},
		},
		Routes: []Route{
			{Name: "api", Listeners: []string{"https"}, Hostnames: []string{"shop.example.com"}, Matches: []Match{{
				Path: &PathMatch{PathPrefix, "/api"}, Methods: []string{"GET"}, Headers: []ValueMatch{{"X-Beta", ValueRegex, "^(1|2)$"}}, Query: []ValueMatch{{"debug", ValuePresent, ""}},
			}}, AllowCIDRs: []string{"0.0.0.0/0"}, DenyCIDRs: []string{"192.0.2.0/24"}, RateLimit: &RateLimit{RateByHeader, "X-Key", 100, second},
				CORS:      &CORS{[]string{"https://a.example.com:8443"}, []string{"GET"}, []string{"X-A"}, []string{"X-B"}, true, 600 * second},
				BasicAuth: &BasicAuth{"shop", ref}, RequestHeaders: changes, ResponseHeaders: changes,
				Rewrite: &Rewrite{Host: "inner.example.com:8080", PathPrefix: &replacement}, Retries: &Retries{2, []RetryOn{RetryConnectFailure, Retry5xx}},
				Timeouts: RouteTimeouts{5 * second, 60 * second}, Action: Action{Pools: []WeightedPool{{"web", 90}, {"canary", 10}}}},
			{Name: "old", Listeners: []string{"https"}, Action: Action{Redirect: &Redirect{Host: "new.example.com", Port: 8443, Path: "/x", Code: 308}}},
			{Name: "away", Listeners: []string{"https"}, Matches: []Match{{Path: &PathMatch{PathRegex, `[])(]\)(a)\Q((`}}}, Action: Action{Respond: &Respond{503, "text/html; charset=utf-8", "away\n", headers}}},
			{Name: "stream", Listeners: []string{"tls"}, Hostnames: []string{"db.example.com"}, Action: Action{Pools: []WeightedPool{{"canary", 1}}}},
		},
		Pools: []Pool{
			{Name: "web", Algorithm: HeaderHash, HashHeader: "X-User", MinActive: 1, Protocol: MemberHTTP2, Members: []Member{
				{Service: &ServiceRef{"shop", "web", "http", 0}, Weight: 90, Priority: 1}, {Address: &Address{"10.0.0.7", 8080}, Weight: 0, Drain: true}},
				Monitor: &Monitor{Type: MonitorHTTP, Interval: 2 * second, Timeout: second, Healthy: 2, Unhealthy: 3, Port: 8081, Method: "GET", Path: "/healthz?full=1",
					Host: "web.example.com", Headers: headers, Statuses: []string{"200", "300-399"}, BodyRegex: "ok|fine", GRPCService: "shop.v1.Web"},
				Passive: &PassiveCheck{true, 5}, Persistence: &Persistence{PersistCookie, "SRV", 600 * second}, TLS: &MemberTLS{&ref, "web.example.com", true, &ref},
				ProxyProtocol: 2, SlowStart: 30 * second, MaxConnections: 100, MaxQueue: 50, QueueTimeout: 5 * second, Timeouts: PoolTimeouts{second, 30 * second, 3600 * second}},
			{Name: "canary", Algorithm: RoundRobin, Timeouts: PoolTimeouts{second, 30 * second, 3600 * second}},
		},
	}
}

// TestGolden holds the JSON to what agents of other releases read and write.
func TestGolden(t *testing.T) {
	got, err := json.MarshalIndent(whole(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/model.json"
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the model is not that of %s, which -update writes:\n%s", file, got)
	}
	var back Config
	decoder := json.NewDecoder(bytes.NewReader(want))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.MarshalIndent(&back, "", "  "); err != nil || !bytes.Equal(append(again, '\n'), want) {
		t.Errorf("what is read is not what was written: %v\n%s", err, again)
	}
}

// TestValidate: one field is wrong at a time, and it alone is named.
func TestValidate(t *testing.T) {
	if problems := Validate(whole()); len(problems) > 0 {
		t.Fatalf("the whole model has problems: %v", problems)
	}
	api := func(c *Config) *Route { return &c.Routes[0] }
	web := func(c *Config) *Pool { return &c.Pools[0] }
	https := func(c *Config) *Listener { return &c.Listeners[1] }
	long := strings.Repeat("a", 5000)
	for _, c := range []struct {
		want string
		edit func(c *Config)
	}{
		{"version", func(c *Config) { c.Version = "v2" }},
		{"name", func(c *Config) { c.Name = "a\nb" }},
		{"drainTimeout", func(c *Config) { c.DrainTimeout = second - 1 }},
		{"maxConnections", func(c *Config) { c.MaxConnections = -1 }},
		{"accessLog", func(c *Config) { c.AccessLog = "XML" }},
		{"drain.nodes[0]", func(c *Config) { c.Drain.Nodes[0] = "a b" }},
		{"drain.addresses[1]", func(c *Config) { c.Drain.Addresses[1] = "fe80::1%eth0" }},

		{"listeners[3].name", func(c *Config) { c.Listeners[3].Name = "https"; c.Routes[3].Listeners[0] = "https" }},
		{"listeners[https].protocol", func(c *Config) { https(c).Protocol = "UDP"; https(c).TLS = nil }},
		{"listeners[https].port", func(c *Config) { https(c).Port = 0 }},
		{"listeners[tls].port", func(c *Config) { c.Listeners[3].Port = 443 }},
		{"listeners[tls].bindPort", func(c *Config) { c.Listeners[3].BindPort = 10443 }},
		{"listeners[https].hostnames[1]", func(c *Config) { https(c).Hostnames[1] = "*.*.com" }},
		{"listeners[https].hostnames[1]", func(c *Config) { https(c).Hostnames[1] = "10.0.0.1" }},
		{"listeners[tcp].hostnames", func(c *Config) { c.Listeners[2].Hostnames = []string{"a.test"} }},
		{"listeners[https].allowCIDRs[0]", func(c *Config) { https(c).AllowCIDRs[0] = "10.0.0.0/33" }},
		{"listeners[https].denyCIDRs[0]", func(c *Config) { https(c).DenyCIDRs[0] = "10.0.0.0/8 -f /etc/passwd" }},
		{"listeners[https].timeouts.idle", func(c *Config) { https(c).Timeouts.Idle = 0 }},
		{"listeners[https].timeouts.tunnel", func(c *Config) { https(c).Timeouts.Tunnel = MaxDuration + 1 }},
		{"listeners[tcp].redirect", func(c *Config) { c.Listeners[2].Redirect = &Redirect{Scheme: "https", Code: 301} }},
		{"listeners[http].redirect.code", func(c *Config) { c.Listeners[0].Redirect.Code = 200 }},
		{"listeners[http].redirect.scheme", func(c *Config) { c.Listeners[0].Redirect.Scheme = "javascript" }},
		{"listeners[https].tls", func(c *Config) { https(c).TLS = nil }},
		{"listeners[tls].tls", func(c *Config) { c.Listeners[3].TLS = https(c).TLS }},
		{"listeners[https].tls.certificates", func(c *Config) { https(c).TLS.Certificates = nil }},
		{"listeners[https].tls.certificates[0]", func(c *Config) { https(c).TLS.Certificates[0].Name = "../etc" }},
		{"listeners[https].tls.minVersion", func(c *Config) { https(c).TLS.MinVersion = "" }},
		{"listeners[https].tls.maxVersion", func(c *Config) { https(c).TLS.MaxVersion = "1.1" }},
		{"listeners[https].tls.ciphers[0]", func(c *Config) { https(c).TLS.Ciphers[0] = "ALL:@SECLEVEL=0" }},
		{"listeners[https].tls.cipherSuites[0]", func(c *Config) { https(c).TLS.CipherSuites[0] = "a b" }},
		{"listeners[https].tls.alpn[1]", func(c *Config) { https(c).TLS.ALPN[1] = "h3" }},
		{"listeners[https].tls.clientAuth.ca", func(c *Config) { https(c).TLS.ClientAuth.CA.Namespace = "" }},
		{"listeners[https].pool", func(c *Config) { https(c).Pool = "none" }},

		{"routes[0].name", func(c *Config) { api(c).Name = "a b" }},
		{"routes[1].name", func(c *Config) { c.Routes[1].Name = "api" }},
		{"routes[api].listeners", func(c *Config) { api(c).Listeners = nil }},
		{"routes[api].listeners[0]", func(c *Config) { api(c).Listeners[0] = "none" }},
		{"routes[api].listeners[1]", func(c *Config) { api(c).Listeners = []string{"https", "https"} }},
		{"routes[old].listeners[1]", func(c *Config) { c.Routes[1].Listeners = []string{"https", "tcp"} }},
		{"routes[stream].listeners[0]", func(c *Config) { c.Routes[3].Listeners[0] = "tcp" }},
		{"routes[stream].listeners[0]", func(c *Config) { c.Routes[3].Matches = []Match{{}} }},
		{"routes[api].hostnames[0]", func(c *Config) { api(c).Hostnames[0] = "Shop.example.com" }},
		{"routes[api].matches[0].path.type", func(c *Config) { api(c).Matches[0].Path.Type = "Glob"; api(c).Rewrite = nil }},
		{"routes[api].matches[0].path.value", func(c *Config) { api(c).Matches[0].Path.Value = "/a b" }},
		{"routes[api].matches[0].path.value", func(c *Config) { api(c).Matches[0].Path.Value = "/a?b" }},
		{"routes[away].matches[0].path.value", func(c *Config) { c.Routes[2].Matches[0].Path.Value = "(a" }},
		{"routes[away].matches[0].path.value", func(c *Config) { c.Routes[2].Matches[0].Path.Value = `a\` }},
		{"routes[away].matches[0].path.value", func(c *Config) { c.Routes[2].Matches[0].Path.Value = "[a" }},
		{"routes[api].matches[0].methods[0]", func(c *Config) { api(c).Matches[0].Methods[0] = "GET }" }},
		{"routes[api].matches[0].headers[0].name", func(c *Config) { api(c).Matches[0].Headers[0].Name = "X:" }},
		{"routes[api].matches[0].headers[0].type", func(c *Config) { api(c).Matches[0].Headers[0].Type = "" }},
		{"routes[api].matches[0].headers[0].value", func(c *Config) { api(c).Matches[0].Headers[0].Value = "" }},
		{"routes[api].matches[0].query[0].name", func(c *Config) { api(c).Matches[0].Query[0].Name = "a&b" }},
		{"routes[api].matches[0].query[0].value", func(c *Config) { api(c).Matches[0].Query[0].Value = "\x00" }},
		{"routes[api].matches[0].query", func(c *Config) { api(c).Matches[0].Query = slices.Repeat(api(c).Matches[0].Query, 17) }},
		{"routes[api].matches", func(c *Config) { api(c).Matches = slices.Repeat(api(c).Matches, 65) }},
		{"routes[api].denyCIDRs[0]", func(c *Config) { api(c).DenyCIDRs[0] = "all" }},
		{"routes[api].rateLimit.key", func(c *Config) { api(c).RateLimit.Key = "Cookie" }},
		{"routes[api].rateLimit.header", func(c *Config) { api(c).RateLimit.Header = "" }},
		{"routes[api].rateLimit.requests", func(c *Config) { api(c).RateLimit.Requests = 0 }},
		{"routes[api].rateLimit.per", func(c *Config) { api(c).RateLimit.Per = 0 }},
		{"routes[api].cors.allowOrigins[1]", func(c *Config) { api(c).CORS.AllowOrigins = append(api(c).CORS.AllowOrigins, "*") }},
		{"routes[api].cors.allowOrigins[0]", func(c *Config) { api(c).CORS.AllowOrigins[0] = "https://a b" }},
		{"routes[api].cors.allowMethods[0]", func(c *Config) { api(c).CORS.AllowMethods[0] = "G,T" }},
		{"routes[api].cors.exposeHeaders[0]", func(c *Config) { api(c).CORS.ExposeHeaders[0] = "" }},
		{"routes[api].cors.maxAge", func(c *Config) { api(c).CORS.MaxAge = -1 }},
		{"routes[api].basicAuth.realm", func(c *Config) { api(c).BasicAuth.Realm = `a"b` }},
		{"routes[api].basicAuth.users", func(c *Config) { api(c).BasicAuth.Users.Name = "" }},
		{"routes[api].requestHeaders.set[0].name", func(c *Config) { api(c).RequestHeaders.Set = []Header{{"a b", "1"}} }},
		{"routes[api].requestHeaders.set[0].name", func(c *Config) { api(c).RequestHeaders.Set = []Header{{"Content-Length", "1"}} }},
		{"routes[api].requestHeaders.set[0].value", func(c *Config) { api(c).RequestHeaders.Set = []Header{{"X", "a\r\nb: c"}} }},
		{"routes[api].requestHeaders.set[0].value", func(c *Config) { api(c).RequestHeaders.Set = []Header{{"X", long}} }},
		{"routes[api].responseHeaders.add[0].value", func(c *Config) { api(c).ResponseHeaders.Add = []Header{{"X", ""}} }},
		{"routes[api].requestHeaders.remove[0]", func(c *Config) { api(c).RequestHeaders.Remove = []string{"Host"} }},
		{"routes[api].rewrite.host", func(c *Config) { api(c).Rewrite.Host = "a/b" }},
		{"routes[api].rewrite.path", func(c *Config) { api(c).Rewrite = &Rewrite{Path: "x"} }},
		{"routes[api].rewrite.pathPrefix", func(c *Config) { api(c).Rewrite.Path = "/x" }},
		{"routes[api].rewrite.pathPrefix", func(c *Config) { api(c).Matches[0].Path.Type = PathExact }},
		{"routes[api].retries.attempts", func(c *Config) { api(c).Retries.Attempts = 11 }},
		{"routes[api].retries.on[0]", func(c *Config) { api(c).Retries.On[0] = "Always" }},
		{"routes[api].timeouts.response", func(c *Config) { api(c).Timeouts.Response = -1 }},
		{"routes[api].action", func(c *Config) { api(c).Action = Action{} }},
		{"routes[api].action", func(c *Config) { api(c).Action.Respond = &Respond{Status: 200} }},
		{"routes[api].action.pools[1].pool", func(c *Config) { api(c).Action.Pools[1].Pool = "none" }},
		{"routes[api].action.pools[0].weight", func(c *Config) { api(c).Action.Pools[0].Weight = MaxWeight + 1 }},
		{"routes[old].action.redirect.host", func(c *Config) { c.Routes[1].Action.Redirect.Host = "a@b" }},
		{"routes[old].action.redirect.port", func(c *Config) { c.Routes[1].Action.Redirect.Port = 70000 }},
		{"routes[away].action.respond.status", func(c *Config) { c.Routes[2].Action.Respond.Status = 199 }},
		{"routes[away].action.respond.body", func(c *Config) { c.Routes[2].Action.Respond.Body = strings.Repeat("x", MaxBody+1) }},
		{"routes[away].action.respond.body", func(c *Config) { c.Routes[2].Action.Respond.Status = 204 }},
		{"routes[away].action.respond.contentType", func(c *Config) { c.Routes[2].Action.Respond.ContentType = "html" }},
		{"routes[away].action.respond.headers[0].name", func(c *Config) { c.Routes[2].Action.Respond.Headers = []Header{{"Content-Type", "x"}} }},

		{"pools[web].algorithm", func(c *Config) { web(c).Algorithm = "" }},
		{"pools[web].hashHeader", func(c *Config) { web(c).HashHeader = "x)" }},
		{"pools[web].members[0]", func(c *Config) { web(c).Members[0].Address = web(c).Members[1].Address }},
		{"pools[web].members[0].service", func(c *Config) { web(c).Members[0].Service.Name = "a/b" }},
		{"pools[web].members[0].service.portName", func(c *Config) { web(c).Members[0].Service.PortName = "HTTP" }},
		{"pools[web].members[1].address.host", func(c *Config) { web(c).Members[1].Address.Host = "unix@/tmp/x" }},
		{"pools[web].members[1].address.port", func(c *Config) { web(c).Members[1].Address.Port = 0 }},
		{"pools[web].members[0].weight", func(c *Config) { web(c).Members[0].Weight = -1 }},
		{"pools[web].protocol", func(c *Config) { web(c).Protocol = "HTTP3" }},
		{"pools[web].monitor.type", func(c *Config) { web(c).Monitor.Type = "ICMP" }},
		{"pools[web].monitor.interval", func(c *Config) { web(c).Monitor.Interval = 0 }},
		{"pools[web].monitor.healthy", func(c *Config) { web(c).Monitor.Healthy = 0 }},
		{"pools[web].monitor.method", func(c *Config) { web(c).Monitor.Method = "GET /" }},
		{"pools[web].monitor.path", func(c *Config) { web(c).Monitor.Path = "/a b" }},
		{"pools[web].monitor.host", func(c *Config) { web(c).Monitor.Host = "a:b" }},
		{"pools[web].monitor.headers[0].value", func(c *Config) { web(c).Monitor.Headers = []Header{{"X", "a\nb"}} }},
		{"pools[web].monitor.statuses[0]", func(c *Config) { web(c).Monitor.Statuses[0] = "399-200" }},
		{"pools[web].monitor.bodyRegex", func(c *Config) { web(c).Monitor.Body = "x" }},
		{"pools[web].monitor.grpcService", func(c *Config) { web(c).Monitor.GRPCService = "a b" }},
		{"pools[web].passive.errors", func(c *Config) { web(c).Passive.Errors = 0 }},
		{"pools[web].persistence.type", func(c *Config) { web(c).Persistence.Type = "IP" }},
		{"pools[web].persistence.name", func(c *Config) { web(c).Persistence.Name = "a;b" }},
		{"pools[web].tls.ca", func(c *Config) { web(c).TLS.CA = &SecretRef{} }},
		{"pools[web].tls.serverName", func(c *Config) { web(c).TLS.ServerName = "a b" }},
		{"pools[web].proxyProtocol", func(c *Config) { web(c).ProxyProtocol = 3 }},
		{"pools[web].slowStart", func(c *Config) { web(c).SlowStart = -1 }},
		{"pools[web].timeouts.connect", func(c *Config) { web(c).Timeouts.Connect = 0 }},
	} {
		cfg := whole()
		c.edit(cfg)
		var got []string
		for _, problem := range Validate(cfg) {
			got = append(got, problem.Field)
		}
		if !slices.Equal(slices.Compact(got), []string{c.want}) {
			t.Errorf("problems of %v, want %s", got, c.want)
		}
	}
}

// TestPart: a problem takes down the listener, route or pool that it is in.
func TestPart(t *testing.T) {
	for field, want := range map[string]string{
		"routes[api].matches[0].path.value": "routes[api]", "pools[3].name": "pools[3]", "listeners[web]": "listeners[web]",
		"drainTimeout": "", "drain.addresses[1]": "",
	} {
		if got := (Problem{Field: field}).Part(); got != want {
			t.Errorf("%s is in %q, want %q", field, got, want)
		}
	}
}
