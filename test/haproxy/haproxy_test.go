// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/haproxy"
)

const patience = 20 * time.Second

// write puts a configuration into a folder that exists.
func write(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answering listens on a Unix socket in the folder, and greets with what a file beside it says.
func answering(dir string) string {
	return fmt.Sprintf(`
defaults
  mode http
  timeout client 5s
frontend f
  bind unix@%[1]s/f.sock
  http-request return status 200 content-type text/plain file %[1]s/greeting
`, dir)
}

func get(dir string) (string, error) {
	conn, err := net.Dial("unix", filepath.Join(dir, "f.sock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	data, err := io.ReadAll(conn)
	_, body, _ := strings.Cut(string(data), "\r\n\r\n")
	return body, err
}

func greet(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "greeting"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCheck(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		dir := v.Dir(t)
		greet(t, dir, "hello")
		if out, ok := v.Check(t, write(t, dir, answering(dir))); !ok {
			t.Errorf("refused: %s", out)
		}
		out, ok := v.Check(t, write(t, dir, answering(dir)+"  no-such-word\n"))
		if ok || !strings.Contains(out, "no-such-word") {
			t.Errorf("ok %t: %q does not name the word", ok, out)
		}
	})
}

// TestReload has the master start itself anew: HAProxy must find itself and its libraries again.
func TestReload(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				dir := v.Dir(t)
				greet(t, dir, "before")
				p := v.Start(t, write(t, dir, answering(dir)))
				if body, err := get(dir); body != "before" || err != nil {
					t.Fatal(body, err)
				}
				greet(t, dir, "after")
				if err := p.Signal(syscall.SIGUSR2); err != nil {
					t.Fatal(err)
				}
				eventually(t, "reload", func() error {
					body, err := get(dir)
					if err == nil && body != "after" {
						err = errors.New(body)
					}
					return err
				})
				pid := p.PID()
				if err := p.Kill(); err != nil {
					t.Error(err)
				}
				if daemon.Running(pid) || p.Alive() {
					t.Error("the master still runs")
				}
				if _, err := get(dir); err == nil {
					t.Error("a worker still runs")
				}
				if !strings.Contains(p.Log(), "worker") {
					t.Errorf("a log without the workers: %q", p.Log())
				}
			})
		}
	})
}

func TestVersions(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		dir := v.Dir(t)
		// The configuration language knows its version.
		config := fmt.Sprintf(".if !version_atleast(%[1]s) || version_atleast(%[1]s.1000)\n.alert \"not %[1]s\"\n.endif\n", v)
		greet(t, dir, "hello")
		if out, ok := v.Check(t, write(t, dir, config+answering(dir))); !ok {
			t.Error(out)
		}
	})
}
