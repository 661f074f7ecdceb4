// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// large has many pools of many members, and looks at what the agent needs for them, at rest and while endpoints change.
func (b *bench) large(ctx context.Context) error {
	b.say("a load balancer of %d pools with %d members each", b.pools, b.members)
	var pools []v1alpha1.Pool
	var routes []v1alpha1.Route
	for i := range b.pools {
		name := fmt.Sprintf("pool-%03d", i)
		if err := b.serviceOnly(ctx, name); err != nil {
			return err
		}
		if err := b.client.Create(ctx, b.slice(name, name, 8080, addresses(i, b.members)...)); err != nil {
			return err
		}
		pools = append(pools, pool(name, name))
		routes = append(routes, v1alpha1.Route{
			Name: v1alpha1.Name(name), Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname(name + ".test")},
			Action: v1alpha1.Action{Pool: v1alpha1.Name(name)},
		})
	}
	spec := specOf(pools...)
	spec.Routes = routes
	began := time.Now()
	if _, err := b.loadBalancer(ctx, "large", spec); err != nil {
		return err
	}
	b.figure(fmt.Sprintf("%d members in %d pools, from creation to Ready", b.pools*b.members, b.pools), time.Since(began).Seconds(), "s", "")
	pod, err := b.pod(ctx, "large")
	if err != nil {
		return err
	}
	if err := b.cpu(ctx, pod, "at rest", 1, func(int) error { return pause(ctx, 20*time.Second) }); err != nil {
		return err
	}
	const changes = 200
	if err := b.cpu(ctx, pod, "per endpoint change", changes, func(i int) error {
		name := fmt.Sprintf("pool-%03d", i%b.pools)
		// Each time another one of the members is away.
		all := addresses(i%b.pools, b.members)
		away := i % len(all)
		return b.client.Update(ctx, b.slice(name, name, 8080, append(append([]string{}, all[:away]...), all[away+1:]...)...))
	}); err != nil {
		return err
	}
	resident, err := b.agent(ctx, pod, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("agent's memory with %d members in %d pools", b.pools*b.members, b.pools), resident/(1<<20), "MiB", "")
	return nil
}

// cpu does something so often, and tells the agent's CPU time for it.
func (b *bench) cpu(ctx context.Context, pod, name string, times int, do func(int) error) error {
	before, err := b.agent(ctx, pod, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	began := time.Now()
	for i := range times {
		if err := do(i); err != nil {
			return err
		}
	}
	// The agent may be behind.
	if times > 1 {
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	after, err := b.agent(ctx, pod, "process_cpu_seconds_total")
	if err != nil {
		return err
	}
	if times > 1 {
		b.figure("agent's CPU time "+name, (after-before)/float64(times)*1000, "ms", "")
		return nil
	}
	b.figure("agent's CPU "+name, (after-before)/time.Since(began).Seconds()*100, "% of a core", "")
	return nil
}

// addresses are private ones: nobody answers there, and nobody asks.
func addresses(pool, number int) []string {
	var out []string
	for i := range number {
		out = append(out, fmt.Sprintf("10.99.%d.%d", pool, i+1))
	}
	return out
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}
