// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fairlead/fairlead/agent/driver"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

const (
	prefix = "fairlead_agent_"
	// membersFresh is how long the counts of members are good for: HAProxy writes a line for each server.
	membersFresh = time.Second
)

// metrics are what Prometheus asks this process. HAProxy answers for traffic itself.
type metrics struct {
	registry *prometheus.Registry
	updates  prometheus.Histogram
	repairs  prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		updates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "endpoint_updates_seconds", Help: "Time from the event of a change of endpoints to its effect in HAProxy.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5},
		}),
		repairs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "repairs_total", Help: "Foreign changes in HAProxy that were undone.",
		}),
	}
	m.registry.MustRegister(m.updates, m.repairs, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) took(d time.Duration) { m.updates.Observe(d.Seconds()) }

// watch adds what a driver tells when it is asked.
func (m *metrics) watch(d *driver.Driver) {
	gauge := func(name, help string, value func(driver.Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, func() float64 { return value(d.Status()) })
	}
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + "reloads_total", Help: "Reloads of HAProxy."},
			func() float64 { return float64(d.Status().Reloads) }),
		gauge("generation", "Generation of the LoadBalancer that is in force.", func(s driver.Status) float64 { return float64(s.Generation) }),
		gauge("refused", "1 where the newest model is refused as a whole.", func(s driver.Status) float64 {
			if s.Refused != "" {
				return 1
			}
			return 0
		}),
		gauge("problems", "Parts of the model that are not in force.", func(s driver.Status) float64 { return float64(len(s.Problems)) }),
		&members{driver: d, desc: prometheus.NewDesc(prefix+"members", "Members of pools as HAProxy sees them.", []string{"pool", "state"}, nil)},
	)
}

// members counts servers when it is asked.
type members struct {
	driver *driver.Driver
	desc   *prometheus.Desc

	mu     sync.Mutex
	at     time.Time
	counts map[[2]string]int
}

// Describe implements prometheus.Collector.
func (m *members) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

// Collect implements prometheus.Collector.
func (m *members) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.at) >= membersFresh {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		stats, err := m.driver.Stats(ctx)
		if err != nil {
			// A HAProxy that does not answer has no members.
			stats = nil
		}
		m.counts, m.at = count(stats, m.driver.Pool), time.Now()
	}
	for key, n := range m.counts {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, float64(n), key[0], key[1])
	}
}

// memberStates are from the best to the worst.
var memberStates = []string{"up", "drain", "maint", "down"}

// count gives the number of members by pool and state. One that several backends have counts once, in its worst state.
func count(stats []socket.Stat, pool func(string) string) map[[2]string]int {
	worst := map[[2]string]int{}
	for i := range stats {
		s := &stats[i]
		if of := pool(s.Proxy); of != "" && s.Server != socket.BackendStat {
			id := [2]string{of, s.Server}
			worst[id] = max(worst[id], stateOf(s.Status))
		}
	}
	counts := map[[2]string]int{}
	for id, state := range worst {
		// All states, so that a count goes back to 0.
		for _, name := range memberStates {
			counts[[2]string{id[0], name}] += 0
		}
		counts[[2]string{id[0], memberStates[state]}]++
	}
	return counts
}

func stateOf(status string) int {
	switch {
	case strings.HasPrefix(status, "DRAIN"):
		return 1
	case strings.HasPrefix(status, "MAINT"):
		return 2
	case strings.HasPrefix(status, "DOWN"), strings.HasPrefix(status, "NOLB"):
		return 3
	}
	return 0
}
