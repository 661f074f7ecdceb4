// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead/fairlead/agent/haproxy"
)

// maxAnswer bounds what is read from the supervisor.
const maxAnswer = 256 << 10

// proxy is a client of fairlead-proxy, the supervisor in HAProxy's container.
type proxy struct{ http http.Client }

func newProxy(dir string) *proxy {
	path := filepath.Join(dir, "proxy.sock")
	return &proxy{http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}}
}

type proxyStatus struct {
	Version string `json:"version"`
	Running bool   `json:"running"`
}

type verdict struct {
	OK     bool   `json:"ok"`
	Output string `json:"output"`
	Failed bool   `json:"failed"`
}

func (p *proxy) ask(ctx context.Context, method, path string, question, answer any) error {
	var body io.Reader
	if question != nil {
		text, err := json.Marshal(question)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://proxy"+path, body)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask HAProxy's container: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask HAProxy's container: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask HAProxy's container: %s: %.200q", resp.Status, text)
	}
	return json.Unmarshal(text, answer)
}

func (p *proxy) status(ctx context.Context) (proxyStatus, error) {
	var s proxyStatus
	err := p.ask(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// await returns when the supervisor answers.
func (p *proxy) await(ctx context.Context, log logr.Logger) (proxyStatus, error) {
	for told := false; ; told = true {
		s, err := p.status(ctx)
		if err == nil {
			return s, nil
		}
		if !told {
			log.Info("Waiting for HAProxy's container", "error", err.Error())
		}
		if !pause(ctx, alivePoll) {
			return s, ctx.Err()
		}
	}
}

// wait returns true when a supervisor that answered has ended, false where none answers.
func (p *proxy) wait(ctx context.Context) bool {
	if _, err := p.status(ctx); err != nil {
		return false
	}
	var nothing struct{}
	_ = p.ask(ctx, http.MethodGet, "/wait", nil, &nothing)
	return true
}

// check has HAProxy read a configuration. The error is for no verdict.
func (p *proxy) check(ctx context.Context, path string) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var v verdict
	if err := p.ask(ctx, http.MethodPost, "/check", map[string]string{"config": path}, &v); err != nil {
		return v, err
	}
	if v.Failed {
		return v, fmt.Errorf("HAProxy came to no verdict: %.200q", v.Output)
	}
	return v, nil
}

// parseVersion takes the first two numbers.
func parseVersion(text string) (haproxy.Version, error) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return haproxy.Version{}, fmt.Errorf("%q is no version of HAProxy", text)
	}
	digits := func(s string) string {
		return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	}
	major, err1 := strconv.Atoi(digits(parts[0]))
	minor, err2 := strconv.Atoi(digits(parts[1]))
	if err1 != nil || err2 != nil {
		return haproxy.Version{}, fmt.Errorf("%q is no version of HAProxy", text)
	}
	return haproxy.Version{Major: major, Minor: minor}, nil
}
