// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"
)

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); err != nil || got != want+"\n" {
		t.Errorf("%.80q, %v; want %.80q", got, err, want)
	}
}

func TestTCP(t *testing.T) {
	s, end := start(t, nil)
	c := dial(t, s.addresses()["tcp"])
	r := bufio.NewReader(c)
	wantLine(t, r, "echo-1")
	for _, line := range []string{"hello", "", strings.Repeat("long", 5000)} {
		if _, err := io.WriteString(c, line+"\n"); err != nil {
			t.Fatal(err)
		}
		wantLine(t, r, line)
	}
	if err := end(); err != nil {
		t.Errorf("an idle connection keeps it from ending: %v", err)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestWebSocket(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			s, end := start(t, nil)
			//nolint:bodyclose // Dial says that nobody has to.
			c, _, err := websocket.Dial(t.Context(), s.url(scheme, "/ws"),
				&websocket.DialOptions{HTTPClient: client(t, "HTTP/1.1")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.CloseNow() }()
			for _, message := range []string{"hello", ""} {
				if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
					t.Fatal(err)
				}
				if kind, got, err := c.Read(t.Context()); err != nil || kind != websocket.MessageText || string(got) != message {
					t.Fatalf("%v %q, %v", kind, got, err)
				}
			}
			ended := make(chan error, 1)
			go func() { ended <- end() }()
			if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("at the end: %v", err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProxyProtocol(t *testing.T) {
	s, _ := start(t, func(c *config) { c.proxyProtocol = true })
	from := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	for _, version := range []byte{0, 1, 2} {
		want := "203.0.113.7:4711"
		greeted := func(t *testing.T, kind string) net.Conn {
			c := dial(t, s.addresses()[kind])
			if version == 0 {
				want = c.LocalAddr().String()
				return c
			}
			if _, err := proxyproto.HeaderProxyFromAddrs(version, from, c.RemoteAddr()).WriteTo(c); err != nil {
				t.Fatal(err)
			}
			return c
		}
		for _, kind := range []string{"http", "https"} {
			t.Run(fmt.Sprintf("%s version %d", kind, version), func(t *testing.T) {
				c := greeted(t, kind)
				if kind == "https" {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				response, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				body, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				if a := decode(t, string(body)); a.Remote != want {
					t.Errorf("remote %q, want %q", a.Remote, want)
				}
			})
		}
		t.Run(fmt.Sprintf("tcp version %d", version), func(t *testing.T) {
			c := greeted(t, "tcp")
			// Without a header it waits for what the connection begins with.
			if _, err := io.WriteString(c, "hello there\n"); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			wantLine(t, r, "echo-1 "+want)
			wantLine(t, r, "hello there")
		})
	}
}

func TestMissingKey(t *testing.T) {
	_, err := listen(config{http: "127.0.0.1:0", cert: "no-such-file"})
	if err == nil || !strings.Contains(err.Error(), "read -cert and -key") {
		t.Errorf("%v", err)
	}
}
