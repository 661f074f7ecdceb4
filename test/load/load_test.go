// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestFailuresAreCounted has every tenth request answered by 503, and one connection cut.
func TestFailuresAreCounted(t *testing.T) {
	var asked atomic.Int64
	enough := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		if n == 1000 {
			close(enough)
		}
		if n%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	l := Start(t.Context(), Options{URL: server.URL, Workers: 4, Samples: true})
	<-enough
	r := l.Stop()
	if r.Requests != asked.Load() || r.Failed != r.Requests/10 || len(r.Failures) != keptFailures || int64(len(r.Latencies)) != r.Requests {
		t.Errorf("of %d requests, %d failed, %d are told, %d have a latency", r.Requests, r.Failed, len(r.Failures), len(r.Latencies))
	}
	if !strings.Contains(r.Failures[0].String(), "503") {
		t.Errorf("the first failure is %s", r.Failures[0])
	}
	if low, high := r.Quantile(0), r.Quantile(1); low <= 0 || high < low {
		t.Errorf("latencies are from %s to %s", low, high)
	}
}

// TestStreamsThatAreCut has the server cut each stream after three lines.
func TestStreamsThatAreCut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var opened atomic.Int64
	third := make(chan struct{})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if opened.Add(1) == 3 {
				close(third)
			}
			go threeLines(c)
		}
	}()
	s := StartTCP(t.Context(), listener.Addr().String(), 1)
	<-third
	r := s.Stop()
	if len(r.Cuts) != 2 || r.Lines < 6 || len(r.Refused) != 0 {
		t.Errorf("%d lines came back, cuts %v, refused %v", r.Lines, r.Cuts, r.Refused)
	}
}

func threeLines(c net.Conn) {
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return
	}
	lines := bufio.NewScanner(c)
	for i := 0; i < 3 && lines.Scan(); i++ {
		if _, err := c.Write(append(lines.Bytes(), '\n')); err != nil {
			return
		}
	}
}

// TestWebSocketsStayOpen closes them only at the end.
func TestWebSocketsStayOpen(t *testing.T) {
	lines := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, message, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), kind, message) != nil {
				return
			}
			lines <- struct{}{}
		}
	}))
	defer server.Close()
	s := StartWebSockets(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), 2)
	for range 6 {
		select {
		case <-lines:
		case <-time.After(10 * time.Second):
			t.Fatal("no line for 10 s")
		}
	}
	if r := s.Stop(); r.Lines < 6 || len(r.Cuts) != 0 || len(r.Refused) != 0 {
		t.Errorf("%+v", r)
	}
}
