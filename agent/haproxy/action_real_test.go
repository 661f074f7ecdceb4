// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

func prefix(s string) *string { return &s }

// get is a question for a URL, with pairs of header names and values.
func get(url string, header ...string) question {
	q := question{url: url, header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		q.header.Add(header[i], header[i+1])
	}
	return q
}

// TestRewrite: the member sees another host and path, and the query as it was.
func TestRewrite(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		rewritten := func(name string, how model.Rewrite, matches ...model.Match) model.Route {
			return model.Route{Name: name, Hostnames: []string{name + ".test"}, Matches: matches, Rewrite: &how, Action: to("web")}
		}
		s := run(t, v, web([]model.Pool{poolOf("web", member(t, "web"))},
			rewritten("host", model.Rewrite{Host: "inner.test:81"}),
			rewritten("path", model.Rewrite{Path: "/100%25/'x'/[src]$HOME"}),
			rewritten("prefix", model.Rewrite{PathPrefix: prefix("/new/")}, path(model.PathPrefix, "/old"), path(model.PathPrefix, "/older/one/"),
				model.Match{Path: &model.PathMatch{Type: model.PathPrefix, Value: "/"}, Headers: []model.ValueMatch{{Name: "X", Type: model.ValuePresent}}}),
			rewritten("cut", model.Rewrite{PathPrefix: prefix("/")}, path(model.PathPrefix, "/old")),
			rewritten("add", model.Rewrite{PathPrefix: prefix("/new")}),
		), nil)
		for _, c := range []struct{ url, header, host, target string }{
			{"http://host.test/a?b", "", "inner.test:81", "/a?b"},
			{"http://path.test/a?b=c", "", "", "/100%25/'x'/[src]$HOME?b=c"},
			{"http://prefix.test/old", "", "", "/new"},
			{"http://prefix.test/old/", "", "", "/new/"},
			{"http://prefix.test/old/x/y?q", "", "", "/new/x/y?q"},
			{"http://prefix.test/older/one/x", "", "", "/new/x"},
			{"http://prefix.test/z/y", "X", "", "/new/z/y"},
			{"http://cut.test/old?q", "", "", "/?q"},
			{"http://cut.test/old/x", "", "", "/x"},
			{"http://add.test/", "", "", "/new/"},
			{"http://add.test/x?y", "", "", "/new/x?y"},
		} {
			q := get(c.url)
			if c.header != "" {
				q = get(c.url, c.header, "1")
			}
			got := s.ask(q)
			host, _, _ := strings.Cut(strings.TrimPrefix(c.url, "http://"), "/")
			if got.member == nil || got.member.Target != c.target || got.member.Host != cmp.Or(c.host, host) {
				t.Errorf("%s: %d %+v, want %s %s", c.url, got.status, got.member, c.host, c.target)
			}
		}
	})
}

// TestRedirect: each part of the URL changes or stays as it was asked for.
func TestRedirect(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		redirected := func(name string, to model.Redirect, matches ...model.Match) model.Route {
			return model.Route{Name: name, Hostnames: []string{name + ".test"}, Matches: matches, Action: model.Action{Redirect: &to}}
		}
		cfg := web(nil,
			redirected("same", model.Redirect{Path: "/%x'", Code: 301}),
			redirected("host", model.Redirect{Host: "other.test", Code: 302}),
			redirected("v6", model.Redirect{Host: "2001:db8::1", Scheme: "https", Port: 444, Code: 302}),
			redirected("prefix", model.Redirect{PathPrefix: prefix("/new"), Port: 81, Code: 307}, path(model.PathPrefix, "/old")),
			redirected("scheme", model.Redirect{Scheme: "https", Port: 443, Code: 308}),
		)
		all := listener("all", model.HTTP)
		all.Redirect = &model.Redirect{Scheme: "https", Code: 301}
		cfg.Listeners = append(cfg.Listeners, all)
		s := run(t, v, cfg, nil)
		for _, c := range []struct {
			listener, url, want string
			code                int
		}{
			{"", "http://same.test:8080/a?b", "http://same.test:8080/%x'?b", 301},
			{"", "http://host.test/a?b", "http://other.test/a?b", 302},
			{"", "http://host.test:8080/a", "http://other.test:8080/a", 302},
			{"", "http://v6.test:8080/a", "https://[2001:db8::1]:444/a", 302},
			{"", "http://prefix.test:8080/old/x?y=1", "http://prefix.test:81/new/x?y=1", 307},
			{"", "http://prefix.test/old", "http://prefix.test:81/new", 307},
			{"", "http://scheme.test:8080//evil.test/x", "https://scheme.test//evil.test/x", 308},
			{"all", "http://any.test:8080/a/b?c=d&e", "https://any.test/a/b?c=d&e", 301},
			{"all", "http://[2001:db8::2]:8080/", "https://[2001:db8::2]/", 301},
		} {
			got := s.ask(question{listener: c.listener, url: c.url})
			if got.status != c.code || got.header.Get("Location") != c.want {
				t.Errorf("%s: %d %s, want %d %s", c.url, got.status, got.header.Get("Location"), c.code, c.want)
			}
		}
		if got := s.raw("all", "GET / HTTP/1.0\r\n\r\n"); got != "HTTP/1.1 400 Bad request" {
			t.Errorf("without a host: %s", got)
		}
	})
}

// TestRespond: a fixed answer comes with its status, type, headers and every byte of its body.
func TestRespond(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		answer := func(name string, with model.Respond) model.Route {
			return model.Route{Name: name, Hostnames: []string{name + ".test"}, Action: model.Action{Respond: &with}}
		}
		page := "<h1>100% \"away\"</h1>\n\r\n%[src] ${HOME} \x01\n" + strings.Repeat("x", 11<<10)
		s := run(t, v, web(nil,
			answer("maintenance", model.Respond{Status: 503, Body: page, ContentType: "text/html; charset=utf-8",
				Headers: []model.Header{{Name: "Retry-After", Value: "120"}, {Name: "X-Odd", Value: `a "b" 'c' %[src] \n # $HOME`}}}),
			answer("plain", model.Respond{Status: 200, Body: "ok"}),
			answer("empty", model.Respond{Status: 204}),
		), nil)
		got := s.ask(get("http://maintenance.test/"))
		if got.status != 503 || got.body != page || got.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			got.header.Get("Retry-After") != "120" || got.header.Get("X-Odd") != `a "b" 'c' %[src] \n # $HOME` {
			t.Errorf("maintenance: %d %v, %d bytes", got.status, got.header, len(got.body))
		}
		got = s.ask(get("http://plain.test/"))
		if got.status != 200 || got.body != "ok" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("plain: %+v", got)
		}
		if got = s.ask(get("http://empty.test/")); got.status != 204 || got.body != "" {
			t.Errorf("empty: %+v", got)
		}
	})
}

// TestHeaders: headers of requests and of all answers are removed, set and added, literally.
func TestHeaders(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		odd := `%[src] 'a' "b" \n {x} # $HOME`
		changes := model.HeaderChanges{
			Remove: []string{"X-Gone", "Server"}, Set: []model.Header{{Name: "X-Set", Value: odd}}, Add: []model.Header{{Name: "X-Set", Value: "2"}, {Name: "x!#$%&'*+-.^_`|~", Value: "3"}},
		}
		route := model.Route{Name: "web", RequestHeaders: changes, ResponseHeaders: changes, Action: to("web")}
		own := model.Route{Name: "own", Hostnames: []string{"own.test"}, ResponseHeaders: changes, Action: model.Action{Respond: &model.Respond{Status: 200}}}
		s := run(t, v, web([]model.Pool{poolOf("web", member(t, "web"))}, route, own), nil)
		got := s.ask(get("http://any.test/", "X-Gone", "1", "X-Set", "0", "X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "https"))
		check := func(what string, header http.Header) {
			t.Helper()
			if set := header.Values("X-Set"); !slices.Equal(set, []string{odd, "2"}) || header.Get("X-Gone") != "" || header.Get("Server") != "" || header.Get("x!#$%&'*+-.^_`|~") != "3" {
				t.Errorf("%s: %v", what, header)
			}
		}
		check("the member sees", got.member.Header)
		check("the client sees", got.header)
		check("the client sees from HAProxy itself", s.ask(get("http://own.test/")).header)
		if f := got.member.Header.Values("X-Forwarded-For"); strings.Join(f, ", ") != "192.0.2.9, 127.0.0.1" || got.member.Header.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("the member is told %v", got.member.Header)
		}
	})
}

// TestRateLimit: a client gets what it may in a period, and others are counted apart.
func TestRateLimit(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		limited := func(name string, limit model.RateLimit) model.Route {
			limit.Requests, limit.Per = 5, model.Duration(time.Hour)
			return model.Route{Name: name, Hostnames: []string{name + ".test"}, RateLimit: &limit, Action: to("web")}
		}
		cfg := web([]model.Pool{poolOf("web", member(t, "web"))},
			limited("source", model.RateLimit{Key: model.RateBySource}),
			limited("header", model.RateLimit{Key: model.RateByHeader, Header: "X-Key"}),
			limited("path", model.RateLimit{Key: model.RateByPath}))
		cfg.Listeners[0].ProxyProtocol = true
		s := run(t, v, cfg, nil)
		passed := func(q question) (n int) {
			q.proxied = cmp.Or(q.proxied, "198.51.100.1")
			for range 8 {
				got := s.ask(q)
				switch {
				case got.status == http.StatusOK:
					n++
				case got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "3600":
					t.Errorf("%s: %d %v", q.url, got.status, got.header)
				}
			}
			return n
		}
		for name, q := range map[string]question{
			"source": get("http://source.test/"), "another source": {url: "http://source.test/", proxied: "198.51.100.2"},
			"header": get("http://header.test/", "X-Key", "a"), "another header": get("http://header.test/", "X-Key", "b"), "no header": get("http://header.test/"),
			"path": get("http://path.test/a?1"), "another path": get("http://path.test/b"),
		} {
			if n := passed(q); n != 5 {
				t.Errorf("%s: %d of 8 requests passed, want 5", name, n)
			}
		}
	})
}

// TestCORS: preflight requests are answered, and answers are marked for the origins that may see them.
func TestCORS(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		s := run(t, v, web([]model.Pool{poolOf("web", member(t, "web"))},
			model.Route{Name: "some", Hostnames: []string{"some.test"}, Action: to("web"), CORS: &model.CORS{
				AllowOrigins: []string{"https://a.test", "https://b.test:8443"}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"X-A", "X-B"},
				ExposeHeaders: []string{"X-Member"}, AllowCredentials: true, MaxAge: model.Duration(time.Minute)}},
			model.Route{Name: "all", Hostnames: []string{"all.test"}, Action: to("web"), CORS: &model.CORS{AllowOrigins: []string{"*"}}},
			model.Route{Name: "closed", Hostnames: []string{"closed.test"}, Action: to("web"), DenyCIDRs: []string{"127.0.0.0/8"}, CORS: &model.CORS{AllowOrigins: []string{"*"}}},
		), nil)
		const origin, credentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
		preflight := func(url, from string) reply {
			q := get(url, "Origin", from, "Access-Control-Request-Method", "PUT")
			q.method = http.MethodOptions
			return s.ask(q)
		}
		got := preflight("http://some.test/", "https://b.test:8443")
		want := map[string]string{origin: "https://b.test:8443", credentials: "true", "Access-Control-Allow-Methods": "GET, PUT",
			"Access-Control-Allow-Headers": "X-A, X-B", "Access-Control-Max-Age": "60", "Vary": "Origin"}
		for name, value := range want {
			if got.header.Get(name) != value || got.status != http.StatusNoContent {
				t.Errorf("preflight: %d, %s is %q, want %q", got.status, name, got.header.Get(name), value)
			}
		}
		if got = preflight("http://some.test/", "https://evil.test"); got.status != 204 || got.header.Get(origin) != "" || got.header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("preflight of another origin: %+v", got)
		}
		got = s.ask(get("http://some.test/", "Origin", "https://a.test"))
		if got.member == nil || !slices.Equal(got.header.Values(origin), []string{"https://a.test"}) || got.header.Get("Access-Control-Expose-Headers") != "X-Member" {
			t.Errorf("request: %+v", got)
		}
		if got = s.ask(get("http://some.test/", "Origin", "https://evil.test")); got.member == nil || got.header.Get(origin) != "" {
			t.Errorf("request of another origin: %+v", got)
		}
		if got = preflight("http://all.test/", "https://any.test"); got.header.Get(origin) != "*" || got.header.Get("Vary") != "" {
			t.Errorf("any origin: %+v", got)
		}
		if got = s.ask(get("http://closed.test/", "Origin", "https://any.test")); got.status != 403 || got.header.Get(origin) != "*" {
			t.Errorf("closed: %+v", got)
		}
		options := get("http://some.test/", "Origin", "https://a.test")
		options.method = http.MethodOptions
		if got = s.ask(options); got.member == nil {
			t.Errorf("OPTIONS that is no preflight: %+v", got)
		}
	})
}

// TestBasicAuth: users of the Secret come in; a route whose Secret is of no use lets nobody in, and falls to no other.
func TestBasicAuth(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		protected := func(name string) model.Route {
			return model.Route{Name: name, Hostnames: []string{"any.test"}, Matches: []model.Match{path(model.PathPrefix, "/"+name)}, Action: to("web"),
				BasicAuth: &model.BasicAuth{Realm: "it's %[src]", Users: secret(name)}}
		}
		s := run(t, v, web([]model.Pool{poolOf("web", member(t, "web"))}, protected("good"), protected("bad"), protected("missing"),
			model.Route{Name: "open", Hostnames: []string{"any.test"}, Action: to("web")}), haproxy.Secrets{
			secret("good"): {"auth": []byte("# users\n" +
				"anna:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n" +
				"plain:secret\napache:$apr1$x$y\n it's \"b\" #$HOME:$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.\nslow:$6$rounds=999999999$x$" + strings.Repeat("a", 86) + "\n")},
			secret("bad"): {"auth": []byte("plain:secret\n")},
		})
		for _, c := range []struct {
			url, user, password string
			want                int
		}{
			{"http://any.test/good", "", "", 401},
			{"http://any.test/good", "anna", "wrong", 401},
			{"http://any.test/good", "plain", "secret", 401},
			{"http://any.test/good", "anna", "password", 200},
			{"http://any.test/good", `it's "b" #$HOME`, "password", 200},
			{"http://any.test/bad", "plain", "secret", 503},
			{"http://any.test/missing", "anna", "password", 503},
			{"http://any.test/other", "", "", 200},
		} {
			req, _ := http.NewRequest(http.MethodGet, c.url, nil)
			if c.user != "" {
				req.SetBasicAuth(c.user, c.password)
			}
			got := s.ask(question{url: c.url, header: req.Header})
			if got.status != c.want || c.want == 401 && got.header.Get("WWW-Authenticate") != `Basic realm="it's %[src]"` {
				t.Errorf("%s as %s:%s: %d %v, want %d", c.url, c.user, c.password, got.status, got.header, c.want)
			}
		}
		var fields []string
		for _, refusal := range s.structure.Refusals {
			fields = append(fields, refusal.Field)
			if strings.Contains(refusal.Message, "secret\n") || strings.Contains(refusal.Message, "apr1") || strings.Contains(refusal.Message, "plain") {
				t.Errorf("%s tells of the secret: %s", refusal.Field, refusal.Message)
			}
		}
		if want := []string{"routes[good].basicAuth.users", "routes[bad].basicAuth.users", "routes[missing].basicAuth.users"}; !slices.Equal(slices.Compact(fields), want) {
			t.Errorf("refused %v, want %v", fields, want)
		}
	})
}

// TestNetworks: listeners and routes are for some clients and against others, as the PROXY protocol tells their addresses.
func TestNetworks(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := web([]model.Pool{poolOf("web", member(t, "web"))},
			model.Route{Name: "all", Action: to("web")},
			model.Route{Name: "inner", Hostnames: []string{"inner.test"}, AllowCIDRs: []string{"10.1.0.0/16", "10.2.0.1", "2001:db8::/32"}, DenyCIDRs: []string{"10.1.2.0/24"}, Action: to("web")})
		cfg.Listeners[0].ProxyProtocol = true
		cfg.Listeners[0].AllowCIDRs = []string{"10.0.0.0/8"}
		cfg.Listeners[0].DenyCIDRs = []string{"10.9.0.0/16"}
		direct := listener("direct", model.HTTP)
		direct.DenyCIDRs = []string{"127.0.0.0/8"}
		cfg.Listeners = append(cfg.Listeners, direct)
		s := run(t, v, cfg, nil)
		for _, c := range []struct {
			listener, host, client string
			want                   int
		}{
			{"web", "any.test", "10.3.0.1", 200},
			{"web", "any.test", "10.9.0.1", 0},
			{"web", "any.test", "192.0.2.1", 0},
			{"web", "inner.test", "10.1.1.1", 200},
			{"web", "inner.test", "10.2.0.1", 200},
			{"web", "inner.test", "10.2.0.2", 403},
			{"web", "inner.test", "10.1.2.1", 403},
			{"direct", "any.test", "", 0},
		} {
			got, err := s.try(question{listener: c.listener, url: "http://" + c.host + "/", proxied: c.client})
			if got.status != c.want || (err != nil) != (c.want == 0) {
				t.Errorf("%s at %s: %d %v, want %d", c.client, c.host, got.status, err, c.want)
			}
		}
	})
}
