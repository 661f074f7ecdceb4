// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// TestRoutingAsTheModelSays compares a real HAProxy with a matcher that tries the model's rules one by one.
func TestRoutingAsTheModelSays(t *testing.T) {
	const listeners, routes, requests = 6, 60, 400
	seed := rand.Uint64()
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		r := dice{rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // a seed that the test tells
		cfg := web(nil)
		cfg.Listeners = nil
		for i := range listeners {
			l := listener(fmt.Sprintf("l%d", i), model.HTTP)
			if i%2 == 1 {
				l.Hostnames = r.some(2, hostnames)
			}
			cfg.Listeners = append(cfg.Listeners, l)
		}
		for i := range routes {
			cfg.Routes = append(cfg.Routes, r.route(fmt.Sprintf("r%d", i), listeners))
		}
		s := run(t, v, cfg, nil)
		if len(s.structure.Refusals) > 0 {
			t.Fatal(s.structure.Refusals)
		}
		found := 0
		for i := range cfg.Listeners {
			l := &cfg.Listeners[i]
			hosts := cfg.Rules(l)
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", s.address(l.Name))
			}}}
			for range requests {
				req := r.request(t)
				response, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				want := choose(hosts, req)
				if want != "" {
					found++
				}
				if got := response.Header.Get("X-Route"); got != want {
					t.Fatalf("seed %d: %s %s %v at %s comes to %q, want %q", seed, req.Method, req.URL, req.Header, l.Name, got, want)
				}
			}
			client.CloseIdleConnections()
		}
		if found < requests {
			t.Errorf("seed %d: %d requests of %d came to a route, which tests too little", seed, found, listeners*requests)
		}
	})
}

var (
	hostnames = []string{"a.test", "b.a.test", "c.b.a.test", "aa.test", "*.test", "*.a.test", "*.b.a.test"}
	asked     = []string{"a.test", "b.a.test", "x.a.test", "c.b.a.test", "aa.test", "y.x.test", "test", "other.example"}
	elements  = []string{"a", "aa", "b", "%41", "a.b", "x+y", ""}
)

// dice makes routes and requests that meet often.
type dice struct{ *rand.Rand }

func pick[T any](r dice, from []T) T { return from[r.IntN(len(from))] }

func (r dice) some(most int, from []string) []string {
	var out []string
	for range r.IntN(most + 1) {
		out = append(out, pick(r, from))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r dice) path() string {
	var out strings.Builder
	for range 1 + r.IntN(3) {
		out.WriteString("/" + pick(r, elements))
	}
	return out.String()
}

func (r dice) route(name string, listeners int) model.Route {
	route := model.Route{Name: name, Listeners: []string{fmt.Sprintf("l%d", r.IntN(listeners))}, Hostnames: r.some(2, hostnames),
		Action: model.Action{Respond: &model.Respond{Status: 200, Headers: []model.Header{{Name: "X-Route", Value: name}}}}}
	for range r.IntN(3) {
		var m model.Match
		switch r.IntN(8) {
		case 0:
		case 1, 2:
			m.Path = &model.PathMatch{Type: model.PathExact, Value: r.path()}
		case 3:
			m.Path = &model.PathMatch{Type: model.PathRegex, Value: pick(r, []string{"/a+$", "^/b/", `\.`, "x.y|%41"})}
		default:
			m.Path = &model.PathMatch{Type: model.PathPrefix, Value: r.path()}
		}
		if r.IntN(4) == 0 {
			m.Methods = []string{pick(r, []string{"GET", "PUT"})}
		}
		if r.IntN(4) == 0 {
			m.Headers = append(m.Headers, r.value("X-"+pick(r, []string{"A", "B"})))
		}
		if r.IntN(4) == 0 {
			m.Query = append(m.Query, r.value(pick(r, []string{"q", "qq"})))
		}
		route.Matches = append(route.Matches, m)
	}
	return route
}

func (r dice) value(name string) model.ValueMatch {
	switch r.IntN(3) {
	case 0:
		return model.ValueMatch{Name: name, Type: model.ValuePresent}
	case 1:
		return model.ValueMatch{Name: name, Type: model.ValueRegex, Value: pick(r, []string{"^1", "2$", "^$"})}
	default:
		return model.ValueMatch{Name: name, Type: model.ValueExact, Value: pick(r, []string{"1", "12", "a b", ""})}
	}
}

func (r dice) request(t *testing.T) *http.Request {
	t.Helper()
	target := r.path()
	query := url.Values{}
	for _, name := range r.some(2, []string{"q", "qq", "r"}) {
		query.Set(name, pick(r, []string{"1", "12", "a b", ""}))
	}
	host := pick(r, asked)
	if r.IntN(4) == 0 {
		host = strings.ToUpper(host) + ".:8080"
	}
	req, err := http.NewRequestWithContext(t.Context(), pick(r, []string{"GET", "PUT"}), "http://"+host, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque, req.URL.RawQuery = target, query.Encode()
	if strings.HasPrefix(target, "//") {
		// It would be taken for a host.
		req.URL.Opaque = "/" + strings.TrimLeft(target, "/")
	}
	for _, name := range r.some(2, []string{"X-A", "X-B"}) {
		req.Header.Set(name, pick(r, []string{"1", "12", "a b"}))
	}
	return req
}

// choose is the reference: the first rule of the most specific virtual host.
func choose(hosts []model.VirtualHost, req *http.Request) string {
	name, _, _ := strings.Cut(strings.ToLower(req.URL.Host), ":")
	name = strings.TrimRight(name, ".")
	for _, host := range hosts {
		if !model.Covers(host.Hostname, name) {
			continue
		}
		for _, rule := range host.Rules {
			if matches(rule.Match, req) {
				return rule.Route.Name
			}
		}
		return ""
	}
	return ""
}

func matches(m model.Match, req *http.Request) bool {
	path := req.URL.Opaque
	if p := m.Path; p != nil {
		switch p.Type {
		case model.PathExact:
			if path != p.Value {
				return false
			}
		case model.PathRegex:
			if !regexp.MustCompile(p.Value).MatchString(path) {
				return false
			}
		default:
			if prefix := strings.TrimRight(p.Value, "/"); path != prefix && !strings.HasPrefix(path, prefix+"/") {
				return false
			}
		}
	}
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, req.Method) {
		return false
	}
	for _, header := range m.Headers {
		if values := req.Header.Values(header.Name); !hasValue(header, len(values) > 0, strings.Join(values, "")) {
			return false
		}
	}
	query := req.URL.Query()
	for _, parameter := range m.Query {
		if !hasValue(parameter, query.Has(parameter.Name), query.Get(parameter.Name)) {
			return false
		}
	}
	return true
}

func hasValue(m model.ValueMatch, present bool, value string) bool {
	switch m.Type {
	case model.ValuePresent:
		return present
	case model.ValueRegex:
		return present && regexp.MustCompile(m.Value).MatchString(value)
	default:
		return present && value == m.Value
	}
}
