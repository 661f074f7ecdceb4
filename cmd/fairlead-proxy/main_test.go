// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead/fairlead/test/haproxy"
)

const (
	patience = 30 * time.Second
	// asProgram makes the test's binary the program itself.
	asProgram = "FAIRLEAD_PROXY_AS_PROGRAM"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		// What the first process of a container is by nature: the parent of orphans.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		main()
	}
	os.Exit(m.Run())
}

// program is a running fairlead-proxy.
type program struct {
	*testing.T
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	client http.Client
}

func startProgram(t *testing.T, dir, haproxy string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{T: t, dir: dir, exited: make(chan struct{})}
	p.cmd = exec.Command(self, append([]string{"run", "--dir=" + dir, "--haproxy=" + haproxy}, args...)...)
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		_ = log.Close()
		close(p.exited)
	}()
	p.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, proxySocket))
	}}
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		if t.Failed() {
			data, _ := os.ReadFile(log.Name())
			t.Logf("it wrote:\n%s", data)
		}
	})
	return p
}

func (p *program) eventually(what string, ask func() error) {
	p.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("not in time: %s: %v", what, err)
		}
	}
}

func (p *program) status() (status, error) {
	var st status
	resp, err := p.client.Get("http://proxy/status")
	if err != nil {
		return st, err
	}
	defer func() { _ = resp.Body.Close() }()
	err = json.NewDecoder(resp.Body).Decode(&st)
	return st, err
}

func (p *program) waits() {
	p.Helper()
	p.eventually("it answers", func() error {
		_, err := p.status()
		return err
	})
}

// serves waits for an answer with the body.
func (p *program) serves(body string) {
	p.Helper()
	p.eventually("HAProxy answers "+body, func() error {
		got, err := get(p.dir)
		if err == nil && got != body {
			err = errors.New(got)
		}
		return err
	})
}

// exit waits for the end and gives its status.
func (p *program) exit() int {
	p.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.Fatal("it has not ended")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) write(name, text string) string {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		p.Fatal(err)
	}
	return path
}

// answering is a configuration that answers all with one word.
func answering(dir, word string) string {
	return fmt.Sprintf(`
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend f
  bind unix@%s/f.sock
  http-request return status 200 content-type text/plain string %s
`, dir, word)
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

func TestWaitsForTheFirstGoodConfiguration(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		dir := v.Dir(t)
		p := startProgram(t, dir, v.Program)
		p.waits()
		st, err := p.status()
		if err != nil || st.Running || st.PID != 0 || st.Starts != 0 || !strings.HasPrefix(st.Version, v.Name+".") {
			t.Fatalf("before there is a configuration its status is %+v, %v", st, err)
		}
		p.write(configFile, "nonsense\n")
		p.eventually("it tells of the bad configuration", func() error {
			data, err := os.ReadFile(filepath.Join(dir, "log"))
			if err == nil && !bytes.Contains(data, []byte("refuses the configuration")) {
				err = errors.New("nothing in its log")
			}
			return err
		})
		p.write(configFile, answering(dir, "hello"))
		p.serves("hello")
		st, err = p.status()
		if err != nil || !st.Running || st.PID == 0 || st.Starts != 1 {
			t.Errorf("with a configuration its status is %+v, %v", st, err)
		}
	})
}

func TestChecks(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		dir := v.Dir(t)
		p := startProgram(t, dir, v.Program)
		p.waits()
		for name, test := range map[string]struct {
			config string
			code   int
			ok     bool
			output string
		}{
			"good":             {p.write("good.cfg", answering(dir, "hello")), 200, true, ""},
			"bad":              {p.write("bad.cfg", answering(dir, "hello")+"  no-such-word\n"), 200, false, "no-such-word"},
			"missing":          {filepath.Join(dir, "none.cfg"), 200, false, "none.cfg"},
			"outside":          {"/etc/passwd", 400, false, "must be below"},
			"outside by dots":  {dir + "/../x.cfg", 400, false, "must be below"},
			"relative":         {"good.cfg", 400, false, "must be below"},
			"the folder":       {dir, 400, false, "must be below"},
			"the folder's end": {dir + "x/good.cfg", 400, false, "must be below"},
		} {
			body, err := json.Marshal(checkRequest{Config: test.config})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.client.Post("http://proxy/check", "application/json", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			var result checkResult
			if err == nil && resp.StatusCode == http.StatusOK {
				err = json.Unmarshal(answer, &result)
			}
			if err != nil || resp.StatusCode != test.code || result.OK != test.ok || !strings.Contains(string(answer), test.output) {
				t.Errorf("%s: %d %v %s", name, resp.StatusCode, err, answer)
			}
		}
	})
}

func TestDrainsWhenItIsToldToStop(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		arrived, release := make(chan string, 2), make(chan struct{})
		member := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			arrived <- ""
			<-release
			_, _ = io.WriteString(w, "late")
		}))
		defer member.Close()
		dir := v.Dir(t)
		config := strings.ReplaceAll(answering(dir, "x"), "http-request return status 200 content-type text/plain string x", "default_backend b") +
			"backend b\n  server s " + strings.TrimPrefix(member.URL, "http://") + "\n"
		p := startProgram(t, dir, v.Program, "--delay=1s")
		p.waits()
		p.write(configFile, config)
		p.eventually("HAProxy runs", func() error {
			conn, err := net.Dial("unix", filepath.Join(dir, "f.sock"))
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.eventually("it says that it was told", func() error {
			data, err := os.ReadFile(filepath.Join(dir, "log"))
			if err == nil && !bytes.Contains(data, []byte("Told to stop")) {
				err = errors.New("nothing in its log")
			}
			return err
		})
		// A new connection within the delay, whose answer comes after it.
		body, failed := make(chan string, 1), make(chan error, 1)
		go func() {
			text, err := get(dir)
			body <- text
			failed <- err
		}()
		<-arrived
		p.eventually("HAProxy takes no new connections", func() error {
			conn, err := net.Dial("unix", filepath.Join(dir, "f.sock"))
			if err != nil {
				return nil //nolint:nilerr // It is what is waited for.
			}
			return errors.Join(errors.New("it still does"), conn.Close())
		})
		select {
		case <-p.exited:
			t.Fatal("it ended while a request was open")
		default:
		}
		close(release)
		if text, err := <-body, <-failed; text != "late" || err != nil {
			t.Errorf("the open request got %q, %v", text, err)
		}
		if code := p.exit(); code != 0 {
			t.Errorf("it ended with status %d", code)
		}
	})
}

func TestEndsWithHAProxy(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		dir := v.Dir(t)
		p := startProgram(t, dir, v.Program)
		p.write(configFile, answering(dir, "hello"))
		p.serves("hello")
		st, err := p.status()
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() {
			resp, err := p.client.Get("http://proxy/wait")
			if err == nil {
				err = fmt.Errorf("answered %s", resp.Status)
				_ = resp.Body.Close()
			}
			waited <- err
		}()
		select {
		case err := <-waited:
			t.Fatalf("the wait ended before HAProxy did: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; strings.Contains(err.Error(), "answered") {
			t.Errorf("the wait ended with %v", err)
		}
		if code := p.exit(); code != 128+int(syscall.SIGKILL) {
			t.Errorf("it ended with status %d", code)
		}
		// The container's next start finds the configuration, and the sockets of the dead one.
		again := startProgram(t, dir, v.Program)
		again.serves("hello")
	})
}

func TestStopsWithoutConfiguration(t *testing.T) {
	v := haproxy.Versions(t)[0]
	p := startProgram(t, v.Dir(t), v.Program)
	p.waits()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("it ended with status %d", code)
	}
}

// TestReapsOrphans has a process in place of HAProxy that leaves a child behind.
func TestReapsOrphans(t *testing.T) {
	v := haproxy.Versions(t)[0]
	dir := v.Dir(t)
	script := filepath.Join(dir, "haproxy")
	text := "#!/bin/sh\ncase $1 in -v) echo 'HAProxy version 9.9.9 2026/01/01';; -c) ;; *) sh -c 'sleep 0.1 & echo $! >" + dir + "/orphan.new'; mv " +
		dir + "/orphan.new " + dir + "/orphan; exec sleep 1000;; esac\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, dir, script)
	p.write(configFile, "")
	p.eventually("the orphan is gone", func() error {
		pid, err := os.ReadFile(filepath.Join(dir, "orphan"))
		if err != nil {
			return err
		}
		if _, err = os.Stat("/proc/" + strings.TrimSpace(string(pid))); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%s is still there (%w)", pid, err)
	})
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if code, err := command([]string{"install", dir}, io.Discard); code != 0 || err != nil {
			t.Fatal(code, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "fairlead-proxy")
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the copy has %d bytes of %d, %v", len(got), len(want), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside it is something: %v, %v", entries, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{nil, {"walk"}, {"run", "--no-such-flag"}, {"run", "more"}, {"run", "--delay=-1s"}, {"install"}, {"run", "--haproxy=/none", "--dir=/none"}} {
		if code, err := command(args, io.Discard); code == 0 || err == nil {
			t.Errorf("%q gives %d, %v", args, code, err)
		}
	}
	var out bytes.Buffer
	if code, _ := command([]string{"--help"}, &out); code != 0 || !strings.Contains(out.String(), "-delay") {
		t.Errorf("help gives %d: %s", code, out.String())
	}
}
