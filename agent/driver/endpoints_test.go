// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	real "github.com/fairlead/fairlead/test/haproxy"
	supervisor "github.com/fairlead/fairlead/test/proxy"
)

func TestEndpointsComeAndGo(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1, 2)
		r.settle(r.config(), nil)
		r.serving(1, 2)
		r.endpoints(1, 2, 3)
		r.serving(1, 2, 3)
		r.endpoints(2, 3)
		r.serving(2, 3)
		r.gone("pool.web", r.name(1))
		r.endpoints(1, 2)
		r.serving(1, 2)
		r.endpoints()
		r.eventually("nobody serves", func() error {
			if code, who, err := r.get("/"); code != http.StatusServiceUnavailable {
				return fmt.Errorf("%d %s %w", code, who, err)
			}
			return nil
		})
		r.endpoints(7)
		r.serving(7)
		if n := r.reloads(); n != 0 {
			t.Errorf("%d reloads", n)
		}
		if s := r.driver.Status(); len(s.Repairs) != 0 || len(s.Problems) != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestDrainingEndpoint keeps an open answer, and gets no new request.
func TestDrainingEndpoint(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		r.settle(r.config(), nil)
		r.serving(1)
		type answer struct {
			who string
			err error
		}
		open := make(chan answer, 1)
		go func() {
			_, who, err := r.get("/?wait=1s")
			open <- answer{who, err}
		}()
		r.eventually("the answer is open", func() error {
			stats, err := r.driver.Stats(t.Context())
			for _, s := range stats {
				if s.Proxy == "pool.web" && s.Server == r.name(1) && s.Sessions == 1 {
					return nil
				}
			}
			return fmt.Errorf("not yet, %w", err)
		})
		r.endpoints(-1, 2)
		r.serving(2)
		if state := r.servers("pool.web")[r.name(1)]; state.Admin.State() != socket.Drain {
			t.Errorf("the draining server is %+v", state)
		}
		r.endpoints(2)
		// It is gone from the Service while the answer is open.
		if got := <-open; got.err != nil || got.who != address(1) {
			t.Errorf("the open answer is %+v", got)
		}
		r.gone("pool.web", r.name(1))
		// The drain survives a start of HAProxy.
		r.endpoints(-2, 3)
		r.serving(3)
		r.saved(3)
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.serving(3)
		if s := r.driver.Status(); len(s.Repairs) != 0 || s.Reloads != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// saved waits until the file has a member.
func (r *rig) saved(n int) {
	r.Helper()
	r.eventually("the configuration is saved", func() error {
		text, err := os.ReadFile(filepath.Join(r.dir, configFile))
		if err == nil && !strings.Contains(string(text), r.name(n)) {
			err = errMore
		}
		return err
	})
}

// TestRemovedServerIsCut ends a stream that outlasts the drain timeout.
func TestRemovedServerIsCut(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		cfg := r.config()
		cfg.DrainTimeout = second
		r.endpoints(1)
		r.settle(cfg, nil)
		r.serving(1)
		ended := make(chan error, 1)
		go func() {
			_, _, err := r.get("/?wait=30s")
			ended <- err
		}()
		r.eventually("the answer is open", func() error {
			sessions, err := r.admin.Sessions(t.Context())
			if err == nil && sessions["pool.web/"+r.name(1)] == 0 {
				err = errMore
			}
			return err
		})
		began := time.Now()
		r.endpoints(2)
		r.serving(2)
		if err := <-ended; err == nil {
			t.Error("the answer came to its end")
		}
		if took := time.Since(began); took < time.Second || took > 10*time.Second {
			t.Errorf("it was cut after %s", took)
		}
		r.gone("pool.web", r.name(1))
	})
}

// TestManyChanges goes from 2 to 200 members and about, without a reload and without a failed request.
func TestManyChanges(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1, 2)
		r.settle(r.config(), nil)
		r.serving(1, 2)
		stop, failed := make(chan struct{}), make(chan []string, 1)
		go func() {
			var bad []string
			for {
				select {
				case <-stop:
					failed <- bad
					return
				default:
				}
				if code, who, err := r.get("/"); err != nil || code != 200 {
					bad = append(bad, fmt.Sprint(code, who, err))
				}
			}
		}()
		last := 0
		for i := range 1000 {
			n := 3 + i%396
			if n > 200 {
				n = 400 - n
			}
			var numbers []int
			for m := 1; m <= n; m++ {
				numbers = append(numbers, m)
			}
			r.endpoints(numbers...)
			last = n
			// Each is to be a change of its own.
			r.eventually("the change is in force", func() error {
				r.mu.Lock()
				defer r.mu.Unlock()
				if len(r.took) <= i {
					return errMore
				}
				return nil
			})
		}
		r.eventually("HAProxy has the last members", func() error {
			if n := len(r.servers("pool.web")); n != last {
				return fmt.Errorf("%d instead of %d", n, last)
			}
			return nil
		})
		close(stop)
		if bad := <-failed; len(bad) > 0 {
			t.Errorf("%d requests failed, like %s", len(bad), bad[0])
		}
		if n := r.reloads(); n != 0 {
			t.Errorf("%d reloads", n)
		}
		if s := r.driver.Status(); len(s.Repairs) != 0 {
			t.Errorf("repairs of its own doing: %+v", s.Repairs)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		slices.Sort(r.took)
		t.Logf("%d changes: p50 %s, p99 %s, max %s", len(r.took), r.took[len(r.took)/2], r.took[len(r.took)*99/100], r.took[len(r.took)-1])
	})
}

func TestWeightsOfMembers(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		cfg := r.config()
		host := func(n int) *model.Address { return &model.Address{Host: address(n), Port: r.memberPort} }
		cfg.Pools[0].Members = []model.Member{{Address: host(1), Weight: 90}, {Address: host(2), Weight: 10}}
		r.settle(cfg, nil)
		share := func() int {
			count := 0
			for range 100 {
				_, who, err := r.get("/")
				if err != nil {
					t.Fatal(err)
				}
				if who == address(1) {
					count++
				}
			}
			return count
		}
		r.eventually("90 of 100 go to the first", func() error {
			if n := share(); n < 85 || n > 95 {
				return fmt.Errorf("%d do", n)
			}
			return nil
		})
		next := *cfg
		next.Generation = 2
		next.Pools = []model.Pool{cfg.Pools[0]}
		next.Pools[0].Members = []model.Member{{Address: host(1), Weight: 10}, {Address: host(2), Weight: 90}}
		r.settle(&next, nil)
		r.eventually("10 of 100 go to the first", func() error {
			if n := share(); n < 5 || n > 15 {
				return fmt.Errorf("%d do", n)
			}
			return nil
		})
		last := next
		last.Generation = 3
		last.Drain.Addresses = []string{address(2)}
		r.settle(&last, nil)
		r.eventually("the drained address gets none", func() error {
			if n := share(); n != 100 {
				return fmt.Errorf("the other gets %d", n)
			}
			return nil
		})
		if n := r.reloads(); n != 0 {
			t.Errorf("%d reloads", n)
		}
	})
}

// TestMonitoredMemberStaysDown has a member that its monitor finds down: it must not get requests after a reload, nor
// one that was added at run time.
func TestMonitoredMemberStaysDown(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		cfg := r.config()
		cfg.Pools[0].Monitor = &model.Monitor{
			Type: model.MonitorTCP, Interval: model.Duration(200 * time.Millisecond), Timeout: second, Healthy: 2, Unhealthy: 1,
		}
		r.endpoints(1)
		r.settle(cfg, nil)
		r.serving(1)
		// Nobody listens on the second's port.
		dead := haproxy.Endpoint{Address: address(2), Port: supervisor.FreePort(t), Serving: true}
		r.driver.SetEndpoints(web, []haproxy.Endpoint{{Address: address(1), Port: r.memberPort, Serving: true}, dead}, time.Now())
		name := fmt.Sprintf("%s_%d", dead.Address, dead.Port)
		down := func() error {
			// One that is added stands still at first, too, until it is let in.
			if state, is := r.servers("pool.web")[name]; !is || state.Operation != socket.Stopped || state.Admin.State() != socket.Ready {
				return fmt.Errorf("%t %+v", is, state)
			}
			return nil
		}
		r.eventually("the dead member is down", down)
		next := *cfg
		next.Generation = 2
		next.Pools = []model.Pool{cfg.Pools[0], pool("other")}
		r.settle(&next, nil)
		if n := r.reloads(); n != 1 {
			t.Fatalf("%d reloads", n)
		}
		if err := down(); err != nil {
			t.Errorf("after the reload the dead member is up: %v", err)
		}
		for range 10 {
			if code, who, err := r.get("/"); code != 200 || err != nil {
				t.Errorf("after the reload: %d %s %v", code, who, err)
			}
		}
	})
}
