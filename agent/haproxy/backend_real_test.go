// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// TestAlgorithms: each balances as its name says, and addresses of one pool have shares by weight.
func TestAlgorithms(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		release := make(chan struct{})
		t.Cleanup(sync.OnceFunc(func() { close(release) }))
		port := members(t, func(_ http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/wait" {
				<-release
			}
		})
		weighted := func(name string, algorithm model.Algorithm) model.Pool {
			p := pool(name, address("127.1.0.1", port, 900_000), address("127.2.0.1", port, 100_000), address("127.3.0.1", port, 0))
			p.Algorithm = algorithm
			return p
		}
		least := pool("least", service("a", 1))
		least.Algorithm = model.LeastConnections
		r := start(t, v, config1(
			weighted("round", model.RoundRobin), weighted("random", model.Random), weighted("least-weighted", model.LeastConnections), least,
		), rigOptions{endpoints: Endpoints{*serviceRef("a"): serving(5, 2, port)}})
		near(t, r.tally(4000, "round", "/", 2), map[string]float64{"127.1": 0.9, "127.2": 0.1}, 0.01)
		near(t, r.tally(8000, "random", "/", 2), map[string]float64{"127.1": 0.9, "127.2": 0.1}, 0.015)

		var wg sync.WaitGroup
		busy := make(chan string, 1)
		wg.Go(func() {
			got, err := r.ask(&http.Transport{}, r.url, "least", "/wait")
			if err != nil {
				t.Error(err)
			}
			busy <- got.body
		})
		used := func() (addresses []string) {
			stats, err := r.admin.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, stat := range stats {
				if stat.Proxy == "pool.least" && stat.Server != socket.BackendStat && stat.Sessions > 0 {
					addresses = append(addresses, strings.Split(stat.Server, "_")[0])
				}
			}
			return addresses
		}
		for range 20 {
			// What was answered may be counted for a moment more, and then both have one.
			eventually(t, func() error {
				if now := used(); len(now) != 1 {
					return fmt.Errorf("%v have connections, want the one that waits", now)
				}
				return nil
			})
			if waits := used(); slices.Contains(waits, r.request("least", "/").body) {
				t.Errorf("%v got a request while it was the only one with a connection", waits)
			}
		}
		release <- struct{}{}
		<-busy
		wg.Wait()
	})
}

// TestLimitsAndQueue: a member gets no more than its limit at a time, what is more waits, and what finds the queue full
// is refused at once.
func TestLimitsAndQueue(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		release := make(chan struct{})
		var mu sync.Mutex
		now, most := 0, 0
		port := members(t, func(_ http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/wait" {
				return
			}
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				now += n
				most = max(most, now)
			}
			count(1)
			<-release
			count(-1)
		})
		limited := func(name string, timeout time.Duration) model.Pool {
			p := pool(name, address("127.1.0.1", port, 1), address("127.2.0.1", port, 1))
			p.MaxConnections, p.MaxQueue, p.QueueTimeout = 2, 3, model.Duration(timeout)
			return p
		}
		cfg := config1(limited("patient", 20*time.Second), limited("hasty", 300*time.Millisecond), limited("stream", 20*time.Second))
		cfg.Listeners = []model.Listener{{Name: "tcp", Protocol: model.TCP, Pool: "stream"}}
		r := start(t, v, cfg, rigOptions{stream: "stream"})
		for _, target := range []string{"patient", "hasty", "stream"} {
			answers := make(chan string, 16)
			send := func(clients int) {
				for range clients {
					go func() { answers <- r.fate(target) }()
				}
			}
			await := func(what string, want int, ask func() int) {
				t.Helper()
				eventually(t, func() error {
					if got := ask(); got != want {
						return fmt.Errorf("%s: %d %s, want %d", target, got, what, want)
					}
					return nil
				})
			}
			send(4)
			await("at members", 4, func() int {
				mu.Lock()
				defer mu.Unlock()
				return now
			})
			wait, refused := 6, 5
			if target == "hasty" {
				wait, refused = 0, 1
			}
			send(wait)
			await("in the queue", wait, func() int { return r.queued("pool." + target) })
			send(refused)
			counts := map[string]int{}
			for range refused {
				counts[<-answers]++
			}
			for range 4 + wait {
				release <- struct{}{}
			}
			for range 4 + wait {
				counts[<-answers]++
			}
			want := map[string]int{"200": 4 + wait, map[bool]string{true: "closed", false: "503"}[target == "stream"]: refused}
			mu.Lock()
			if fmt.Sprint(counts) != fmt.Sprint(want) || most != 4 {
				t.Errorf("%s: got %v, want %v; at most %d at a time, want 4", target, counts, want, most)
			}
			most = 0
			mu.Unlock()
		}
	})
}

// fate asks for what waits, and tells what became of it.
func (r *rig) fate(target string) string {
	url := r.url
	if target == "stream" {
		url = "http://" + r.stream
	}
	got, err := r.ask(&http.Transport{DisableKeepAlives: true}, url, target, "/wait")
	if err != nil {
		return "closed"
	}
	return fmt.Sprint(got.status)
}

func (r *rig) queued(backend string) int {
	r.t.Helper()
	stats, err := r.admin.Stats(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, stat := range stats {
		if stat.Proxy == backend && stat.Server == socket.BackendStat {
			return stat.Queued
		}
	}
	r.t.Fatalf("no backend %s", backend)
	return 0
}

// TestPassiveCheck: a member that fails real requests is out until its monitor has found it well.
func TestPassiveCheck(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		var fails, unwell atomic.Bool
		port := members(t, func(w http.ResponseWriter, req *http.Request) {
			if localAddress(req) == sickAddress && (fails.Load() && req.URL.Path == "/" || unwell.Load()) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		answers := monitored("answers", port, model.Monitor{Type: model.MonitorHTTP, Path: "/health"})
		answers.Passive = &model.PassiveCheck{Errors: 5}
		unmonitored := answers
		unmonitored.Name, unmonitored.Monitor = "unmonitored", nil
		connections := answers
		connections.Name, connections.Passive = "connections", &model.PassiveCheck{Errors: 5, Connections: true}
		r := start(t, v, config1(answers, unmonitored, connections), rigOptions{})
		for _, target := range []string{"answers", "unmonitored"} {
			fails.Store(true)
			unwell.Store(true)
			failed := r.tally(100, target, "/", 2)["500"]
			if failed < 5 || failed > 20 {
				t.Errorf("%s: %d of 100 requests failed, want about 5", target, failed)
			}
			fails.Store(false)
			unwell.Store(false)
			eventually(t, func() error {
				if counts := r.tally(40, target, "/", 2); counts["127.2"] != 20 {
					return fmt.Errorf("%s: the member is not back: %v", target, counts)
				}
				return nil
			})
		}
		fails.Store(true)
		if failed := r.tally(104, "connections", "/", 2)["500"]; failed != 52 {
			t.Errorf("only connections count: %d of 104 requests failed, want half", failed)
		}
	})
}

// TestSlowStart: a member that comes back gets its share step by step.
func TestSlowStart(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		p := pool("web", address("127.1.0.1", port, 1), address("127.2.0.1", port, 1))
		p.SlowStart = model.Duration(20 * time.Second)
		r := start(t, v, config1(p), rigOptions{})
		name := fmt.Sprintf("127.2.0.1_%d", port)
		r.do(socket.SetState("pool.web", name, socket.Maint))
		r.do(socket.SetState("pool.web", name, socket.Ready))
		if counts := r.tally(400, "web", "/", 2); counts["127.2"] > 100 || counts["127.2"] == 0 {
			t.Errorf("just after its return it got %d of 400 requests", counts["127.2"])
		}
	})
}

// TestDrain: nothing new comes to what drains, by member, address, node or endpoint.
func TestDrain(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		cfg := config1(
			pool("web", service("a", 1), address("127.4.0.1", port, 1), address("127.5.0.1", port, 1), address("127.6.0.1", port, 0)),
		)
		cfg.Pools[0].Members[1].Drain = true
		cfg.Drain = model.Drain{Nodes: []string{"n1"}, Addresses: []string{"127.1.0.2"}}
		endpoints := Endpoints{*serviceRef("a"): serving(1, 5, port)}
		endpoints[*serviceRef("a")][0].Node = "n1"
		endpoints[*serviceRef("a")][2].Draining = true
		endpoints[*serviceRef("a")][3].Serving = false
		r := start(t, v, cfg, rigOptions{endpoints: endpoints})
		for backend, servers := range r.structure.Servers(endpoints) {
			for _, server := range servers {
				r.do(socket.SetState(backend, server.Name, server.State))
			}
		}
		near(t, r.tally(400, "web", "/", 4), map[string]float64{"127.1.0.5": 0.5, "127.5.0.1": 0.5}, 0.12)
	})
}

// TestRetries: what failed is repeated elsewhere, as often and for such failures as the route says, and only if that can do no harm.
func TestRetries(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		var asked atomic.Int32
		port := members(t, func(w http.ResponseWriter, req *http.Request) {
			if localAddress(req) == wellAddress {
				return
			}
			asked.Add(1)
			switch req.URL.Path {
			case "/5xx":
				w.WriteHeader(http.StatusServiceUnavailable)
			case "/404":
				w.WriteHeader(http.StatusNotFound)
			case "/empty":
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_ = conn.Close()
				}
			case "/slow":
				time.Sleep(700 * time.Millisecond)
			}
		})
		p := pool("web", address(wellAddress, port, 1), address(sickAddress, port, 1))
		p.Timeouts.Response = model.Duration(300 * time.Millisecond)
		dead := pool("dead", address(wellAddress, port, 1), address("127.0.0.1", 1, 1))
		cfg := config1(p, dead)
		policies := []*model.Retries{
			{Attempts: 2, On: []model.RetryOn{model.Retry5xx}},
			{Attempts: 2, On: []model.RetryOn{model.RetryEmptyResponse, model.RetryTimeout}},
			{Attempts: 2, On: []model.RetryOn{model.RetryConnectFailure}},
			{Attempts: 0},
		}
		for i, policy := range policies {
			cfg.Routes = append(cfg.Routes, model.Route{
				Name: fmt.Sprint("r", i), Listeners: []string{"http"}, Retries: policy,
				Action: model.Action{Pools: []model.WeightedPool{{Pool: "web", Weight: 1}, {Pool: "dead", Weight: 1}}},
			})
		}
		cfg.Listeners = []model.Listener{{Name: "http", Protocol: model.HTTP}}
		r := start(t, v, cfg, rigOptions{})
		targets := make([]string, 0, len(policies))
		b := &builder{}
		for _, policy := range policies {
			targets = append(targets, b.target("web", policy))
		}
		for _, c := range []struct {
			target, path, method string
			fails                bool
		}{
			{targets[0], "/5xx", "GET", false}, {targets[0], "/5xx", "PUT", false}, {targets[0], "/5xx", "POST", true}, {targets[0], "/404", "GET", true},
			{targets[0], "/empty", "GET", true}, {targets[1], "/empty", "GET", false}, {targets[1], "/empty", "POST", true},
			{targets[1], "/slow", "GET", false}, {targets[1], "/5xx", "GET", true}, {"web", "/5xx", "GET", true},
			{"web", "/empty", "GET", true}, {targets[3], "/empty", "GET", true},
			{"dead", "/", "POST", false}, {b.target("dead", policies[2]), "/", "POST", false}, {b.target("dead", policies[3]), "/", "GET", true},
		} {
			asked.Store(0)
			failed := 0
			for range 6 {
				// A connection of its own: what is idle may be closed by a member that ended it.
				got, err := r.ask(&http.Transport{DisableKeepAlives: true}, r.url, c.target, c.path, ":method", c.method)
				if err != nil || got.status != http.StatusOK {
					failed++
				}
			}
			if (failed > 0) != c.fails {
				t.Errorf("%s %s at %s: %d of 6 failed, want failures: %t (the sick member was asked %d times)", c.method, c.path, c.target, failed, c.fails, asked.Load())
			}
		}
	})
}

// TestTimeoutsOfRoutes: a route's time for an answer replaces the pool's.
func TestTimeoutsOfRoutes(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t, func(_ http.ResponseWriter, req *http.Request) {
			select {
			case <-time.After(1200 * time.Millisecond):
			case <-req.Context().Done():
			}
		})
		p := pool("web", address(wellAddress, port, 1))
		cfg := config1(p)
		cfg.Routes = append(cfg.Routes, model.Route{Name: "short", Timeouts: model.RouteTimeouts{Response: model.Duration(300 * time.Millisecond)}})
		r := start(t, v, cfg, rigOptions{routed: []string{"http-request set-var(txn.response) int(300) if { path /short }"}})
		if got := r.request("web", "/short").status; got != http.StatusGatewayTimeout {
			t.Errorf("got %d, want 504", got)
		}
		if got := r.request("web", "/").status; got != http.StatusOK {
			t.Errorf("got %d, want 200", got)
		}
	})
}

// TestPoolOfRequestsAndStreams: a pool that both kinds of listeners use has both kinds of backends.
func TestPoolOfRequestsAndStreams(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		cfg := config1(pool("web", service("a", 90), service("b", 10)))
		cfg.Listeners = []model.Listener{{Name: "tcp", Protocol: model.TCP, Pool: "web"}, {Name: "http", Protocol: model.HTTP, Pool: "web"}}
		r := start(t, v, cfg, rigOptions{stream: "web", endpoints: Endpoints{*serviceRef("a"): serving(1, 1, port), *serviceRef("b"): serving(2, 3, port)}})
		near(t, r.tally(4000, "web", "/", 2), map[string]float64{"127.1": 0.9, "127.2": 0.1}, 0.02)
		counts := map[string]int{}
		for range 1500 {
			conn, err := net.Dial("tcp", r.stream)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			text, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			_, body, _ := strings.Cut(string(text), "\r\n\r\n")
			counts[strings.Join(strings.Split(body, ".")[:2], ".")]++
		}
		near(t, counts, map[string]float64{"127.1": 0.9, "127.2": 0.1}, 0.03)
	})
}
