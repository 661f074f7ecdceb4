// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// start serves on free ports of the loopback until the test ends, or end is called; end returns what serve does.
func start(t *testing.T, change func(*config)) (s *server, end func() error) {
	t.Helper()
	c := config{http: "127.0.0.1:0", https: "127.0.0.1:0", tcp: "127.0.0.1:0", name: "echo-1"}
	if change != nil {
		change(&c)
	}
	s, err := listen(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx) }()
	var ended bool
	end = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s, end
}

func (s *server) url(scheme, path string) string {
	return scheme + "://" + s.addresses()[scheme] + path
}

// client speaks one version of HTTP only. Its connections end with the test.
func client(t *testing.T, version string) *http.Client {
	t.Helper()
	var protocols http.Protocols
	switch version {
	case "HTTP/1.1":
		protocols.SetHTTP1(true)
	case "HTTP/2.0":
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
	}
	cert, err := selfSigned("a client")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		Protocols: &protocols,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, ServerName: "shop.example.com", Certificates: []tls.Certificate{cert},
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type response struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, c *http.Client, method, url, body string) response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Color", "blue")
	got, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{got.StatusCode, got.Header, string(data)}
}

func decode(t *testing.T, body string) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return a
}

func TestProtocols(t *testing.T) {
	s, _ := start(t, nil)
	for _, tt := range []struct{ scheme, version, alpn string }{
		{"http", "HTTP/1.1", ""},
		{"http", "HTTP/2.0", ""},
		{"https", "HTTP/1.1", ""}, // Go offers no protocol where this is the only one.
		{"https", "HTTP/2.0", "h2"},
	} {
		t.Run(tt.scheme+" "+tt.version, func(t *testing.T) {
			got := do(t, client(t, tt.version), "POST", s.url(tt.scheme, "//a/../b?x=1&x=2"), "four")
			a := decode(t, got.body)
			if a.Name != "echo-1" || got.header.Get("X-Echo-Name") != "echo-1" {
				t.Errorf("names: %q, %q", a.Name, got.header.Get("X-Echo-Name"))
			}
			if a.Proto != tt.version || a.Method != "POST" || a.Path != "//a/../b" || a.BodyBytes != 4 {
				t.Errorf("request: %+v", a)
			}
			if a.Host != s.addresses()[tt.scheme] || len(a.Query["x"]) != 2 || a.Headers.Get("X-Color") != "blue" {
				t.Errorf("request: %+v", a)
			}
			if host, _, err := net.SplitHostPort(a.Remote); err != nil || host != "127.0.0.1" {
				t.Errorf("remote: %q", a.Remote)
			}
			if tt.scheme == "http" {
				if a.TLS != nil {
					t.Errorf("TLS: %+v", a.TLS)
				}
				return
			}
			if want := (answerTLS{SNI: "shop.example.com", ALPN: tt.alpn, ClientCN: "a client"}); a.TLS == nil || *a.TLS != want {
				t.Errorf("TLS: %+v", a.TLS)
			}
		})
	}
}

func TestKnobs(t *testing.T) {
	s, _ := start(t, nil)
	for _, tt := range []struct {
		query  string
		status int
		body   string // "JSON" stands for that of the request
		least  time.Duration
	}{
		{query: "", status: 200, body: "JSON"},
		{query: "status=503", status: 503, body: "JSON"},
		{query: "delay=30ms", status: 200, body: "JSON", least: 30 * time.Millisecond},
		{query: "burn=30ms", status: 200, body: "JSON", least: 30 * time.Millisecond},
		{query: "size=70000", status: 200, body: strings.Repeat(".", 70000)},
		{query: "chunks=2&interval=30ms&status=201", status: 201, body: "echo-1 1/2\necho-1 2/2\n", least: 30 * time.Millisecond},
		{query: "status=99", status: 400, body: "status=\"99\": want a number from 200 to 599\n"},
		{query: "size=-1", status: 400, body: "size=\"-1\": want a number from 0 to 1073741824\n"},
		{query: "delay=soon", status: 400, body: "delay=\"soon\": want a duration from 0s to 1h0m0s, like 200ms\n"},
		{query: "burn=2h", status: 400, body: "burn=\"2h\": want a duration from 0s to 1h0m0s, like 200ms\n"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			began := time.Now()
			got := do(t, client(t, "HTTP/1.1"), "GET", s.url("http", "/?"+tt.query), "")
			if got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			if tt.body == "JSON" {
				decode(t, got.body)
			} else if got.body != tt.body {
				t.Errorf("body %.80q, want %.80q", got.body, tt.body)
			}
			if took := time.Since(began); took < tt.least {
				t.Errorf("took %s, want at least %s", took, tt.least)
			}
		})
	}
}

func TestChunksAreSentAtOnce(t *testing.T) {
	s, _ := start(t, nil)
	response, err := client(t, "HTTP/1.1").Get(s.url("http", "/?chunks=2&interval=1h"))
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("echo-1 1/2\n"))
	if _, err := io.ReadFull(response.Body, line); err != nil || string(line) != "echo-1 1/2\n" {
		t.Errorf("first line: %q, %v", line, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	s, _ := start(t, nil)
	c := client(t, "HTTP/1.1")
	want := func(status int) {
		t.Helper()
		if got := do(t, c, "GET", s.url("http", "/healthz"), ""); got.status != status {
			t.Errorf("healthz: %d %s, want %d", got.status, got.body, status)
		}
	}
	want(200)
	do(t, c, "POST", s.url("http", "/unhealthy"), "")
	want(503)
	do(t, c, "POST", s.url("http", "/healthy"), "")
	want(200)
}

// TestShutdown checks that a request under way is finished, and that healthz warns before the listeners close.
func TestShutdown(t *testing.T) {
	s, end := start(t, func(c *config) { c.delayShutdown = 300 * time.Millisecond })
	slow := make(chan int, 1)
	c := client(t, "HTTP/1.1")
	go func() {
		response, err := c.Get(s.url("http", "/?delay=700ms"))
		if err != nil {
			t.Error(err)
			slow <- 0
			return
		}
		_ = response.Body.Close()
		slow <- response.StatusCode
	}()
	time.Sleep(100 * time.Millisecond)
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	time.Sleep(100 * time.Millisecond)
	if got := do(t, client(t, "HTTP/1.1"), "GET", s.url("http", "/healthz"), ""); got.status != 503 {
		t.Errorf("healthz during the delay: %d", got.status)
	}
	if got := <-slow; got != 200 {
		t.Errorf("the request under way: %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", s.addresses()["http"]); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}
