// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/load"
)

// between is the rest after a change, so that each is measured by itself and not behind the one before.
const between = 25 * time.Millisecond

// member listens on a port of its own and tells when the first request comes after it was armed.
type member struct {
	name  string
	port  int32
	first chan time.Time
	close func()
}

func listen(index int) (*member, error) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, err
	}
	m := &member{
		name: fmt.Sprintf("member-%03d", index), port: int32(listener.Addr().(*net.TCPAddr).Port), //nolint:gosec // A port.
		first: make(chan time.Time, 1),
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok"))
		select {
		case m.first <- time.Now():
		default:
		}
	})}
	m.close = func() { _ = server.Close() }
	go func() { _ = server.Serve(listener) }()
	return m, nil
}

// timing is how long one change took to traffic.
type timing struct {
	// sent runs from the moment the write is sent, answered from the API server's answer to it; that may come after the
	// first request, and counts as 0 then.
	sent, answered time.Duration
}

// endpoints adds and removes endpoints under constant load, and takes the time from the write of an EndpointSlice to the
// first request that the new member gets.
func (b *bench) endpoints(ctx context.Context) error {
	const service = "members"
	if err := b.serviceOnly(ctx, service); err != nil {
		return err
	}
	address, err := b.loadBalancer(ctx, "endpoints", specOf(pool("web", service)))
	if err != nil {
		return err
	}
	pod, err := b.pod(ctx, "endpoints")
	if err != nil {
		return err
	}
	self, err := localAddress(address)
	if err != nil {
		return err
	}
	run := &endpointRun{bench: b, service: service, address: self}
	defer run.close()
	if err := run.grow(ctx, 2); err != nil {
		return err
	}
	before, err := b.agent(ctx, pod, "fairlead_agent_reloads_total")
	if err != nil {
		return err
	}
	// One asker leaves a core to everything else, and a member waits for its turn for half a millisecond or so.
	asking := load.Start(ctx, load.Options{URL: "http://" + address + "/", Workers: 1})
	b.say("%d endpoint changes under load, up to %d members", b.changes, b.most)
	err = run.changes(ctx)
	result := asking.Stop()
	if err != nil {
		return err
	}
	after, err := b.agent(ctx, pod, "fairlead_agent_reloads_total")
	if err != nil {
		return err
	}
	b.endpointFigures(run, result, after-before)
	return nil
}

func (b *bench) endpointFigures(run *endpointRun, result load.Result, reloads float64) {
	for _, group := range []struct {
		name    string
		timings []timing
		target  [2]string
	}{{"few members", run.few, [2]string{"< 3", "< 10"}}, {fmt.Sprintf("growth to %d members", b.most), run.many, [2]string{}}} {
		for _, kind := range []struct {
			from string
			get  func(timing) time.Duration
		}{{"the write's answer", func(t timing) time.Duration { return t.answered }}, {"the write's start", func(t timing) time.Duration { return t.sent }}} {
			var all []time.Duration
			for _, t := range group.timings {
				all = append(all, kind.get(t))
			}
			slices.Sort(all)
			r := load.Result{Latencies: all}
			b.figure("endpoint to first request, "+group.name+", from "+kind.from+", p50", milliseconds(r.Quantile(0.5)), "ms", group.target[0])
			b.figure("endpoint to first request, "+group.name+", from "+kind.from+", p99", milliseconds(r.Quantile(0.99)), "ms", group.target[1])
		}
	}
	b.figure("reloads in all endpoint changes", reloads, "reloads", "0")
	b.figure("endpoint changes", float64(run.done), "changes", "")
	b.figure("requests meanwhile", float64(result.Requests), "requests", "")
	b.figure("requests that failed meanwhile", float64(result.Failed), "requests", "0")
	for _, f := range result.Failures {
		b.say("failed: %s", f)
	}
}

// endpointRun is the members that are there, and what was measured.
type endpointRun struct {
	*bench
	service, address string
	present          []*member
	next, done       int
	few, many        []timing
}

func (r *endpointRun) close() {
	for _, m := range r.present {
		m.close()
	}
}

// changes grows to the most, shrinks to two, and then replaces members until all changes are done.
func (r *endpointRun) changes(ctx context.Context) error {
	for len(r.present) < r.most && r.done < r.bench.changes {
		t, err := r.add(ctx)
		if err != nil {
			return err
		}
		r.many = append(r.many, t)
	}
	for len(r.present) > 2 {
		if err := r.remove(ctx); err != nil {
			return err
		}
	}
	for r.done < r.bench.changes {
		t, err := r.add(ctx)
		if err != nil {
			return err
		}
		r.few = append(r.few, t)
		if err := pause(ctx, between); err != nil {
			return err
		}
		if err := r.remove(ctx); err != nil {
			return err
		}
		if err := pause(ctx, between); err != nil {
			return err
		}
	}
	return nil
}

func (r *endpointRun) grow(ctx context.Context, number int) error {
	for len(r.present) < number {
		m, err := listen(r.next)
		if err != nil {
			return err
		}
		r.next++
		r.present = append(r.present, m)
		if err := r.client.Create(ctx, r.slice(r.service, m.name, m.port, r.address)); err != nil {
			return err
		}
	}
	return nil
}

func (r *endpointRun) add(ctx context.Context) (timing, error) {
	m, err := listen(r.next)
	if err != nil {
		return timing{}, err
	}
	r.next++
	r.done++
	r.present = append(r.present, m)
	slice := r.slice(r.service, m.name, m.port, r.address)
	sent := time.Now()
	if err := r.client.Create(ctx, slice); err != nil {
		return timing{}, err
	}
	answered := time.Now()
	select {
	case first := <-m.first:
		return timing{sent: first.Sub(sent), answered: max(first.Sub(answered), 0)}, nil
	case <-ctx.Done():
		return timing{}, ctx.Err()
	case <-time.After(10 * time.Second):
		return timing{}, errors.New("a new member got no request for 10 s")
	}
}

// remove takes the oldest member away. Its listener goes on for a while, as a pod would.
func (r *endpointRun) remove(ctx context.Context) error {
	oldest := r.present[0]
	r.present = r.present[1:]
	r.done++
	time.AfterFunc(5*time.Second, oldest.close)
	return r.client.Delete(ctx, r.slice(r.service, oldest.name, oldest.port))
}

// localAddress is that of this machine, as seen from where address is.
func localAddress(address string) (string, error) {
	c, err := net.Dial("udp", net.JoinHostPort(address, "80"))
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// pool has the port http of a Service.
func pool(name, service string) v1alpha1.Pool {
	port := v1alpha1.Port{Type: 1, StrVal: "http"}
	return v1alpha1.Pool{
		Name:    v1alpha1.Name(name),
		Members: []v1alpha1.Member{{Service: &v1alpha1.ServiceReference{Name: service, Port: &port}}},
	}
}

// specOf has one listener, and the first of the pools takes what comes.
func specOf(pools ...v1alpha1.Pool) v1alpha1.LoadBalancerSpec {
	return v1alpha1.LoadBalancerSpec{
		Listeners: []v1alpha1.Listener{{Name: "http", Port: 80, Protocol: v1alpha1.ProtocolHTTP, Pool: pools[0].Name}},
		Pools:     pools,
	}
}
