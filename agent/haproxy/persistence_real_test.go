// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// cookies gives the Cookie header of a client that was answered so.
func (a answer) cookies() string {
	var out []string
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		out = append(out, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(out, "; ")
}

func persistent(p model.Pool, how model.Persistence) model.Pool {
	p.Persistence = &how
	return p
}

// TestPersistence: a client comes back to its member, whatever weights become and while it drains, but not when it is gone.
func TestPersistence(t *testing.T) {
	for name, how := range map[string]model.Persistence{
		"cookie":              {Type: model.PersistCookie, Name: "SRV"},
		"cookie with timeout": {Type: model.PersistCookie, Name: "SRV", Timeout: model.Duration(3600e9)},
		"source":              {Type: model.PersistSource, Timeout: model.Duration(3600e9)},
		"header":              {Type: model.PersistHeader, Name: "X-Session", Timeout: model.Duration(3600e9)},
	} {
		t.Run(name, func(t *testing.T) {
			haproxy.Each(t, func(t *testing.T, v haproxy.Version) { testPersistence(t, v, how) })
		})
	}
}

func testPersistence(t *testing.T, v haproxy.Version, how model.Persistence) {
	port := members(t)
	endpoints := Endpoints{*serviceRef("a"): serving(1, 4, port), *serviceRef("b"): serving(2, 4, port)}
	r := start(t, v, config1(
		persistent(pool("one", service("a", 1)), how),
		persistent(pool("two", service("a", 50), service("b", 50)), how),
	), rigOptions{endpoints: endpoints})
	for _, target := range []string{"one", "two"} {
		jars := map[int]string{}
		ask := func(client int) answer {
			header := []string{"X-Session", fmt.Sprint("s-", client)}
			if jars[client] != "" {
				header = append(header, "Cookie", jars[client])
			}
			got := r.from(fmt.Sprintf("198.51.100.%d", client+1), target, "/", header...)
			if got.status != http.StatusOK {
				t.Fatalf("%s: status %d", target, got.status)
			}
			if how.Type == model.PersistCookie && jars[client] == "" {
				jars[client] = got.cookies()
			}
			return got
		}
		first := map[int]string{}
		distinct := map[string]bool{}
		const clients = 24
		for client := range clients {
			first[client] = ask(client).body
			distinct[first[client]] = true
		}
		if len(distinct) < 3 {
			t.Errorf("%s: %d clients share %d members", target, clients, len(distinct))
		}
		stay := func(what string) {
			t.Helper()
			for client := range clients {
				if got := ask(client).body; got != first[client] {
					t.Errorf("%s: client %d was at %s, and came to %s when %s", target, client, first[client], got, what)
				}
			}
		}
		stay("nothing changed")
		if target == "two" {
			entries := splitEntries("two", []share{{1, "pool.two.a"}, {0, "pool.two.b"}})
			if err := r.admin.ReplaceMap(t.Context(), r.structure.splitsFile(), entries); err != nil {
				t.Fatal(err)
			}
			stay("weights changed")
		}
		for backend, servers := range r.structure.Servers(endpoints) {
			for _, server := range servers {
				if strings.HasPrefix(backend, "pool."+target) && server.Name != fmt.Sprintf("127.1.0.1_%d", port) {
					r.do(socket.SetState(backend, server.Name, socket.Drain))
				}
			}
		}
		stay("all others drain")
		backend, server := "", ""
		for name, servers := range r.structure.Servers(endpoints) {
			for _, one := range servers {
				if strings.HasPrefix(name, "pool."+target) && one.Address == first[0] {
					backend, server = name, one.Name
				}
			}
		}
		for _, one := range r.structure.Servers(endpoints)[backend] {
			r.do(socket.SetState(backend, one.Name, socket.Ready))
		}
		r.do(socket.SetState(backend, server, socket.Maint))
		if got := ask(0).body; got == first[0] {
			t.Errorf("%s: client 0 came to %s, which is in maintenance", target, got)
		}
		for backend, servers := range r.structure.Servers(endpoints) {
			for _, server := range servers {
				r.do(socket.SetState(backend, server.Name, socket.Ready))
			}
		}
	}
}

func (s *Structure) splitsFile() string {
	for path := range s.Maps {
		if strings.HasSuffix(path, "/"+splitsMap) {
			return path
		}
	}
	return ""
}

// TestPersistenceCookieAttributes: the cookies live as long as asked, are hidden from scripts, and keep caches away.
func TestPersistenceCookieAttributes(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		r := start(t, v, config1(
			persistent(pool("session", service("a", 1), service("b", 1)), model.Persistence{Type: model.PersistCookie, Name: "SRV"}),
			persistent(pool("hour", service("a", 1), service("b", 1)), model.Persistence{Type: model.PersistCookie, Name: "SRV", Timeout: model.Duration(3600e9)}),
		), rigOptions{endpoints: Endpoints{*serviceRef("a"): serving(1, 1, port), *serviceRef("b"): serving(2, 1, port)}})
		for target, age := range map[string]int{"session": 0, "hour": 3600} {
			got := r.request(target, "/")
			cookies := (&http.Response{Header: got.header}).Cookies()
			if len(cookies) != 2 {
				t.Fatalf("%s: cookies %v, want two", target, cookies)
			}
			for _, cookie := range cookies {
				if cookie.MaxAge != age || !cookie.HttpOnly || cookie.Path != "/" {
					t.Errorf("%s: %s", target, cookie.Raw)
				}
			}
			if !strings.Contains(strings.Join(got.header.Values("Cache-Control"), ","), "private") {
				t.Errorf("%s: Cache-Control %q", target, got.header["Cache-Control"])
			}
			again := r.request(target, "/", "Cookie", got.cookies())
			if n := len((&http.Response{Header: again.header}).Cookies()); target == "session" && n != 0 {
				t.Errorf("a client with both cookies got %d more", n)
			}
		}
	})
}

// TestPersistenceOfStreams ties the connections of an address to one member, across groups.
func TestPersistenceOfStreams(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		p := persistent(pool("web", service("a", 50), service("b", 50)), model.Persistence{Type: model.PersistSource, Timeout: model.Duration(60e9)})
		cfg := config1(p)
		cfg.Listeners = []model.Listener{{Name: "tcp", Protocol: model.TCP, Pool: "web"}, {Name: "http", Protocol: model.HTTP, Pool: "web"}}
		r := start(t, v, cfg, rigOptions{stream: "web", endpoints: Endpoints{*serviceRef("a"): serving(1, 3, port), *serviceRef("b"): serving(2, 3, port)}})
		got := map[string]int{}
		for i := range 60 {
			source := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 0, byte(i%6+1))}}
			transport := &http.Transport{DialContext: source.DialContext, DisableKeepAlives: true}
			reply, err := r.ask(transport, "http://"+r.stream, "", "/")
			if err != nil || reply.status != http.StatusOK {
				t.Fatal(reply.status, err)
			}
			got[fmt.Sprint(i%6, " ", reply.body)]++
		}
		if len(got) != 6 {
			t.Errorf("6 clients came to more than a member each: %v", got)
		}
		near(t, r.tally(800, "web", "/", 1), map[string]float64{"127": 1}, 0)
	})
}

// TestCookieOfServerAtRunTime: who comes to a server that was added at run time comes back to it, and still after a
// restart that reads it from the file.
func TestCookieOfServerAtRunTime(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		p := persistent(pool("web", service("a", 1)), model.Persistence{Type: model.PersistCookie, Name: "SRV"})
		all := serving(1, 3, port)
		whole := Endpoints{*serviceRef("a"): all}
		r := start(t, v, config1(p), rigOptions{endpoints: Endpoints{*serviceRef("a"): all[:1]}})
		if !r.structure.Backends[0].DynamicCookie {
			t.Fatal("the backend does not say that its servers need cookies")
		}
		for _, server := range r.structure.Servers(whole)["pool.web"][1:] {
			r.do(socket.AddServer("pool.web", server.Name, net.JoinHostPort(server.Address, fmt.Sprint(port)), append(server.Params, "weight", fmt.Sprint(server.Weight))...),
				socket.SetState("pool.web", server.Name, socket.Ready))
		}
		r.do(socket.EnableDynamicCookie("pool.web"))
		fresh := start(t, v, config1(p), rigOptions{endpoints: whole})
		seen := map[string]bool{}
		for range 12 {
			first := r.request("web", "/")
			seen[first.body] = true
			for _, one := range []*rig{r, fresh} {
				for range 4 {
					if again := one.request("web", "/", "Cookie", first.cookies()); again.body != first.body {
						t.Errorf("from %s to %s with %q", first.body, again.body, first.cookies())
					}
				}
			}
		}
		if len(seen) != 3 {
			t.Errorf("members %v got requests, want 3", seen)
		}
	})
}

// TestTablesOutliveReload: what ties clients by their address is taught to the next process. Debian's HAProxy 2.6.12 does
// not do that: its old process never connects to the new one, whatever the config says.
func TestTablesOutliveReload(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		if v.Name == "2.6" {
			t.Skip("HAProxy 2.6.12 forgets its tables at a reload")
		}
		port := members(t)
		how := model.Persistence{Type: model.PersistSource, Timeout: model.Duration(3600e9)}
		endpoints := Endpoints{*serviceRef("a"): serving(1, 5, port), *serviceRef("b"): serving(2, 5, port)}
		r := start(t, v, config1(persistent(pool("web", service("a", 50), service("b", 50)), how)), rigOptions{endpoints: endpoints})
		const clients = 30
		first := map[int]string{}
		for client := range clients {
			first[client] = r.from(fmt.Sprintf("198.51.100.%d", client+1), "web", "/").body
		}
		before, err := r.admin.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		entries := func() error {
			table, err := r.admin.Table(t.Context(), "groups.web")
			if err == nil && len(table.Entries) < clients {
				err = fmt.Errorf("the table has %d entries", len(table.Entries))
			}
			return err
		}
		eventually(t, func() error {
			info, err := r.admin.Info(t.Context())
			if err == nil && info.PID == before.PID {
				err = fmt.Errorf("the old worker answers")
			}
			return err
		})
		eventually(t, entries)
		for client := range clients {
			if got := r.from(fmt.Sprintf("198.51.100.%d", client+1), "web", "/").body; got != first[client] {
				t.Errorf("client %d was at %s, and came to %s after a reload", client, first[client], got)
			}
		}
	})
}
