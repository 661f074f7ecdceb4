// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	real "github.com/fairlead/fairlead/test/haproxy"
	supervisor "github.com/fairlead/fairlead/test/proxy"
)

const patience = 30 * time.Second

// rig is a driver, HAProxy, and members on all addresses of the loopback network.
type rig struct {
	*testing.T
	version   real.Version
	dir       string
	container *supervisor.Container
	driver    *Driver
	admin     *socket.Client
	stop      func()
	// port is the listener's, memberPort that of all members.
	port, memberPort int32
	health, peers    int32

	mu   sync.Mutex
	took []time.Duration
}

func newRig(t *testing.T, v real.Version) *rig {
	t.Helper()
	r := &rig{T: t, version: v, dir: v.Dir(t), port: supervisor.FreePort(t), health: supervisor.FreePort(t), peers: supervisor.FreePort(t), memberPort: supervisor.Members(t)}
	r.container = supervisor.Start(t, v, r.dir)
	r.admin = socket.New(filepath.Join(r.dir, haproxy.AdminSocket))
	r.start()
	return r
}

// start starts a driver, as the agent's container does.
func (r *rig) start() {
	r.Helper()
	r.driver = New(Options{
		Build: haproxy.Options{Dir: r.dir, Threads: 1, HealthPort: r.health, PeersPort: r.peers, IPv4Only: true},
		Log:   testr.NewWithInterface(quiet{r.T}, testr.Options{}), VerifyEvery: 100 * time.Millisecond,
		Took: func(d time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.took = append(r.took, d)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.driver.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
	r.Cleanup(r.stop)
}

// quiet tells of a driver only where the test has failed.
type quiet struct{ *testing.T }

func (q quiet) Log(args ...any) {
	defer func() { _ = recover() }() // A line after the end.
	q.T.Log(args...)
}

var web = model.ServiceRef{Namespace: "shop", Name: "web", PortName: "http"}

const second = model.Duration(time.Second)

// config is a load balancer with one pool of one service.
func (r *rig) config() *model.Config {
	return &model.Config{
		Version: model.Version, Name: "shop/front", Generation: 1, DrainTimeout: 2 * second,
		Listeners: []model.Listener{{
			Name: "http", Port: 80, BindPort: r.port, Protocol: model.HTTP,
			Timeouts: model.ListenerTimeouts{Idle: 30 * second, Request: 10 * second, KeepAlive: 10 * second, Tunnel: 60 * second},
		}},
		Routes: []model.Route{{Name: "all", Listeners: []string{"http"}, Action: model.Action{Pools: []model.WeightedPool{{Pool: "web", Weight: 1}}}}},
		Pools:  []model.Pool{pool("web", model.Member{Service: &web, Weight: 1})},
	}
}

func pool(name string, all ...model.Member) model.Pool {
	return model.Pool{
		Name: name, Algorithm: model.RoundRobin, Members: all, MinActive: 1,
		Timeouts: model.PoolTimeouts{Connect: 2 * second, Response: 30 * second, Tunnel: 60 * second},
	}
}

// set hands the driver a model.
func (r *rig) set(cfg *model.Config, secrets haproxy.Secrets) {
	r.driver.SetInput(&Input{Model: cfg, Hash: fmt.Sprint("hash-", cfg.Generation), Secrets: secrets})
}

// settle hands over a model and waits until it is in force.
func (r *rig) settle(cfg *model.Config, secrets haproxy.Secrets) Status {
	r.Helper()
	r.set(cfg, secrets)
	r.eventually("the model is in force", func() error {
		if s := r.driver.Status(); s.Generation != cfg.Generation || s.Refused != "" || s.Restored {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	return r.driver.Status()
}

// endpoints hands the driver those of the service web: 127.0.1.N for each number, a negative one drains.
func (r *rig) endpoints(numbers ...int) {
	var list []haproxy.Endpoint
	for _, n := range numbers {
		list = append(list, haproxy.Endpoint{Address: address(max(n, -n)), Port: r.memberPort, Serving: true, Draining: n < 0})
	}
	r.driver.SetEndpoints(web, list, time.Now())
}

func address(n int) string { return fmt.Sprintf("127.0.1.%d", n) }

func (r *rig) eventually(what string, ask func() error) {
	r.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("not in time: %s: %v", what, err)
		}
	}
}

var client = http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get asks the listener: the status and who answered.
func (r *rig) get(path string) (int, string, error) {
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", r.port, path))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// serving waits until exactly these members answer.
func (r *rig) serving(numbers ...int) {
	r.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, address(n))
	}
	slices.Sort(want)
	r.eventually(fmt.Sprint("served by ", want), func() error {
		seen := map[string]bool{}
		for range 3 * len(want) {
			code, who, err := r.get("/")
			if err != nil || code != 200 {
				return fmt.Errorf("answer %d %s, %w", code, who, err)
			}
			seen[who] = true
		}
		if got := sortedKeys(seen); !slices.Equal(got, want) {
			return fmt.Errorf("by %v", got)
		}
		return nil
	})
}

// servers are those of a backend as HAProxy has them, by name.
func (r *rig) servers(backend string) map[string]socket.ServerState {
	r.Helper()
	states, err := r.admin.ServersState(r.Context(), backend)
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]socket.ServerState{}
	for _, state := range states {
		out[state.Name] = state
	}
	return out
}

func (r *rig) name(n int) string { return fmt.Sprintf("%s_%d", address(n), r.memberPort) }

// gone waits until HAProxy does not have the server.
func (r *rig) gone(backend, server string) {
	r.Helper()
	r.eventually(server+" is deleted", func() error {
		if state, is := r.servers(backend)[server]; is {
			return fmt.Errorf("%+v", state)
		}
		return nil
	})
}

func (r *rig) reloads() int { return r.driver.Status().Reloads }

var errMore = errors.New("not yet")

// mapsForTest are the maps in force. Nothing changes them while the test asks.
func (d *Driver) mapsForTest() map[string][]socket.Entry {
	s := d.look(d.ctx, d.force, 0)
	return s.maps
}
