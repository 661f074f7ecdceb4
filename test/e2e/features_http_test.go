// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"net/http"
	"testing"
)

// routes asks for every kind of match.
func (f *features) routes(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		q    question
		want string
	}{
		"nothing matches":         {"/", question{}, "blue"},
		"exact host":              {"/", question{host: "exact.test"}, "green"},
		"exact host with a port":  {"/", question{host: "Exact.Test:80"}, "green"},
		"not the exact host":      {"/", question{host: "not.exact.test"}, "blue"},
		"wildcard host":           {"/", question{host: "a.wild.test"}, "green"},
		"wildcard of two labels":  {"/", question{host: "a.b.wild.test"}, "green"},
		"the wildcard's own name": {"/", question{host: "wild.test"}, "blue"},
		"exact path":              {"/exact?a=b", question{}, "green"},
		"below the exact path":    {"/exact/x", question{}, "blue"},
		"prefix":                  {"/prefix", question{}, "green"},
		"below the prefix":        {"/prefix/x", question{}, "green"},
		"not an element":          {"/prefixed", question{}, "blue"},
		"regex":                   {"/r42", question{}, "green"},
		"not the regex":           {"/r42x", question{}, "blue"},
		"header":                  {"/", question{headers: map[string]string{"X-Beta": "1"}}, "green"},
		"header of another value": {"/", question{headers: map[string]string{"X-Beta": "2"}}, "blue"},
		"header by regex":         {"/", question{headers: map[string]string{"X-Regex": "v7"}}, "green"},
		"not the header's regex":  {"/", question{headers: map[string]string{"X-Regex": "v77"}}, "blue"},
		"header is there":         {"/", question{headers: map[string]string{"X-Present": "any"}}, "green"},
		"query":                   {"/?green=yes", question{}, "green"},
		"query of another value":  {"/?green=no", question{}, "blue"},
		"method":                  {"/", question{method: http.MethodDelete}, "green"},
		"another method":          {"/", question{method: http.MethodPut}, "blue"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				if a := ask(t, f.http+c.path, c.q); a.from() != c.want {
					t.Errorf("answered by %q with %d; want %s", a.from(), a.status, c.want)
				}
			}
		})
	}
}

// actions asks for everything that can become of a request.
func (f *features) actions(t *testing.T) {
	t.Run("split", func(t *testing.T) {
		if c := byApp(askMany(t, 1000, f.http+"/split", question{})); c["blue"] < 700 || c["blue"] > 800 || c["green"] != 1000-c["blue"] {
			t.Errorf("of 1,000 answers %v; want 75 to 25", c)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		a := ask(t, f.http+"/redirect/x?y=z", question{host: "a.test"})
		if location := a.headers.Get("Location"); a.status != 308 || location != "http://other.test/there/x?y=z" {
			t.Errorf("answered %d %q", a.status, location)
		}
	})
	t.Run("respond", func(t *testing.T) {
		a := ask(t, f.http+"/respond", question{})
		if a.status != 418 || a.body != "100% \"tea\"\n${HOME} %[src]\n" || a.headers.Get("Content-Type") != "text/html" || a.headers.Get("X-Pot") != "a; b" {
			t.Errorf("answered %d %v %q", a.status, a.headers, a.body)
		}
	})
	t.Run("maintenance", func(t *testing.T) {
		a := ask(t, f.http+"/maintenance", question{})
		if a.status != 503 || a.body != "<h1>Back soon</h1>" || a.headers.Get("Retry-After") != "90" {
			t.Errorf("answered %d %v %q", a.status, a.headers, a.body)
		}
	})
	t.Run("rewrite", f.rewrite)
	t.Run("cors", f.cors)
	t.Run("basic auth", func(t *testing.T) {
		basic := func(words string) question {
			return question{headers: map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(words))}}
		}
		if a := ask(t, f.http+"/basic-auth", question{}); a.status != 401 || a.headers.Get("Www-Authenticate") != `Basic realm="staff"` {
			t.Errorf("without a user answered %d %v", a.status, a.headers)
		}
		if a := ask(t, f.http+"/basic-auth", basic("ann:wrong")); a.status != 401 {
			t.Errorf("with a wrong password answered %d", a.status)
		}
		if a := ask(t, f.http+"/basic-auth", basic("ann:secret")); a.status != 200 || a.from() != "blue" {
			t.Errorf("with the password answered %d", a.status)
		}
	})
	for path, want := range map[string]int{"/allowed": 200, "/forbidden": 403, "/denied": 403} {
		t.Run("addresses "+path, func(t *testing.T) {
			if a := ask(t, f.http+path, question{}); a.status != want {
				t.Errorf("answered %d; want %d", a.status, want)
			}
		})
	}
}

func (f *features) rewrite(t *testing.T) {
	a := ask(t, f.http+"/rewrite/x?y=z", question{headers: map[string]string{"X-Remove": "r", "X-Add": "a", "X-Set": "s", "X-Forwarded-Proto": "https"}})
	e := a.echoed
	if e.Host != "inner.test" || e.Path != "/inner/x" {
		t.Errorf("the member saw %s%s", e.Host, e.Path)
	}
	if set, add := e.Headers["X-Set"], e.Headers["X-Add"]; len(set) != 1 || set[0] != `it's "100%"` || len(add) != 2 || add[1] != "b" || e.Headers["X-Remove"] != nil {
		t.Errorf("the member saw %v", e.Headers)
	}
	if e.Headers.Get("X-Forwarded-For") == "" || e.Headers.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the member was told of the client: %v", e.Headers)
	}
	if a.headers.Get("X-Answer") != "yes" || a.headers.Get("X-Echo-Name") != "" {
		t.Errorf("the client saw %v", a.headers)
	}
}

func (f *features) cors(t *testing.T) {
	origin := map[string]string{"Origin": "https://shop.test", "Access-Control-Request-Method": "PUT"}
	a := ask(t, f.http+"/cors", question{method: http.MethodOptions, headers: origin})
	h := a.headers
	if a.status/100 != 2 || a.from() != "" || h.Get("Access-Control-Allow-Origin") != "https://shop.test" || h.Get("Access-Control-Max-Age") != "600" ||
		h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("the question before answered %d %v", a.status, h)
	}
	a = ask(t, f.http+"/cors", question{headers: map[string]string{"Origin": "https://shop.test"}})
	if a.from() != "blue" || a.headers.Get("Access-Control-Allow-Origin") != "https://shop.test" || a.headers.Get("Access-Control-Expose-Headers") == "" {
		t.Errorf("the request answered %d %v", a.status, a.headers)
	}
	a = ask(t, f.http+"/cors", question{headers: map[string]string{"Origin": "https://evil.test"}})
	if a.headers.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin is allowed: %v", a.headers)
	}
}

// limits asks too often and waits too long.
func (f *features) limits(t *testing.T) {
	t.Run("rate by source", func(t *testing.T) {
		if c := statuses(t, 30, f.http+"/rate-source", question{}); c[200] != 10 || c[429] != 20 {
			t.Errorf("answered %v; want 10 of 30", c)
		}
	})
	t.Run("rate by header", func(t *testing.T) {
		for _, user := range []string{"ann", "bob"} {
			if c := statuses(t, 15, f.http+"/rate-header", question{headers: map[string]string{"X-User": user}}); c[200] != 10 || c[429] != 5 {
				t.Errorf("%s was answered %v; want 10 of 15", user, c)
			}
		}
	})
	t.Run("rate by path", func(t *testing.T) {
		for _, path := range []string{"/rate-path/a", "/rate-path/b"} {
			if c := statuses(t, 15, f.http+path, question{}); c[200] != 10 || c[429] != 5 {
				t.Errorf("%s was answered %v; want 10 of 15", path, c)
			}
		}
	})
	t.Run("retries", func(t *testing.T) {
		if c := statuses(t, 30, f.http+"/retries", question{}); c[200] != 30 {
			t.Errorf("with a dead member answered %v", c)
		}
	})
	t.Run("retry after 5xx", func(t *testing.T) {
		// Every member answers so; it must come through in the end.
		if a := ask(t, query(f.http+"/retry-5xx", "status", "503"), question{}); a.status != 503 || a.from() != "blue" {
			t.Errorf("answered %d by %q", a.status, a.from())
		}
	})
	t.Run("timeout", func(t *testing.T) {
		if a := ask(t, query(f.http+"/timeout", "delay", "2s"), question{}); a.status != 504 {
			t.Errorf("answered %d; want 504", a.status)
		}
		if a := ask(t, f.http+"/timeout", question{}); a.status != 200 {
			t.Errorf("in time answered %d", a.status)
		}
	})
	t.Run("connections and queue", func(t *testing.T) {
		answers := make(chan int)
		for range 8 {
			go func() {
				a, err := try(t.Context(), query(f.http+"/limited", "delay", "500ms"), question{})
				if err != nil {
					answers <- 0
					return
				}
				answers <- a.status
			}()
		}
		count := map[int]int{}
		for range 8 {
			count[<-answers]++
		}
		// One is served and two wait; the others are turned away.
		if count[200] != 3 || count[503] != 5 {
			t.Errorf("of 8 at once answered %v; want 3 served", count)
		}
	})
}
