// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// TestSplitOfRoute: pools get their parts of a route's requests, and one of weight 0 gets none.
func TestSplitOfRoute(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		const requests = 2000
		s := run(t, v, web([]model.Pool{poolOf("most", member(t, "most")), poolOf("few", member(t, "few")), poolOf("none", member(t, "none"))},
			model.Route{Name: "split", Action: model.Action{Pools: []model.WeightedPool{{Pool: "most", Weight: 900}, {Pool: "none"}, {Pool: "few", Weight: 100}}}}), nil)
		got := map[string]int{}
		for range requests {
			got[s.ask(get("http://any.test/")).member.Member]++
		}
		// Five times the deviation that chance has.
		if bound := 5 * math.Sqrt(requests*0.9*0.1); math.Abs(float64(got["few"])-requests*0.1) > bound || got["none"] > 0 {
			t.Errorf("of %d requests: %v", requests, got)
		}
	})
}

// TestTimeoutsOfRoute: a route's timeout holds in the place of its pool's.
func TestTimeoutsOfRoute(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		s := run(t, v, web([]model.Pool{poolOf("slow", slowMember(t))},
			model.Route{Name: "short", Hostnames: []string{"short.test"}, Timeouts: model.RouteTimeouts{Response: model.Duration(100 * time.Millisecond)}, Action: to("slow")},
			model.Route{Name: "long", Action: to("slow")}), nil)
		if got := s.ask(get("http://short.test/")); got.status != http.StatusGatewayTimeout {
			t.Errorf("short: %d, want 504", got.status)
		}
		if got := s.ask(get("http://long.test/")); got.status != http.StatusOK {
			t.Errorf("long: %d, want 200", got.status)
		}
	})
}

// TestWithout: what HAProxy does not take is left out with its name, and what is beside it works. A route's own requests
// are refused then, and do not come to another route.
func TestWithout(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := web([]model.Pool{poolOf("web", member(t, "web")), poolOf("bad", member(t, "bad"))},
			model.Route{Name: "all", Action: to("web")},
			model.Route{Name: "pattern", Hostnames: []string{"a.test"}, Matches: []model.Match{path(model.PathRegex, "*a"), path(model.PathPrefix, "/admin")}, Action: to("web")},
			model.Route{Name: "poolless", Hostnames: []string{"b.test"}, Action: to("bad")})
		cfg.Listeners[0].Port, cfg.Listeners[0].BindPort = 80, freePorts(t, 1)[0]
		options := haproxy.Options{Dir: v.Dir(t), Version: release(v), IPv4Only: true}
		s, err := haproxy.Build(cfg, nil, options)
		if err != nil {
			t.Fatal(err)
		}
		if out, ok := v.Check(t, store(t, s, options.Dir)); ok {
			t.Fatalf("HAProxy takes the expression: %s", out)
		}
		ports := freePorts(t, 2)
		options.HealthPort, options.PeersPort = ports[0], ports[1]
		options.Without = map[string]bool{"routes[pattern]": true, "pools[bad]": true}
		if s, err = haproxy.Build(cfg, nil, options); err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, refusal := range s.Refusals {
			fields = append(fields, refusal.Field)
		}
		if want := []string{"routes[pattern]", "pools[bad]"}; !slices.Equal(fields, want) {
			t.Errorf("refused %v, want %v", fields, want)
		}
		file := store(t, s, options.Dir)
		mustCheck(t, v, file)
		running := &site{t: t, cfg: cfg, structure: s, process: v.Start(t, file)}
		for url, want := range map[string]int{"http://c.test/": 200, "http://a.test/": 200, "http://a.test/admin/x": 503, "http://b.test/": 503} {
			if got := running.ask(get(url)); got.status != want {
				t.Errorf("%s: %d, want %d", url, got.status, want)
			}
		}
	})
}

// TestRateLimitOfReplicas: what one replica lets through counts in the other.
func TestRateLimitOfReplicas(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		const limit = 10
		port := freePorts(t, 1)[0]
		var replicas []*site
		for i := range 2 {
			cfg := web([]model.Pool{poolOf("web", member(t, "web"))}, model.Route{Name: "all", Action: to("web"),
				RateLimit: &model.RateLimit{Key: model.RateByHeader, Header: "X-Key", Requests: limit, Per: model.Duration(time.Hour)}})
			ports := freePorts(t, 2)
			cfg.Listeners[0].Port, cfg.Listeners[0].BindPort = 80, ports[0]
			// Replicas have one port and many addresses.
			options := haproxy.Options{Dir: v.Dir(t), Version: release(v), IPv4Only: true, HealthPort: ports[1], PeersPort: port, Self: fmt.Sprintf("shop-%d", i),
				Peers: []haproxy.Peer{{Name: "shop-0", Address: "127.0.0.1"}, {Name: "shop-1", Address: "127.0.0.2"}}}
			s, err := haproxy.Build(cfg, nil, options)
			if err != nil {
				t.Fatal(err)
			}
			file := store(t, s, options.Dir)
			mustCheck(t, v, file)
			replicas = append(replicas, &site{t: t, cfg: cfg, structure: s, process: v.Start(t, file)})
		}
		// A key alone: once its count is known to the other, that one refuses the first request of it.
		deadline := time.Now().Add(patience)
		for round := 0; ; round++ {
			key := fmt.Sprint("key-", round)
			for i := range limit {
				if got := replicas[0].ask(get("http://any.test/", "X-Key", key)); got.status != http.StatusOK {
					t.Fatalf("request %d of %d: %d", i+1, limit, got.status)
				}
			}
			refused := false
			for asked := 0; asked < limit && !refused; asked++ {
				refused = replicas[1].ask(get("http://any.test/", "X-Key", key)).status == http.StatusTooManyRequests
			}
			if refused {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("after %s, the other replica still lets %d more requests through", patience, limit)
			}
		}
	})
}

// slowMember answers after half a second.
func slowMember(t *testing.T) model.Member {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-req.Context().Done():
		}
		w.WriteHeader(http.StatusOK)
	}))
}
