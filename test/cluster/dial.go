// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Ports on the node's 127.0.0.1.
const (
	kubeletHealthPort = 10248
	proxyHealthPort   = 10256
	poolHealthPort    = 10270
)

// Dial opens a connection as a process on the node does: to Services, to pods, or to the node's own 127.0.0.1.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		// The thread is not unlocked, so that it ends with the goroutine and nobody gets one in a wrong namespace.
		runtime.LockOSThread()
		conn, err := c.dialHere(ctx, network, address)
		done <- answer{conn, err}
	}()
	a := <-done
	return a.conn, a.err
}

// dialHere dials from a thread that it moves to the node's network. A socket stays where it was made.
func (c *Cluster) dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.daemons[Sandbox].PID))
	if err != nil {
		return nil, fmt.Errorf("find the node's network: %w", err)
	}
	defer func() { _ = namespace.Close() }()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the node's network: %w", err)
	}
	// With two addresses the dialer would open a second socket from another thread.
	dialer := net.Dialer{FallbackDelay: -1}
	return dialer.DialContext(ctx, network, address)
}

// HTTPClient reaches what a process on the node reaches. It keeps no connections.
func (c *Cluster) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
}

// healthy asks a process on the node's 127.0.0.1 for its health.
func (c *Cluster) healthy(ctx context.Context, port int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", port), nil)
	if err != nil {
		return err
	}
	response, err := c.HTTPClient().Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health is %s", response.Status)
	}
	return nil
}
