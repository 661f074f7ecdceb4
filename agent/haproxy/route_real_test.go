// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// TestRouting: a request comes to the route that its host, path, method, headers and query ask for.
func TestRouting(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		pools := func(names ...string) (out []model.Pool) {
			for _, name := range names {
				out = append(out, poolOf(name, member(t, name)))
			}
			return out
		}
		route := func(name string, hostnames []string, matches ...model.Match) model.Route {
			return model.Route{Name: name, Hostnames: hostnames, Matches: matches, Action: to(name)}
		}
		cfg := web(pools("any", "shop", "wild", "api", "cart", "beta", "debug", "files", "post"),
			route("any", nil),
			route("shop", []string{"shop.example.com"}),
			route("wild", []string{"*.example.com"}),
			route("api", []string{"shop.example.com"}, path(model.PathPrefix, "/api/")),
			route("cart", []string{"shop.example.com"}, path(model.PathExact, "/api/cart")),
			route("beta", []string{"shop.example.com"}, model.Match{
				Path:    &model.PathMatch{Type: model.PathPrefix, Value: "/api"},
				Headers: []model.ValueMatch{{Name: "X-Beta", Type: model.ValueExact, Value: "it's }"}, {Name: "X-Who", Type: model.ValuePresent}},
			}),
			route("debug", []string{"*.example.com"}, model.Match{Query: []model.ValueMatch{
				{Name: "de'bug(x),", Type: model.ValueExact, Value: "a b"}, {Name: "on", Type: model.ValuePresent}, {Name: "n", Type: model.ValueRegex, Value: "^[0-9]+$"}}}),
			route("files", nil, path(model.PathRegex, `\.(png|jpg)$`)),
			route("post", nil, model.Match{Methods: []string{"POST", "PUT"}}),
		)
		s := run(t, v, cfg, nil)
		beta := http.Header{"X-Beta": {"it's }"}, "X-Who": {"me"}}
		for _, c := range []struct {
			question
			want string
		}{
			{question{url: "http://other.test/"}, "any"},
			{question{url: "http://shop.example.com/"}, "shop"},
			{question{url: "http://SHOP.example.com.:8080/x?y"}, "shop"},
			{question{url: "http://a.example.com/"}, "wild"},
			{question{url: "http://a.b.example.com/api"}, "wild"},
			{question{url: "http://example.com/"}, "any"},
			{question{url: "http://shop.example.com/api"}, "api"},
			{question{url: "http://shop.example.com/api/"}, "api"},
			{question{url: "http://shop.example.com/api/x?/y"}, "api"},
			{question{url: "http://shop.example.com/apiary"}, "shop"},
			{question{url: "http://shop.example.com/API"}, "shop"},
			{question{url: "http://shop.example.com/api/cart"}, "cart"},
			{question{url: "http://shop.example.com/api/cart/"}, "api"},
			{question{url: "http://shop.example.com/api/x", header: beta}, "beta"},
			{question{url: "http://shop.example.com/api/cart", header: beta}, "cart"},
			{question{url: "http://shop.example.com/apiary", header: beta}, "shop"},
			{question{url: "http://shop.example.com/api", header: http.Header{"X-Beta": {"it's }"}}}, "api"},
			{question{url: "http://a.example.com/?de'bug(x),=a+b&on&n=12"}, "debug"},
			{question{url: "http://a.example.com/?de'bug(x),=a%20b&on=1&n=12"}, "debug"},
			{question{url: "http://a.example.com/?de'bug(x),=a%20b&one=1&n=12"}, "wild"},
			{question{url: "http://a.example.com/?de'bug(x),=a%20b&on=1&n=x"}, "wild"},
			{question{url: "http://shop.example.com/?de'bug(x),=a+b&on&n=12"}, "shop"},
			{question{url: "http://other.test/a.png"}, "files"},
			{question{url: "http://other.test/a.png/"}, "any"},
			{question{url: "http://a.example.com/a.png"}, "wild"},
			{question{url: "http://other.test/", method: http.MethodPut}, "post"},
			{question{url: "http://other.test/a.png", method: http.MethodPut}, "files"},
		} {
			got := s.ask(c.question)
			if got.member == nil || got.member.Member != c.want {
				t.Errorf("%s %s %v: %d %+v, want %s", c.method, c.url, c.header, got.status, got.member, c.want)
			}
		}
	})
}

// TestRoutingToPoolsAlone: routes that decide nothing but the pool are found in one look, and come to the same as others.
func TestRoutingToPoolsAlone(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		var pools []model.Pool
		for _, name := range []string{"any", "shop", "api", "cart", "left", "right"} {
			pools = append(pools, poolOf(name, member(t, name)))
		}
		route := func(name string, hostnames []string, matches ...model.Match) model.Route {
			return model.Route{Name: name, Hostnames: hostnames, Matches: matches, Action: to(name)}
		}
		both := model.Route{Name: "both", Hostnames: []string{"shop.test"}, Matches: []model.Match{path(model.PathPrefix, "/api/both")},
			Action: model.Action{Pools: []model.WeightedPool{{Pool: "left", Weight: 1}, {Pool: "right", Weight: 1}}}}
		one := both
		one.Name, one.Matches = "one", []model.Match{path(model.PathExact, "/api/one")}
		one.Action = model.Action{Pools: []model.WeightedPool{{Pool: "left", Weight: 0}, {Pool: "right", Weight: 1}}}
		s := run(t, v, web(pools, route("any", nil), route("shop", []string{"shop.test"}), route("api", []string{"shop.test"}, path(model.PathPrefix, "/api")),
			route("cart", []string{"shop.test"}, path(model.PathExact, "/api/cart")), both, one), nil)
		for url, want := range map[string]string{
			"http://other.test/api": "any", "http://SHOP.test.:80/": "shop", "http://shop.test/api": "api", "http://shop.test/api/": "api",
			"http://shop.test/apiary": "shop", "http://shop.test/api/cart": "cart", "http://shop.test/api/cart/": "api",
			"http://shop.test/api/cart?/x": "cart", "http://shop.test/api/one": "right", "http://shop.test/api/one/x": "api",
		} {
			if got := s.ask(question{url: url}); got.member == nil || got.member.Member != want {
				t.Errorf("%s: %d %+v, want %s", url, got.status, got.member, want)
			}
		}
		seen := map[string]int{}
		for range 60 {
			if got := s.ask(question{url: "http://shop.test/api/both/x"}); got.member != nil {
				seen[got.member.Member]++
			}
		}
		if seen["left"]+seen["right"] != 60 || seen["left"] == 0 || seen["right"] == 0 {
			t.Errorf("a route with two pools went to %v", seen)
		}
		if got := s.raw("web", "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, " 200 OK") {
			t.Errorf("without a host: %s", got)
		}
	})
}

// TestNoRoute: what no route matches is answered 404, or goes to the listener's own pool.
func TestNoRoute(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := web([]model.Pool{poolOf("rest", member(t, "rest")), poolOf("empty")},
			model.Route{Name: "none", Hostnames: []string{"none.test"}, Listeners: []string{"web", "open"}, Action: model.Action{
				Pools: []model.WeightedPool{{Pool: "rest", Weight: 0}}}},
			model.Route{Name: "empty", Hostnames: []string{"empty.test"}, Action: to("empty")},
			model.Route{Name: "beta", Hostnames: []string{"beta.test"}, Action: to("rest"),
				Matches: []model.Match{{Headers: []model.ValueMatch{{Name: "x", Type: model.ValuePresent}}}}})
		open := listener("open", model.HTTP)
		open.Pool = "rest"
		cfg.Listeners = append(cfg.Listeners, open)
		s := run(t, v, cfg, nil)
		for _, c := range []struct {
			listener, url string
			want          int
		}{
			{"web", "http://other.test/", 404},
			{"open", "http://other.test/", 200},
			{"web", "http://beta.test/", 404},
			{"web", "http://none.test/", 503},
			{"open", "http://none.test/", 503},
			{"web", "http://empty.test/", 503},
		} {
			if got := s.ask(question{listener: c.listener, url: c.url}); got.status != c.want {
				t.Errorf("%s %s: %d, want %d", c.listener, c.url, got.status, c.want)
			}
		}
		for request, want := range map[string]string{
			"GET / HTTP/1.0\r\n\r\n":                        "HTTP/1.1 404 Not Found",
			"OPTIONS * HTTP/1.1\r\nHost: rest.test\r\n\r\n": "HTTP/1.1 404 Not Found",
		} {
			if got := s.raw("web", request); got != want {
				t.Errorf("%q: %s, want %s", request, got, want)
			}
		}
	})
}

// TestPlainRoutesNeedNoReload: a route that has only hostnames, paths and pools changes no line of the config.
func TestPlainRoutesNeedNoReload(t *testing.T) {
	base := func() *model.Config {
		cfg := web([]model.Pool{poolOf("one"), poolOf("two")},
			model.Route{Name: "one", Action: to("one")},
			model.Route{Name: "beta", Hostnames: []string{"*.example.com"}, Action: to("two"),
				Matches: []model.Match{{Headers: []model.ValueMatch{{Name: "x", Type: model.ValuePresent}}}, path(model.PathRegex, "x$")}})
		cfg.Listeners[0].Port, cfg.Listeners[0].BindPort = 80, 10080
		return cfg
	}
	build := func(cfg *model.Config) *haproxy.Structure {
		s, err := haproxy.Build(cfg, nil, haproxy.Options{Dir: "/run/fairlead", Version: haproxy.Version{Major: 3, Minor: 2}})
		if err != nil || len(s.Refusals) > 0 {
			t.Fatal(err, s)
		}
		return s
	}
	before := build(base()).Hash()
	split := []model.WeightedPool{{Pool: "one", Weight: 1}, {Pool: "two", Weight: 3}}
	for name, c := range map[string]struct {
		route model.Route
		same  bool
	}{
		"hostname":       {model.Route{Hostnames: []string{"a.example.com", "*.b.example.com"}, Action: to("two")}, true},
		"paths":          {model.Route{Matches: []model.Match{path(model.PathPrefix, "/a"), path(model.PathExact, "/b")}, Action: to("two")}, true},
		"split":          {model.Route{Hostnames: []string{"a.test"}, Action: model.Action{Pools: split}}, true},
		"header":         {model.Route{Matches: []model.Match{{Headers: []model.ValueMatch{{Name: "y", Type: model.ValuePresent}}}}, Action: to("two")}, false},
		"rewrite":        {model.Route{Rewrite: &model.Rewrite{Path: "/x"}, Action: to("two")}, false},
		"its own answer": {model.Route{Action: model.Action{Respond: &model.Respond{Status: 200, Body: "x"}}}, false},
	} {
		cfg := base()
		c.route.Name, c.route.Listeners = "new", []string{"web"}
		// First, so that whatever is numbered moves.
		cfg.Routes = append([]model.Route{c.route}, cfg.Routes...)
		if after := build(cfg).Hash(); (after == before) != c.same {
			t.Errorf("%s: the same structure %t, want %t", name, after == before, c.same)
		}
	}
}
