// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Members answer on one port of every address of the loopback network, with the address that was asked, until the test
// ends. A query wait=1s has the answer begin at once and end after that time.
func Members(t testing.TB) (port int32) {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(answer)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return portOf(l)
}

func answer(w http.ResponseWriter, r *http.Request) {
	address, _, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(wait):
		}
	}
	_, _ = io.WriteString(w, address)
}

// FreePort is one of the loopback address that nobody listens on.
func FreePort(t testing.TB) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return portOf(l)
}

func portOf(l net.Listener) int32 { return int32(l.Addr().(*net.TCPAddr).Port) }
