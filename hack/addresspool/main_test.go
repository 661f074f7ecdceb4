// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for name, tc := range map[string]struct {
		args    []string
		wantErr string
	}{
		"no kubeconfig": {[]string{"--cidr=10.0.0.0/24"}, "--kubeconfig is missing"},
		"no pool":       {[]string{"--kubeconfig=f"}, "--cidr is missing"},
		"argument":      {[]string{"--kubeconfig=f", "--cidr=10.0.0.0/24", "now"}, `unexpected argument "now"`},
		"no such file":  {[]string{"--kubeconfig=/nonexistent", "--cidr=10.0.0.0/24"}, "read the kubeconfig"},
		"unknown flag":  {[]string{"--metrics"}, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), tc.args, io.Discard); err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("got %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"Usage: addresspool", "-kubeconfig FILE", "-cidr CIDR", "-health-address HOST:PORT"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, &out)
		}
	}
}

func TestCommand(t *testing.T) {
	c := newCluster(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	c.must(err)
	health := listener.Addr().String()
	c.must(listener.Close())
	c.background(func(ctx context.Context) error {
		return run(ctx, []string{"--kubeconfig", plane.Kubeconfig(), "--cidr", "198.18.0.128/25", "--health-address", health}, io.Discard)
	})
	c.create(balancer("a"))
	c.shows("a", "198.18.0.129")
	for _, path := range []string{"/healthz", "/readyz"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+health+path, http.NoBody)
		c.must(err)
		resp, err := http.DefaultClient.Do(req)
		c.must(err)
		c.must(resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s says %s", path, resp.Status)
		}
	}
}
