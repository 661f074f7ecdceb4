// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

var update = flag.Bool("update", false, "write the golden files")

// shop has a pool of every kind.
func shop(t *testing.T) (*model.Config, Secrets) {
	ca := newAuthority(t)
	chain, key := ca.issue(t, "balancer")
	pools := everything(ca, 0, 8443)
	canary := pool("canary", service("web", 90), service("web-canary", 10))
	canary.Persistence = &model.Persistence{Type: model.PersistCookie, Name: "SRV", Timeout: model.Duration(time.Hour)}
	spare := service("spare", 1)
	spare.Priority = -1
	ha := pool("ha", address("10.0.0.1", 80, 1), address("10.0.0.2", 80, 1), spare)
	ha.MinActive, ha.Algorithm = 2, model.SourceHash
	ha.Persistence = &model.Persistence{Type: model.PersistSource, Timeout: model.Duration(time.Hour)}
	grpc := pool("grpc", service("grpc", 1))
	grpc.Protocol = model.MemberHTTP2
	grpc.Monitor = &model.Monitor{Type: model.MonitorGRPC, GRPCService: "shop.v1.Cart", Interval: model.Duration(time.Second), Timeout: model.Duration(time.Second), Healthy: 2, Unhealthy: 3}
	header := pool("header", service("web", 1))
	header.Persistence = &model.Persistence{Type: model.PersistHeader, Name: "X-Session"}
	header.ProxyProtocol = 2
	cfg := config1(append(pools, canary, ha, grpc, header)...)
	cfg.Listeners = []model.Listener{{Name: "http", Protocol: model.HTTP}, {Name: "tcp", Protocol: model.TCP, Pool: "ha"}}
	cfg.Routes = []model.Route{{
		Name: "api", Listeners: []string{"http"}, Action: model.Action{Pools: []model.WeightedPool{{Pool: "ha", Weight: 1}}},
		Retries: &model.Retries{Attempts: 3, On: []model.RetryOn{model.RetryConnectFailure, model.Retry5xx}},
	}}
	return cfg, Secrets{
		{Namespace: "shop", Name: "ca"}:     {keyAuthorities: ca.pem},
		{Namespace: "shop", Name: "client"}: {keyCertificate: chain, keyPrivate: key},
	}
}

// TestBackendsGolden keeps the text of all kinds of backends and of their choice.
func TestBackendsGolden(t *testing.T) {
	cfg, secrets := shop(t)
	b := newBuilder(cfg, secrets, Options{Dir: "/var/lib/fairlead", Version: Version{2, 6}})
	b.backends()
	if len(b.structure.Refusals) > 0 {
		t.Error(b.structure.Refusals)
	}
	var w config.Writer
	for i := range cfg.Listeners {
		w.Section("frontend", "listener."+cfg.Listeners[i].Name)
		b.selection(&w, &cfg.Listeners[i])
	}
	b.structure.front = w.String()
	got := string(b.structure.Text(b.structure.Servers(Endpoints{
		*serviceRef("web"):    {{Address: "10.1.0.1", Port: 8080, Serving: true}, {Address: "2001:db8::1", Port: 8080, Serving: true, Draining: true}},
		*serviceRef("secure"): {{Address: "10.1.0.1", Port: 8443, Serving: true}},
	})))
	compareGolden(t, "backends.cfg", got)
	var maps strings.Builder
	for _, name := range []string{splitsMap, kindsMap, ringMap, membersMap, idsMap} {
		maps.WriteString("# " + name + "\n")
		for _, entry := range b.structure.Maps[b.mapPath(name)] {
			maps.WriteString(entry.Key + " " + entry.Value + "\n")
		}
	}
	compareGolden(t, "backends.maps", maps.String())
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; see what changed by: go test ./agent/haproxy -run Golden -update; git diff", path)
	}
}

// TestEveryPoolForStreams: what streams cannot have is left out or refused, and HAProxy takes the rest without a warning.
func TestEveryPoolForStreams(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		cfg, secrets := shop(t)
		for i := range cfg.Pools {
			cfg.Listeners = append(cfg.Listeners, model.Listener{Name: cfg.Pools[i].Name, Protocol: model.TCP, Pool: cfg.Pools[i].Name})
			cfg.Pools[i].Members = append(cfg.Pools[i].Members, address("127.0.0.1", 1, 1))
		}
		r := start(t, v, cfg, rigOptions{secrets: secrets, stream: "web"})
		var fields []string
		for _, refusal := range r.structure.Refusals {
			fields = append(fields, refusal.Field)
		}
		want := "pools[limits].persistence pools[canary].persistence pools[header].persistence"
		for _, field := range append(strings.Fields(want), "pools[tls-h2].algorithm", "pools[tls-system].algorithm") {
			if !strings.Contains(strings.Join(fields, " "), field) {
				t.Errorf("refused are %v, not %s", fields, field)
			}
		}
		if len(fields) != 5 {
			t.Errorf("refused are %v", fields)
		}
	})
}

// hostile are texts that mean something to HAProxy somewhere.
var hostile = []string{
	`a b`, `a'b`, `a"b`, `a\b`, `a#b`, `a$HOME`, `a${HOME}`, `%[src]`, `%`, `a;b`, `a,b`, `a)b`, `a(b`, `}`, `a{b`, "a\tb", "a\nserver x 127.0.0.1:1", "a\rb", "a\x00b", "é", "-", "!", strings.Repeat("x", 300),
}

// TestHostileValues: no value of a pool makes a config that HAProxy does not take, or that says more than it should.
func TestHostileValues(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		for field, set := range map[string]func(*model.Pool, string){
			"hashHeader":  func(p *model.Pool, s string) { p.Algorithm, p.HashHeader = model.HeaderHash, s },
			"cookie":      func(p *model.Pool, s string) { p.Persistence = &model.Persistence{Type: model.PersistCookie, Name: s} },
			"header":      func(p *model.Pool, s string) { p.Persistence = &model.Persistence{Type: model.PersistHeader, Name: s} },
			"serverName":  func(p *model.Pool, s string) { p.TLS = &model.MemberTLS{ServerName: s, Insecure: true} },
			"method":      func(p *model.Pool, s string) { p.Monitor.Method = s },
			"path":        func(p *model.Pool, s string) { p.Monitor.Path = "/" + s },
			"host":        func(p *model.Pool, s string) { p.Monitor.Host = s },
			"headerName":  func(p *model.Pool, s string) { p.Monitor.Headers = []model.Header{{Name: s, Value: "x"}} },
			"headerValue": func(p *model.Pool, s string) { p.Monitor.Headers = []model.Header{{Name: "X", Value: s}} },
			"status":      func(p *model.Pool, s string) { p.Monitor.Statuses = []string{s} },
			"body":        func(p *model.Pool, s string) { p.Monitor.Body = s },
			"service":     func(p *model.Pool, s string) { p.Monitor.Type, p.Monitor.GRPCService = model.MonitorGRPC, s },
			"address":     func(p *model.Pool, s string) { p.Members[0].Address.Host = s },
		} {
			var pools []model.Pool
			for i, value := range hostile {
				p := monitored(strings.ToLower(field)+string(rune('a'+i)), 1, model.Monitor{Type: model.MonitorHTTP})
				p.Members = append(p.Members, service("a", 1))
				set(&p, value)
				pools = append(pools, p)
			}
			r := prepare(t, v, config1(pools...), rigOptions{})
			text, err := os.ReadFile(r.config)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(strings.TrimSpace(line), "server x") {
					t.Errorf("%s: the config has a line that nobody wrote: %s", field, line)
				}
			}
		}
	})
}
