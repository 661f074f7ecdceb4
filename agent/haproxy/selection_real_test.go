// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// tally counts the answers of n requests by their bodies' beginnings.
func (r *rig) tally(n int, target, path string, width int, header ...string) map[string]int {
	r.t.Helper()
	const workers = 8
	counts := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for range n / workers {
				got, err := r.ask(transport, r.url, target, path, header...)
				mu.Lock()
				switch {
				case err != nil:
					counts[err.Error()]++
				case got.status != http.StatusOK:
					counts[fmt.Sprint(got.status)]++
				default:
					counts[strings.Join(strings.Split(got.body, ".")[:width], ".")]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return counts
}

func near(t *testing.T, counts map[string]int, want map[string]float64, within float64) {
	t.Helper()
	total := 0
	for _, n := range counts {
		total += n
	}
	for key := range counts {
		if _, ok := want[key]; !ok {
			t.Errorf("%d answers of %q", counts[key], key)
		}
	}
	for key, share := range want {
		if got := float64(counts[key]) / float64(total); math.Abs(got-share) > within {
			t.Errorf("%s got %.4f of the requests, want %.4f ± %g", key, got, share, within)
		}
	}
}

// TestSplitIsExact: shares do not depend on how many endpoints there are, and change without a reload.
func TestSplitIsExact(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		cfg := config1(pool("web", service("few", 90), service("many", 10)))
		endpoints := Endpoints{*serviceRef("few"): serving(1, 1, port), *serviceRef("many"): serving(2, 200, port)}
		r := start(t, v, cfg, rigOptions{endpoints: endpoints})
		const requests = 20000
		near(t, r.tally(requests, "web", "/", 2), map[string]float64{"127.1": 0.9, "127.2": 0.1}, 0.01)

		changed := newBuilder(config1(pool("web", service("few", 25), service("many", 75))), nil, options(v, r.dir))
		changed.backends()
		changed.structure.front = r.structure.front
		if changed.structure.Hash() != r.structure.Hash() {
			t.Error("other weights need a reload")
		}
		if err := r.admin.ReplaceMap(t.Context(), changed.splitsPath(), changed.structure.Maps[changed.splitsPath()]); err != nil {
			t.Fatal(err)
		}
		near(t, r.tally(requests, "web", "/", 2), map[string]float64{"127.1": 0.25, "127.2": 0.75}, 0.015)
	})
}

// TestGroupWithoutServersGetsNothing while others have some, whatever the weights.
func TestGroupWithoutServersGetsNothing(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		cfg := config1(pool("web", service("a", 1_000_000), service("b", 3), service("c", 1), service("none", 50)))
		endpoints := Endpoints{*serviceRef("a"): serving(1, 2, port), *serviceRef("b"): serving(2, 1, port), *serviceRef("c"): serving(3, 1, port)}
		r := start(t, v, cfg, rigOptions{endpoints: endpoints})
		near(t, r.tally(400, "web", "/", 2), map[string]float64{"127.1": 1, "127.2": 0, "127.3": 0}, 0.05)
		for i, state := range []socket.State{socket.Drain, socket.Maint} {
			r.do(socket.SetState("pool.web.a", fmt.Sprintf("127.1.0.%d_%d", i+1, port), state))
		}
		counts := r.tally(400, "web", "/", 2)
		if counts["127.2"]+counts["127.3"] != 400 || counts["127.2"] == 0 {
			t.Errorf("got %v, want all at b and c", counts)
		}
		r.do(socket.SetState("pool.web.b", fmt.Sprintf("127.2.0.1_%d", port), socket.Maint))
		r.do(socket.SetState("pool.web.c", fmt.Sprintf("127.3.0.1_%d", port), socket.Maint))
		if got := r.request("web", "/"); got.status != http.StatusServiceUnavailable {
			t.Errorf("all are down: got %d, want 503", got.status)
		}
	})
}

// TestPriorities: members of a lower priority are used while fewer than MinActive of the higher are up.
func TestPriorities(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		first, second, third := service("a", 1), service("b", 1), address("127.3.0.1", port, 1)
		first.Priority, second.Priority, third.Priority = 10, 5, 1
		p := pool("web", first, third, second)
		p.MinActive = 2
		r := start(t, v, config1(p), rigOptions{endpoints: Endpoints{
			*serviceRef("a"): serving(1, 3, port), *serviceRef("b"): serving(2, 1, port),
		}})
		set := func(net, i int, state socket.State) {
			t.Helper()
			r.do(socket.SetState(fmt.Sprintf("pool.web.%s", []string{"", "a", "b", "addresses"}[net]), fmt.Sprintf("127.%d.0.%d_%d", net, i, port), state))
		}
		only := func(what string, want ...string) {
			t.Helper()
			counts := r.tally(160, "web", "/", 2)
			for _, one := range want {
				if counts[one] < 20 {
					t.Errorf("%s: got %v, want some at %s", what, counts, one)
				}
				delete(counts, one)
			}
			if len(counts) > 0 {
				t.Errorf("%s: also %v", what, counts)
			}
		}
		only("3 of the highest", "127.1")
		set(1, 1, socket.Maint)
		only("2 of the highest", "127.1")
		set(1, 2, socket.Drain)
		only("1 of the highest", "127.1", "127.2")
		set(1, 3, socket.Maint)
		only("none of the highest", "127.2", "127.3")
		set(2, 1, socket.Maint)
		only("the lowest alone", "127.3")
		set(1, 1, socket.Ready)
		set(1, 2, socket.Ready)
		only("the highest are back", "127.1")
	})
}

// TestHashesAcrossGroups: equal clients, paths and headers get equal members, and all of them shares by weight.
func TestHashesAcrossGroups(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		var pools []model.Pool
		for name, algorithm := range map[string]model.Algorithm{"source": model.SourceHash, "uri": model.URIHash, "header": model.HeaderHash} {
			p := pool(name, service("a", 70), service("b", 30))
			p.Algorithm, p.HashHeader = algorithm, "X-User"
			pools = append(pools, p)
		}
		r := start(t, v, config1(pools...), rigOptions{endpoints: Endpoints{
			*serviceRef("a"): serving(1, 5, port), *serviceRef("b"): serving(2, 20, port),
		}})
		const keys = 600
		for _, p := range pools {
			counts := map[string]int{}
			servers := map[string]int{}
			for i := range keys {
				source, path, user := "198.51.100.7", "/same?n="+fmt.Sprint(i), "same"
				switch p.Name {
				case "source":
					source = fmt.Sprintf("198.51.%d.%d", i/250, i%250)
				case "uri":
					path = fmt.Sprintf("/p/%d", i)
				case "header":
					user = fmt.Sprint("user-", i)
				}
				got := r.from(source, p.Name, path, "X-User", user)
				if again := r.from(source, p.Name, path+"?again", "X-User", user); i%20 == 0 && again.body != got.body {
					t.Errorf("%s: key %d got %s, then %s", p.Name, i, got.body, again.body)
				}
				counts[strings.Join(strings.Split(got.body, ".")[:2], ".")]++
				servers[got.body]++
			}
			near(t, counts, map[string]float64{"127.1": 0.7, "127.2": 0.3}, 0.08)
			if len(servers) != 25 {
				t.Errorf("%s: %d of 25 members got requests: %v", p.Name, len(servers), servers)
			}
		}
	})
}
