// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// echoed is what the echo server saw of a request.
type echoed struct {
	Name    string      `json:"name"`
	Proto   string      `json:"proto"`
	Method  string      `json:"method"`
	Host    string      `json:"host"`
	Path    string      `json:"path"`
	Headers http.Header `json:"headers"`
	Remote  string      `json:"remote"`
	TLS     *struct {
		SNI      string `json:"sni"`
		ALPN     string `json:"alpn"`
		ClientCN string `json:"clientCN"`
	} `json:"tls"`
}

// got is the answer to a request.
type got struct {
	status  int
	proto   string
	headers http.Header
	body    string
	echoed  echoed
}

// from is the Deployment whose pod answered; empty for the load balancer itself.
func (g *got) from() string {
	app, _, _ := strings.Cut(g.headers.Get("X-Echo-Name"), "-")
	return app
}

// question is a request: a method and URL, and what differs from the usual.
type question struct {
	method  string
	host    string
	headers map[string]string
	client  *http.Client
}

// asker has a connection for each request and follows no redirect.
var asker = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// try sends a request and reads its answer.
func try(ctx context.Context, target string, q question) (*got, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	request.Host = q.host
	for name, value := range q.headers {
		request.Header.Set(name, value)
	}
	client := q.client
	if client == nil {
		client = asker
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	answer := &got{status: response.StatusCode, proto: response.Proto, headers: response.Header, body: string(body)}
	// An answer of the load balancer's own is no JSON.
	_ = json.Unmarshal(body, &answer.echoed)
	return answer, nil
}

// ask is try for a request that must be answered.
func ask(t *testing.T, target string, q question) *got {
	t.Helper()
	answer, err := try(t.Context(), target, q)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// askMany sends a request so often, and counts the answers by the pods that gave them.
func askMany(t *testing.T, number int, target string, q question) map[string]int {
	t.Helper()
	count := map[string]int{}
	for range number {
		count[ask(t, target, q).headers.Get("X-Echo-Name")]++
	}
	return count
}

// byApp sums counts of pods by their Deployment.
func byApp(pods map[string]int) map[string]int {
	apps := map[string]int{}
	for pod, number := range pods {
		app, _, _ := strings.Cut(pod, "-")
		apps[app] += number
	}
	return apps
}

// statuses sends a request so often, and counts the answers by status.
func statuses(t *testing.T, number int, target string, q question) map[int]int {
	t.Helper()
	count := map[int]int{}
	for range number {
		count[ask(t, target, q).status]++
	}
	return count
}

// tlsClient connects to an address whatever the URL's host is, which is sent as the server name.
func tlsClient(address string, config *tls.Config, http2 bool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(target)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, port))
		},
	}
	return &http.Client{Transport: transport}
}

// query puts parameters behind a URL.
func query(target string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return target + "?" + values.Encode()
}
