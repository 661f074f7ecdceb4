// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// everything gives pools that together have every param that servers can get.
func everything(ca *authority, port, tlsPort int32) []model.Pool {
	full := func(name string, change func(*model.Pool)) model.Pool {
		p := pool(name, service("web", 1))
		p.Monitor = &model.Monitor{
			Type: model.MonitorHTTP, Path: "/", Interval: model.Duration(100 * time.Millisecond), Timeout: model.Duration(time.Second), Healthy: 1, Unhealthy: 2,
		}
		change(&p)
		return p
	}
	out := []model.Pool{
		full("limits", func(p *model.Pool) {
			p.MaxConnections, p.MaxQueue, p.QueueTimeout, p.SlowStart = 10, 5, model.Duration(time.Second), model.Duration(2*time.Second)
			p.Passive = &model.PassiveCheck{Errors: 3}
			p.Persistence = &model.Persistence{Type: model.PersistCookie, Name: "SRV"}
		}),
		full("h2", func(p *model.Pool) {
			p.Protocol, p.Algorithm = model.MemberHTTP2, model.LeastConnections
			p.Passive = &model.PassiveCheck{Errors: 3, Connections: true}
		}),
		full("tls", func(p *model.Pool) {
			p.Members = []model.Member{service("secure", 1)}
			p.TLS, p.Algorithm = ca.memberTLS(), model.Random
			p.TLS.Certificate = &model.SecretRef{Namespace: "shop", Name: "client"}
		}),
		full("tls-h2", func(p *model.Pool) {
			p.Members = []model.Member{service("secure", 1)}
			p.TLS, p.Protocol, p.Algorithm = &model.MemberTLS{Insecure: true}, model.MemberHTTP2, model.URIHash
		}),
		full("tls-system", func(p *model.Pool) {
			p.Members = []model.Member{service("secure", 1)}
			p.TLS, p.Algorithm, p.HashHeader = &model.MemberTLS{}, model.HeaderHash, "X-User"
			p.Monitor.Type = model.MonitorTCP
		}),
		full("passthrough", func(p *model.Pool) {
			p.Members = []model.Member{service("secure", 1)}
			p.Algorithm, p.Monitor.Type = model.SourceHash, model.MonitorTLS
		}),
		full("other-port", func(p *model.Pool) { p.Monitor.Port = tlsPort; p.Monitor.Type = model.MonitorTCP }),
	}
	_ = port
	return out
}

// TestServersAtRunTime: a server that is added while HAProxy runs is the one that its config file would have, in every
// kind of pool, also where none was there at the start.
func TestServersAtRunTime(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		ca := newAuthority(t)
		chain, key := ca.issue(t, "balancer")
		secrets := Secrets{
			{Namespace: "shop", Name: "ca"}:     {keyAuthorities: ca.pem},
			{Namespace: "shop", Name: "client"}: {keyCertificate: chain, keyPrivate: key},
		}
		port, secure := serveHTTP(t, func(w http.ResponseWriter, req *http.Request) { _, _ = fmt.Fprint(w, localAddress(req)) }, nil), serveHTTP(t, tellTLS, ca.serverConfig(t))
		r := start(t, v, config1(everything(ca, port, secure)...), rigOptions{secrets: secrets})
		after := Endpoints{
			*serviceRef("web"):    {{Address: wellAddress, Port: port, Serving: true}, {Address: "::1", Port: port, Serving: true}},
			*serviceRef("secure"): {{Address: wellAddress, Port: secure, Serving: true}},
		}
		added := 0
		for _, backend := range r.structure.Backends {
			for _, server := range r.structure.Servers(after)[backend.Name] {
				to := net.JoinHostPort(server.Address, strconv.Itoa(int(server.Port)))
				r.do(
					socket.AddServer(backend.Name, server.Name, to, append(slices.Clone(server.Params), "weight", strconv.Itoa(server.Weight))...),
					socket.EnableHealth(backend.Name, server.Name),
					socket.SetState(backend.Name, server.Name, server.State),
				)
				added++
			}
		}
		if added != 10 {
			t.Fatalf("added %d servers", added)
		}
		fromFile := start(t, v, config1(everything(ca, port, secure)...), rigOptions{secrets: secrets, endpoints: after})
		for _, one := range []*rig{r, fromFile} {
			for target, want := range map[string]string{
				"limits": wellAddress, "h2": wellAddress, "other-port": wellAddress,
				"tls": `HTTP/1.1 sni="member.example.com" client=-`, "tls-h2": `HTTP/2.0 sni="127.0.0.1" client=-`, "tls-system": "503",
			} {
				eventually(t, func() error {
					got := one.request(target, "/")
					if got.status != http.StatusOK {
						got.body = fmt.Sprint(got.status)
					}
					if got.body != want {
						return fmt.Errorf("%s answered %s, want %s", target, got.body, want)
					}
					return nil
				})
			}
		}
		eventually(t, func() error { return r.sameServers(fromFile) })
	})
}

// sameServers compares what HAProxy says of all servers.
func (r *rig) sameServers(other *rig) error {
	type facts struct {
		Backend, Name, Addr                     string
		ID, Port, Weight, Operation, CheckState int
		TLS                                     bool
	}
	var states [2][]facts
	for i, one := range []*rig{r, other} {
		servers, err := one.admin.ServersState(r.t.Context())
		if err != nil {
			return err
		}
		for _, s := range servers {
			states[i] = append(states[i], facts{s.Backend, s.Name, s.Addr, s.ID, s.Port, s.Weight, int(s.Operation), s.CheckState &^ socket.CheckInProgress, s.TLS})
		}
		slices.SortFunc(states[i], func(a, b facts) int { return slices.Compare([]string{a.Backend, a.Name}, []string{b.Backend, b.Name}) })
	}
	if !slices.Equal(states[0], states[1]) {
		return fmt.Errorf("at run time: %+v\nfrom the file: %+v", states[0], states[1])
	}
	return nil
}

// TestHashesStayInPlace: after servers came at run time in another order, each client still has the member that a HAProxy
// has for it that read them from its file.
func TestHashesStayInPlace(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		port := members(t)
		p := pool("web", service("a", 1))
		p.Algorithm = model.URIHash
		all := serving(1, 40, port)
		half := Endpoints{*serviceRef("a"): all[20:]}
		whole := Endpoints{*serviceRef("a"): all}
		r, fresh := start(t, v, config1(p), rigOptions{endpoints: half}), start(t, v, config1(p), rigOptions{endpoints: whole})
		before := map[int]string{}
		const keys = 300
		for key := range keys {
			before[key] = r.request("web", fmt.Sprint("/", key)).body
		}
		servers := r.structure.Servers(whole)["pool.web"]
		slices.Reverse(servers)
		for _, server := range servers {
			if !slices.ContainsFunc(r.structure.Servers(half)["pool.web"], func(s Server) bool { return s.Name == server.Name }) {
				r.do(socket.AddServer("pool.web", server.Name, fmt.Sprintf("%s:%d", server.Address, port),
					append(slices.Clone(server.Params), "weight", strconv.Itoa(server.Weight))...),
					socket.SetState("pool.web", server.Name, socket.Ready))
			}
		}
		newcomers, moved := 0, 0
		for key := range keys {
			path := fmt.Sprint("/", key)
			at := r.request("web", path).body
			if want := fresh.request("web", path).body; at != want {
				t.Errorf("%s is at %s, and with the same servers from the file at %s", path, at, want)
			}
			if at == before[key] {
				continue
			}
			moved++
			if slices.ContainsFunc(all[:20], func(e Endpoint) bool { return e.Address == at }) {
				newcomers++
			}
		}
		if moved == 0 || newcomers != moved {
			t.Errorf("%d of %d paths moved, %d of them to new members", moved, keys, newcomers)
		}
	})
}
