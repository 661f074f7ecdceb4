// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/model"
)

func built(t *testing.T, cfg *model.Config) *Structure {
	t.Helper()
	b := newBuilder(cfg, nil, Options{Dir: "/var/lib/fairlead", Version: Version{3, 2}})
	b.backends()
	return b.structure
}

func brief(servers []Server) string {
	var out []string
	for _, s := range servers {
		out = append(out, fmt.Sprintf("%s=%d %s", s.Name, s.Weight, s.State))
	}
	return strings.Join(out, ", ")
}

func TestServers(t *testing.T) {
	drained := address("10.0.0.2", 80, 1)
	drained.Drain = true
	weightless := service("a", 0)
	draining := service("a", 5)
	draining.Drain = true
	serves := func(address string, port int32) Endpoint {
		return Endpoint{Address: address, Port: port, Serving: true}
	}
	ends := Endpoint{Address: "10.1.0.1", Port: 80, Serving: true, Draining: true}
	for name, c := range map[string]struct {
		members   []model.Member
		endpoints []Endpoint
		drain     model.Drain
		want      string
	}{
		"no endpoints":         {members: []model.Member{service("a", 1)}},
		"equal endpoints":      {members: []model.Member{service("a", 1000)}, endpoints: []Endpoint{serves("10.1.0.2", 81), serves("10.1.0.1", 80)}, want: "10.1.0.1_80=64 ready, 10.1.0.2_81=64 ready"},
		"weight 0":             {members: []model.Member{weightless}, endpoints: []Endpoint{serves("10.1.0.1", 80)}, want: "10.1.0.1_80=0 ready"},
		"member drains":        {members: []model.Member{draining}, endpoints: []Endpoint{serves("10.1.0.1", 80)}, want: "10.1.0.1_80=64 drain"},
		"endpoint drains":      {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{ends}, want: "10.1.0.1_80=64 drain"},
		"twice, one drains":    {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{ends, serves("10.1.0.1", 80), ends}, want: "10.1.0.1_80=64 ready"},
		"does not serve":       {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{{Address: "10.1.0.1", Port: 80, Draining: true}}},
		"IPv6, one way":        {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{serves("2001:DB8:0:0::1", 80)}, want: "2001:db8::1_80=64 ready"},
		"no address":           {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{serves("a b", 80), serves("fe80::1%eth0", 80), serves("10.1.0.1", 0)}},
		"drained node":         {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{{Address: "10.1.0.1", Port: 80, Serving: true, Node: "n"}}, drain: model.Drain{Nodes: []string{"n"}}, want: "10.1.0.1_80=64 drain"},
		"drained address":      {members: []model.Member{service("a", 1)}, endpoints: []Endpoint{serves("2001:db8::1", 80)}, drain: model.Drain{Addresses: []string{"2001:db8:0::1"}}, want: "2001:db8::1_80=64 drain"},
		"addresses":            {members: []model.Member{address("10.0.0.1", 80, 3), drained, address("10.0.0.3", 80, 0)}, want: "10.0.0.1_80=63 ready, 10.0.0.2_80=21 drain, 10.0.0.3_80=0 ready"},
		"address twice":        {members: []model.Member{address("10.0.0.1", 80, 1), address("10.0.0.1", 80, 1), address("10.0.0.2", 80, 1)}, want: "10.0.0.1_80=64 ready, 10.0.0.2_80=32 ready"},
		"large weights":        {members: []model.Member{address("10.0.0.1", 80, 900_000), address("10.0.0.2", 80, 100_000)}, want: "10.0.0.1_80=256 ready, 10.0.0.2_80=28 ready"},
		"HAProxy's own limits": {members: []model.Member{address("10.0.0.1", 80, 256), address("10.0.0.2", 80, 1)}, want: "10.0.0.1_80=256 ready, 10.0.0.2_80=1 ready"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config1(pool("web", c.members...))
			cfg.Drain = c.drain
			s := built(t, cfg)
			if len(s.Backends) != 1 {
				t.Fatalf("%d backends", len(s.Backends))
			}
			if got := brief(s.Servers(Endpoints{*serviceRef("a"): c.endpoints})["pool.web"]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestServersOf are those of the backends that use a service, and equal to what Servers says of them.
func TestServersOf(t *testing.T) {
	s := built(t, config1(pool("one", service("a", 1)), pool("two", service("a", 1), service("b", 1)), pool("three", address("10.0.0.1", 80, 1))))
	endpoints := Endpoints{*serviceRef("a"): serving(1, 3, 80), *serviceRef("b"): serving(2, 3, 80)}
	all := s.Servers(endpoints)
	got := s.ServersOf(map[model.ServiceRef]bool{*serviceRef("a"): true}, endpoints)
	if len(all) != 4 || len(got) != 2 {
		t.Fatalf("%d of %d backends", len(got), len(all))
	}
	for _, name := range []string{"pool.one", "pool.two.a"} {
		if brief(got[name]) != brief(all[name]) || len(got[name]) != 3 {
			t.Errorf("%s: %s", name, brief(got[name]))
		}
	}
}

// TestIDs: ids are distinct within what HAProxy's hashes can tell apart, and made of names alone.
func TestIDs(t *testing.T) {
	s := built(t, config1(pool("web", service("a", 1))))
	var many []Endpoint
	at := netip.MustParseAddr("10.0.0.0")
	for range 5000 {
		at = at.Next()
		many = append(many, Endpoint{Address: at.String(), Port: 8080, Serving: true})
	}
	ids := map[string]string{}
	for _, server := range s.Servers(Endpoints{*serviceRef("a"): many})["pool.web"] {
		if server.Params[0] != "id" || ids[server.Params[1]] != "" {
			t.Fatalf("%s has params %v, as %s", server.Name, server.Params, ids[server.Params[1]])
		}
		ids[server.Params[1]] = server.Name
	}
	moved := 0
	for i := range 100 {
		for _, server := range s.Servers(Endpoints{*serviceRef("a"): many[i : i+1]})["pool.web"] {
			if ids[server.Params[1]] != server.Name {
				moved++
			}
		}
	}
	if moved > 2 {
		t.Errorf("%d of 100 ids depend on what stands beside", moved)
	}
}

func TestGroups(t *testing.T) {
	spare := service("spare", 1)
	spare.Priority = -1
	spareAddress := address("10.0.0.9", 80, 1)
	spareAddress.Priority = -1
	other := service("web", 1)
	other.Service.Namespace = "other"
	for name, c := range map[string]struct {
		members []model.Member
		want    []string
	}{
		"none":                {nil, []string{"pool.p"}},
		"one service":         {[]model.Member{service("web", 5)}, []string{"pool.p"}},
		"addresses share one": {[]model.Member{address("10.0.0.1", 80, 1), address("10.0.0.2", 80, 9)}, []string{"pool.p"}},
		"services and addresses": {
			[]model.Member{service("web", 90), address("10.0.0.1", 80, 5), service("canary", 10), address("10.0.0.2", 80, 5)},
			[]string{"pool.p.web", "pool.p.addresses", "pool.p.canary"},
		},
		"priorities":       {[]model.Member{service("web", 1), spare, address("10.0.0.1", 80, 1)}, []string{"pool.p.web", "pool.p.spare", "pool.p.addresses"}},
		"spare addresses":  {[]model.Member{address("10.0.0.1", 80, 1), spareAddress}, []string{"pool.p.addresses-9ee9c5b5", "pool.p.addresses-2cc42bcc"}},
		"one name twice":   {[]model.Member{service("web", 1), other}, []string{"pool.p.web-12", "pool.p.web-"}},
		"far apart shares": {append(manyAddresses(100), address("10.9.9.9", 80, 1_000_000)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := built(t, config1(pool("p", c.members...)))
			var got []string
			for _, backend := range s.Backends {
				got = append(got, backend.Name)
			}
			if c.want == nil {
				if len(got) != len(c.members) {
					t.Errorf("%d backends, want one for each of %d members", len(got), len(c.members))
				}
				return
			}
			same := slices.EqualFunc(got, c.want, func(got, want string) bool {
				return got == want || strings.Contains(want, "-") && strings.HasPrefix(got, want[:strings.Index(want, "-")+1])
			})
			if !same {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
				t.Errorf("names are not distinct: %v", got)
			}
		})
	}
}

func manyAddresses(n int) []model.Member {
	var out []model.Member
	for i := range n {
		out = append(out, address(fmt.Sprintf("10.0.1.%d", i+1), 80, 1))
	}
	return out
}

// TestWhatNeedsNoReload: endpoints are not in the structure, and weights and drains change servers and maps only.
func TestWhatNeedsNoReload(t *testing.T) {
	cfg := func() *model.Config {
		return config1(pool("web", service("a", 90), service("b", 10), address("10.0.0.1", 80, 1), address("10.0.0.2", 80, 1)))
	}
	want := built(t, cfg()).Hash()
	for name, change := range map[string]func(*model.Config){
		"weights":          func(c *model.Config) { c.Pools[0].Members[0].Weight, c.Pools[0].Members[3].Weight = 1, 7 },
		"weight 0":         func(c *model.Config) { c.Pools[0].Members[0].Weight = 0 },
		"member drains":    func(c *model.Config) { c.Pools[0].Members[0].Drain, c.Pools[0].Members[2].Drain = true, true },
		"address drains":   func(c *model.Config) { c.Drain.Addresses = []string{"10.0.0.1", "10.0.0.2"} },
		"node drains":      func(c *model.Config) { c.Drain.Nodes = []string{"n"} },
		"another address":  func(c *model.Config) { c.Pools[0].Members = append(c.Pools[0].Members, address("10.0.0.3", 80, 1)) },
		"one address less": func(c *model.Config) { c.Pools[0].Members = c.Pools[0].Members[:3] },
		"plain route": func(c *model.Config) {
			c.Routes = append(c.Routes, model.Route{Name: "r", Listeners: []string{"http"}, Action: model.Action{Pools: []model.WeightedPool{{Pool: "web", Weight: 1}}}})
		},
	} {
		changed := cfg()
		change(changed)
		if built(t, changed).Hash() != want {
			t.Errorf("%s: needs a reload", name)
		}
	}
	more := cfg()
	more.Pools[0].Members = append(more.Pools[0].Members, service("c", 1))
	if built(t, more).Hash() == want {
		t.Error("another Service needs no reload?")
	}
}
