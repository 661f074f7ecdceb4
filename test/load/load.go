// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load sends requests and keeps streams open for as long as it is told, and counts what failed.
package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	// keptFailures is how many failures are told in full.
	keptFailures = 20
)

// Options say what is asked.
type Options struct {
	// URL is asked by GET; an answer other than 200 is a failure.
	URL string
	// Workers ask one request after the other, each on a connection of its own that it keeps.
	Workers int
	// HTTP2 asks by HTTP/2, which needs an https URL.
	HTTP2 bool
	// TLS is for an https URL.
	TLS *tls.Config
	// Samples keeps every latency.
	Samples bool
}

// Failure is a request that was not answered well, or a stream that was cut.
type Failure struct {
	At    time.Time
	Cause string
}

// String says when and why.
func (f Failure) String() string { return f.At.Format("15:04:05.000") + " " + f.Cause }

// Result is what came of a load.
type Result struct {
	Requests, Failed int64
	// Failures are the first of those that failed.
	Failures []Failure
	Elapsed  time.Duration
	// Latencies are sorted, and kept only if they were asked for.
	Latencies []time.Duration
}

// Quantile gives the latency that a part of the requests, 0 to 1, kept below.
func (r *Result) Quantile(part float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(part*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// Rate is in requests per second.
func (r *Result) Rate() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Load is under way.
type Load struct {
	options  Options
	cancel   context.CancelFunc
	workers  sync.WaitGroup
	began    time.Time
	requests atomic.Int64

	mu        sync.Mutex
	failed    int64
	failures  []Failure
	latencies []time.Duration
}

// Start begins to ask. Stop ends it.
func Start(ctx context.Context, options Options) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{options: options, cancel: cancel, began: time.Now()}
	for range options.Workers {
		l.workers.Go(func() { l.work(ctx) })
	}
	return l
}

// Requests is how many were asked so far.
func (l *Load) Requests() int64 { return l.requests.Load() }

// Stop lets every request that is under way come to its end, and gives the result.
func (l *Load) Stop() Result {
	l.cancel()
	l.workers.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latencies)
	return Result{Requests: l.requests.Load(), Failed: l.failed, Failures: l.failures, Elapsed: time.Since(l.began), Latencies: l.latencies}
}

func (l *Load) work(ctx context.Context) {
	transport := &http.Transport{
		TLSClientConfig: l.options.TLS.Clone(), ForceAttemptHTTP2: l.options.HTTP2, DisableCompression: true, MaxIdleConnsPerHost: 1,
	}
	if !l.options.HTTP2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: requestTimeout}
	var latencies []time.Duration
	for ctx.Err() == nil {
		begin := time.Now()
		err := l.ask(client)
		if l.options.Samples {
			latencies = append(latencies, time.Since(begin))
		}
		l.requests.Add(1)
		if err != nil {
			l.fail(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latencies = append(l.latencies, latencies...)
}

// ask does not end with the load's context: a request that is under way is no failure.
func (l *Load) ask(client *http.Client) error {
	response, err := client.Get(l.options.URL)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s by %q", response.Status, response.Header.Get("X-Echo-Name"))
	}
	if l.options.HTTP2 && response.ProtoMajor != 2 {
		return fmt.Errorf("answered by %s", response.Proto)
	}
	return nil
}

func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
	if len(l.failures) < keptFailures {
		l.failures = append(l.failures, Failure{At: time.Now(), Cause: err.Error()})
	}
}
