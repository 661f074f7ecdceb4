// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// handshake connects by TLS and asks.
func (f *features) handshake(t *testing.T, port int, config *tls.Config, http2 bool) (*got, error) {
	t.Helper()
	config.RootCAs = f.ca.pool()
	target := fmt.Sprintf("https://%s:%d/", config.ServerName, port)
	return try(t.Context(), target, question{client: tlsClient(f.address, config, http2)})
}

// tls shakes hands in every way.
func (f *features) tls(t *testing.T) {
	certificate := []tls.Certificate{f.ca.client(t, "ann")}
	stranger := []tls.Certificate{newAuthority(t).client(t, "eve")}
	for name, c := range map[string]struct {
		port    int
		config  *tls.Config
		http2   bool
		refused bool
		proto   string
	}{
		"first certificate":               {port: 443, config: &tls.Config{ServerName: "a.test"}, proto: "HTTP/1.1"},
		"second certificate by its name":  {port: 443, config: &tls.Config{ServerName: "b.test"}, proto: "HTTP/1.1"},
		"a name without a certificate":    {port: 443, config: &tls.Config{ServerName: "c.test"}, refused: true},
		"HTTP/2":                          {port: 443, config: &tls.Config{ServerName: "a.test"}, http2: true, proto: "HTTP/2.0"},
		"HTTP/2 is not offered":           {port: 8445, config: &tls.Config{ServerName: "a.test"}, http2: true, proto: "HTTP/1.1"},
		"older than the least version":    {port: 443, config: &tls.Config{ServerName: "a.test", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, refused: true},
		"1.2 where 1.3 is the least":      {port: 8445, config: &tls.Config{ServerName: "a.test", MaxVersion: tls.VersionTLS12}, refused: true},
		"1.3 where 1.2 is the most":       {port: 8446, config: &tls.Config{ServerName: "a.test", MinVersion: tls.VersionTLS13}, refused: true},
		"the cipher":                      {port: 8446, config: &tls.Config{ServerName: "a.test", CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, proto: "HTTP/1.1"},
		"another cipher":                  {port: 8446, config: &tls.Config{ServerName: "a.test", CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, refused: true},
		"client certificate":              {port: 8443, config: &tls.Config{ServerName: "a.test", Certificates: certificate}, proto: "HTTP/1.1"},
		"no client certificate":           {port: 8443, config: &tls.Config{ServerName: "a.test"}, refused: true},
		"a stranger's client certificate": {port: 8443, config: &tls.Config{ServerName: "a.test", Certificates: stranger}, refused: true},
		"optional, with one":              {port: 8444, config: &tls.Config{ServerName: "a.test", Certificates: certificate}, proto: "HTTP/1.1"},
		"optional, without":               {port: 8444, config: &tls.Config{ServerName: "a.test"}, proto: "HTTP/1.1"},
		"optional, with a stranger's":     {port: 8444, config: &tls.Config{ServerName: "a.test", Certificates: stranger}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := f.handshake(t, c.port, c.config, c.http2)
			switch {
			case c.refused && err == nil:
				t.Errorf("it was served")
			case !c.refused && err != nil:
				t.Error(err)
			case !c.refused && (a.from() != "blue" || a.proto != c.proto || a.echoed.Headers.Get("X-Forwarded-Proto") != "https"):
				t.Errorf("answered by %q, %s, %v", a.from(), a.proto, a.echoed.Headers)
			}
		})
	}
	t.Run("passed on by its name", func(t *testing.T) {
		a, err := f.handshake(t, 9443, &tls.Config{ServerName: "secure.test"}, false)
		if err != nil {
			t.Fatal(err)
		}
		if a.from() != "secure" || a.echoed.TLS == nil || a.echoed.TLS.SNI != "secure.test" {
			t.Errorf("answered by %q, %+v", a.from(), a.echoed.TLS)
		}
		if _, err := f.handshake(t, 9443, &tls.Config{ServerName: "a.test"}, false); err == nil {
			t.Error("a name of no route was served")
		}
	})
}

// streams talks to TCP listeners.
func (f *features) streams(t *testing.T) {
	t.Run("lines", func(t *testing.T) {
		c := f.connect(t, 9000)
		lines := bufio.NewScanner(c)
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "blue-") {
			t.Fatalf("greeted by %q, %v", lines.Text(), lines.Err())
		}
		for _, line := range []string{"one", "two"} {
			if _, err := fmt.Fprintln(c, line); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() || lines.Text() != line {
				t.Fatalf("%q came back as %q, %v", line, lines.Text(), lines.Err())
			}
		}
	})
	t.Run("the member is told of the client", func(t *testing.T) {
		lines := bufio.NewScanner(f.connect(t, 9001))
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		name, remote, _ := strings.Cut(lines.Text(), " ")
		host, _, err := net.SplitHostPort(remote)
		if err != nil || !strings.HasPrefix(name, "proxied-") || strings.HasPrefix(host, "10.244.") {
			t.Errorf("greeted by %q; want the address of the client, not of a pod", lines.Text())
		}
	})
	t.Run("the listener is told of the client", func(t *testing.T) {
		a := f.proxied(t, "203.0.113.7")
		if a.status != 200 || a.echoed.Headers.Get("X-Forwarded-For") != "203.0.113.7" {
			t.Errorf("answered %d; the member was told %v", a.status, a.echoed.Headers)
		}
	})
}

func (f *features) connect(t *testing.T, port int) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", f.address, port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// proxied asks the listener that expects the PROXY protocol, in the name of a client.
func (f *features) proxied(t *testing.T, client string) *got {
	t.Helper()
	c := f.connect(t, 8081)
	_, err := fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.1 40000 80\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", client)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return read(t, response)
}

// listeners asks those that answer by themselves, or not at all.
func (f *features) listeners(t *testing.T) {
	t.Run("redirect", func(t *testing.T) {
		a := ask(t, f.at(8082)+"/x?y=z", question{host: "a.test"})
		if location := a.headers.Get("Location"); a.status != 301 || location != "https://a.test/x?y=z" {
			t.Errorf("answered %d %q", a.status, location)
		}
	})
	t.Run("denied addresses", func(t *testing.T) {
		if a, err := try(t.Context(), f.at(8083)+"/", question{}); err == nil {
			t.Errorf("answered %d", a.status)
		}
	})
	t.Run("allowed addresses", func(t *testing.T) {
		if a := ask(t, f.at(8084)+"/", question{}); a.status != 200 {
			t.Errorf("answered %d", a.status)
		}
	})
	t.Run("a client that is slow with its request", func(t *testing.T) {
		c := f.connect(t, 8085)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		answer, err := io.ReadAll(c)
		if took := time.Since(begin); err != nil && !errors.Is(err, net.ErrClosed) || took > 5*time.Second {
			t.Errorf("after %s the connection is open: %v", took, err)
		}
		if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
			t.Errorf("answered %q; want 408", answer)
		}
	})
	t.Run("a connection that is not used", func(t *testing.T) {
		c := f.connect(t, 8085)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("it is not closed: %v", err)
		}
	})
}
