// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/test/haproxy"
)

const patience = 20 * time.Second

// proxy is a HAProxy under test.
type proxy struct {
	*socket.Client
	master *socket.Master
	// dir has its configuration and sockets; f.sock is the frontend's.
	dir     string
	version haproxy.Version
}

const header = `
global
  stats socket DIR/worker.sock level admin
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
`

// start runs a configuration, in which DIR is the folder.
func start(t testing.TB, v haproxy.Version, config string, files map[string]string) *proxy {
	t.Helper()
	p := &proxy{dir: v.Dir(t), version: v}
	for name, content := range files {
		p.write(t, name, content)
	}
	p.configure(t, config)
	process := v.Start(t, filepath.Join(p.dir, "haproxy.cfg"))
	p.Client = socket.New(filepath.Join(p.dir, "worker.sock"))
	p.master = socket.NewMaster(process.MasterSocket)
	return p
}

func (p *proxy) configure(t testing.TB, config string) {
	t.Helper()
	p.write(t, "haproxy.cfg", strings.ReplaceAll(strings.TrimPrefix(header, "\n")+config, "DIR", p.dir))
}

func (p *proxy) path(name string) string { return filepath.Join(p.dir, name) }

func (p *proxy) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks the frontend on f.sock.
func (p *proxy) get(t testing.TB) (status int, body string) {
	t.Helper()
	status, body, err := p.tryGet()
	must(t, err)
	return status, body
}

func (p *proxy) tryGet() (status int, body string, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path("f.sock"))
	}}
	response, err := (&http.Client{Transport: transport}).Get("http://example.test/")
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// endpoint serves its name until the test ends.
func endpoint(t testing.TB, name string) netip.AddrPort {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, name) }))
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantIs(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const oneBackend = `
frontend f
  bind unix@DIR/f.sock
  use_backend b
backend b
  balance roundrobin
  server configured 127.0.0.1:1 disabled
`

func (p *proxy) server(t testing.TB, backend, name string) socket.ServerState {
	t.Helper()
	states, err := p.ServersState(t.Context(), backend)
	must(t, err)
	i := slices.IndexFunc(states, func(s socket.ServerState) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no server %s in %+v", name, states)
	}
	return states[i]
}

func TestServerComesAndGoes(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, oneBackend, nil)
		at := endpoint(t, "one")
		if status, _ := p.get(t); status != http.StatusServiceUnavailable {
			t.Fatalf("%d before there is a server", status)
		}
		must(t, p.Run(ctx, socket.AddServer("b", "one", at.String(), "weight", "7", "maxconn", "3"), socket.SetState("b", "one", socket.Ready)))
		if status, body := p.get(t); status != http.StatusOK || body != "one" {
			t.Errorf("%d %q", status, body)
		}
		s := p.server(t, "b", "one")
		if s.Addr != at.Addr().String() || s.Port != int(at.Port()) || s.Weight != 7 || s.Admin.State() != socket.Ready || s.Operation != socket.Running {
			t.Errorf("%+v", s)
		}
		wantIs(t, "add again", p.Run(ctx, socket.AddServer("b", "one", at.String())), socket.ErrExists)

		other := endpoint(t, "other")
		must(t, p.Run(ctx, socket.SetWeight("b", "one", 0), socket.SetAddr("b", "one", other), socket.SetAddr("b", "one", other)))
		if s := p.server(t, "b", "one"); s.Weight != 0 || s.Port != int(other.Port()) {
			t.Errorf("%+v", s)
		}
		must(t, p.Run(ctx, socket.SetWeight("b", "one", 1)))
		if _, body := p.get(t); body != "other" {
			t.Errorf("%q answers", body)
		}
		must(t, p.Run(ctx, socket.SetState("b", "one", socket.Drain)))
		if got := p.server(t, "b", "one").Admin.State(); got != socket.Drain {
			t.Errorf("state %s", got)
		}
		if err := p.Run(ctx, socket.DelServer("b", "one")); err == nil {
			t.Error("a server that is not in maintenance was removed")
		}
		must(t, p.Run(ctx, socket.SetState("b", "one", socket.Maint)))
		eventually(t, "remove", func() error { return p.Run(ctx, socket.DelServer("b", "one")) })
		wantIs(t, "remove again", p.Run(ctx, socket.DelServer("b", "one")), socket.ErrNotFound)
		wantIs(t, "no such backend", p.Run(ctx, socket.AddServer("c", "one", at.String())), socket.ErrNotFound)
		wantIs(t, "no such server", p.Run(ctx, socket.SetWeight("b", "two", 1)), socket.ErrNotFound)
		_, err := p.ServersState(ctx, "c")
		wantIs(t, "state of no backend", err, socket.ErrNotFound)
	})
}

// TestEachAnswerIsItsOwn mixes commands whose answers end in different ways.
func TestEachAnswerIsItsOwn(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		p := start(t, v, oneBackend, nil)
		results, err := p.RunEach(t.Context(),
			socket.AddServer("b", "x", "127.0.0.1:9"),
			socket.DelServer("b", "missing"),
			socket.DelServer("b", "x"),
			socket.DelCert("missing"),
			socket.AddServer("b", "y", "127.0.0.1:9", "no-such-word"),
			socket.SetWeight("b", "configured", 300),
			socket.SetWeight("b", "configured", 3),
			socket.DelMap("missing", "k"),
		)
		must(t, err)
		for i, want := range []string{"", "No such server", "", "doesn't exist", "no-such-word", "between 0 and 256", "", "Unknown map"} {
			got := results[i]
			if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
				t.Errorf("result %d: %v, want %q", i, got, want)
			}
		}
		if got := p.server(t, "b", "configured").Weight; got != 3 {
			t.Errorf("weight %d", got)
		}
	})
}

func TestDrainingServerIsBusy(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, oneBackend, nil)
		entered, leave := make(chan bool), make(chan bool)
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- true
			<-leave
		}))
		t.Cleanup(server.Close)
		t.Cleanup(func() { close(leave) })
		must(t, p.Run(ctx, socket.AddServer("b", "slow", server.Listener.Addr().String()), socket.SetState("b", "slow", socket.Ready)))
		done := make(chan int, 1)
		go func() {
			// What is shut down ends in an answer of HAProxy's own, or in none.
			status, _, _ := p.tryGet()
			done <- status
		}()
		<-entered
		must(t, p.Run(ctx, socket.SetState("b", "slow", socket.Maint)))
		wantIs(t, "remove a server with a connection", p.Run(ctx, socket.DelServer("b", "slow")), socket.ErrBusy)
		sessions, err := p.Sessions(ctx)
		must(t, err)
		if sessions["b/slow"] != 1 || len(sessions) != 1 {
			t.Errorf("sessions %v", sessions)
		}
		stats, err := p.Stats(ctx)
		must(t, err)
		i := slices.IndexFunc(stats, func(s socket.Stat) bool { return s.Proxy == "b" && s.Server == "slow" })
		if i < 0 || stats[i].Sessions != 1 || stats[i].UsedConns != 1 || stats[i].Status != "MAINT" {
			t.Errorf("statistics %+v", stats)
		}
		must(t, p.Run(ctx, socket.ShutdownSessions("b", "slow")))
		if status := <-done; status == http.StatusOK {
			t.Error("the session was not shut down")
		}
		eventually(t, "remove", func() error { return p.Run(ctx, socket.DelServer("b", "slow")) })
	})
}

func TestHealthChecks(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, oneBackend, nil)
		must(t, p.Run(ctx,
			socket.AddServer("b", "alive", endpoint(t, "x").String(), "check", "inter", "20ms", "fall", "1", "rise", "1"),
			socket.AddServer("b", "dead", "127.0.0.1:1", "check", "inter", "20ms", "fall", "1", "rise", "1"),
			socket.EnableHealth("b", "alive"), socket.EnableHealth("b", "dead"),
			socket.SetState("b", "alive", socket.Ready), socket.SetState("b", "dead", socket.Ready)))
		eventually(t, "checks", func() error {
			alive, dead := p.server(t, "b", "alive"), p.server(t, "b", "dead")
			if alive.Operation != socket.Running || dead.Operation != socket.Stopped || alive.CheckState&socket.CheckEnabled == 0 {
				return fmt.Errorf("%+v, %+v", alive, dead)
			}
			return nil
		})
		must(t, p.Run(ctx, socket.DisableHealth("b", "alive")))
		if s := p.server(t, "b", "alive"); s.CheckState&socket.CheckEnabled != 0 {
			t.Errorf("checks go on: %+v", s)
		}
		var refused *socket.Refused
		if err := p.Run(ctx, socket.EnableHealth("b", "configured")); !errors.As(err, &refused) || refused.Message == "" {
			t.Errorf("checks of a server without checks: %v", err)
		}
	})
}

func TestManyServersOnEachAlgorithm(t *testing.T) {
	algorithms := map[string]string{
		"roundrobin": "balance roundrobin", "leastconn": "balance leastconn", "random": "balance random", "first": "balance first",
		"source": "balance source\n  hash-type consistent", "uri": "balance uri\n  hash-type consistent",
		"header": "balance hdr(x)\n  hash-type consistent",
	}
	config := "\nbackend static\n  balance source\n"
	for name, balance := range algorithms {
		config += "backend " + name + "\n  " + balance + "\n"
	}
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		p := start(t, v, config, nil)
		const n = 200
		for name := range algorithms {
			var batch []socket.Command
			for i := range n {
				server := fmt.Sprintf("s%d", i)
				batch = append(batch, socket.AddServer(name, server, fmt.Sprintf("10.0.0.%d:80", i)), socket.SetState(name, server, socket.Ready))
			}
			must(t, p.Run(t.Context(), batch...))
			states, err := p.ServersState(t.Context(), name)
			must(t, err)
			if len(states) != n || slices.ContainsFunc(states, func(s socket.ServerState) bool { return s.Operation != socket.Running }) {
				t.Errorf("%s: %d servers, want %d that run", name, len(states), n)
			}
		}
		var refused *socket.Refused
		if err := p.Run(t.Context(), socket.AddServer("static", "s", "10.0.0.1:80")); !errors.As(err, &refused) {
			t.Errorf("a hash that is not consistent takes a server: %v", err)
		}
	})
}

// TestKeywords holds the list of the package comment to HAProxy.
func TestKeywords(t *testing.T) {
	both := []string{
		"check", "inter 2s", "fastinter 1s", "downinter 3s", "fall 3", "rise 2", "check port 8080", "check addr 127.0.0.2", "check-ssl verify none",
		"check-sni x.test", "check-alpn http/1.1", "check-proto h2", "check-send-proxy", "agent-check agent-port 99", "observe layer4",
		"check observe layer7 error-limit 5 on-error mark-down", "on-marked-down shutdown-sessions", "ssl verify none", "ssl verify none sni str(x.test)",
		"ssl verify required ca-file DIR/pair.pem verifyhost x.test", "ssl verify none crt DIR/pair.pem", "ssl verify required ca-file @system-ca",
		"ssl verify none alpn h2,http/1.1", "proto h2", "ws h1", "ssl verify none ssl-min-ver TLSv1.2", "weight 0", "maxconn 10", "minconn 5 maxconn 10",
		"maxqueue 10", "slowstart 10s", "send-proxy", "send-proxy-v2", "proxy-v2-options crc32c", "backup", "disabled", "tfo",
		"source 127.0.0.1", "id 77", "pool-max-conn 10", "track configured",
	}
	new32 := []string{
		"cookie x", "init-state up", "init-state fully-up", "init-state down", "guid x", "ssl verify none curves X25519", "idle-ping 10s",
		"strict-maxconn", "hash-key addr-port", "set-proxy-v2-tlv-fmt(0x20) x",
	}
	neither := []string{
		"no-check", "init-addr none", "resolvers x", "namespace x", "tcp-ut 5s", "redir http://x", "max-reuse 5", "socks4 127.0.0.1:80", "non-stick",
		"ssl verify required ca-file DIR/missing.pem",
	}
	config := oneBackend + "  server loads 127.0.0.1:1 check ssl verify required ca-file DIR/pair.pem crt DIR/pair.pem\n"
	config = strings.Replace(config, ":1 disabled", ":1 check disabled", 1)
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		p := start(t, v, config, map[string]string{"pair.pem": pair(t, "x.test", 1)})
		try := func(words string, want bool) {
			t.Helper()
			params := strings.Fields(strings.ReplaceAll(words, "DIR", p.dir))
			err := p.Run(t.Context(), socket.AddServer("b", "s", "127.0.0.1:9", params...))
			if (err == nil) != want {
				t.Errorf("%s: %v, want it taken: %t", words, err, want)
			}
			if err == nil {
				must(t, p.Run(t.Context(), socket.SetState("b", "s", socket.Maint), socket.DelServer("b", "s")))
			}
		}
		for _, words := range both {
			try(words, true)
		}
		for _, words := range new32 {
			try(words, v.Name != "2.6")
		}
		for _, words := range neither {
			try(words, false)
		}
		try("enabled", v.Name == "2.6")
	})
}

func TestContextEndsAWait(t *testing.T) {
	path := filepath.Join(haproxy.Version{}.Dir(t), "s")
	listener, err := net.Listen("unix", path)
	must(t, err)
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = socket.New(path).Info(ctx)
	wantIs(t, "a server that never answers", err, context.DeadlineExceeded)
	_, err = socket.New(path + ".missing").Info(t.Context())
	wantIs(t, "no socket", err, os.ErrNotExist)
}

// BenchmarkAddServer is what a new endpoint costs: one round trip that adds and enables it.
func BenchmarkAddServer(b *testing.B) {
	for _, v := range haproxy.Versions(b) {
		b.Run(v.Name, func(b *testing.B) {
			p := start(b, v, oneBackend, nil)
			for b.Loop() {
				must(b, p.Run(b.Context(), socket.AddServer("b", "x", "127.0.0.1:9"), socket.SetState("b", "x", socket.Ready)))
				b.StopTimer()
				must(b, p.Run(b.Context(), socket.SetState("b", "x", socket.Maint), socket.DelServer("b", "x")))
				b.StartTimer()
			}
		})
	}
}
