// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, response *http.Response) *got {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &got{status: response.StatusCode, proto: response.Proto, headers: response.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.echoed)
	return a
}

// algorithms counts which of two members answers.
func (f *features) algorithms(t *testing.T) {
	t.Run("RoundRobin", func(t *testing.T) {
		c := askMany(t, 100, f.http+"/", question{})
		if counts := slices.Sorted(maps.Values(c)); len(counts) != 2 || counts[0] < 49 {
			t.Errorf("answered %v; want halves", c)
		}
	})
	t.Run("Random", func(t *testing.T) {
		c := askMany(t, 200, f.http+"/random", question{})
		if counts := slices.Sorted(maps.Values(c)); len(counts) != 2 || counts[0] < 60 {
			t.Errorf("answered %v; want about halves", c)
		}
	})
	t.Run("LeastConnections", f.leastConnections)
	t.Run("SourceHash", func(t *testing.T) {
		f.hashed(t, func(i int) string { return f.proxied(t, fmt.Sprintf("203.0.113.%d", i)).headers.Get("X-Echo-Name") })
	})
	t.Run("URIHash", func(t *testing.T) {
		f.hashed(t, func(i int) string {
			return ask(t, fmt.Sprintf("%s/by-uri/%d", f.http, i), question{}).headers.Get("X-Echo-Name")
		})
	})
	t.Run("HeaderHash", func(t *testing.T) {
		f.hashed(t, func(i int) string {
			return ask(t, f.http+"/by-header", question{headers: map[string]string{"X-User": fmt.Sprint("user", i)}}).headers.Get("X-Echo-Name")
		})
	})
}

// leastConnections keeps one member busy; the other gets what comes meanwhile. HAProxy may count a request as open still when its
// client asks the next one, and both have as many then; taking turns would give the busy one half.
func (f *features) leastConnections(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, query(f.http+"/least-connections", "chunks", "2", "interval", "10s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	long, err := asker.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = long.Body.Close() }()
	first := make([]byte, 256)
	n, err := long.Body.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	busy, _, _ := strings.Cut(string(first[:n]), " ")
	c := askMany(t, 40, f.http+"/least-connections", question{})
	if c[busy] > 8 {
		t.Errorf("while %s was busy answered %v", busy, c)
	}
}

// hashed asks with 40 keys, three times each: one key always meets the same member, and all keys meet both.
func (f *features) hashed(t *testing.T, ask func(key int) string) {
	t.Helper()
	members := map[string]int{}
	for key := range 40 {
		first := ask(key + 1)
		members[first]++
		for range 2 {
			if again := ask(key + 1); again != first {
				t.Errorf("key %d met %s, then %s", key, first, again)
			}
		}
	}
	if len(members) != 2 {
		t.Errorf("40 keys met %v; want both members", members)
	}
}

// persistence asks again and again as the same client.
func (f *features) persistence(t *testing.T) {
	t.Run("Cookie", func(t *testing.T) {
		members := map[string]int{}
		for range 20 {
			a := ask(t, f.http+"/cookie", question{})
			var cookies []string
			for _, set := range a.headers.Values("Set-Cookie") {
				cookie, _, _ := strings.Cut(set, ";")
				cookies = append(cookies, cookie)
			}
			first := a.headers.Get("X-Echo-Name")
			members[first]++
			c := askMany(t, 10, f.http+"/cookie", question{headers: map[string]string{"Cookie": strings.Join(cookies, "; ")}})
			if c[first] != 10 {
				t.Fatalf("a client of %s with cookies %v met %v", first, cookies, c)
			}
		}
		if len(members) != 3 {
			t.Errorf("20 clients met %v; want all three members", members)
		}
	})
	t.Run("SourceIP", func(t *testing.T) {
		if c := askMany(t, 20, f.http+"/sticky-source", question{}); len(c) != 1 {
			t.Errorf("one client met %v", c)
		}
	})
	t.Run("Header", func(t *testing.T) {
		members := map[string]int{}
		for user := range 10 {
			c := askMany(t, 5, f.http+"/sticky-header", question{headers: map[string]string{"X-User": fmt.Sprint("sticky", user)}})
			if len(c) != 1 {
				t.Errorf("user %d met %v", user, c)
			}
			for member := range c {
				members[member]++
			}
		}
		if len(members) != 2 {
			t.Errorf("10 users met %v; want both members", members)
		}
	})
}

// members asks pools of every composition.
func (f *features) members(t *testing.T) {
	t.Run("weights", func(t *testing.T) {
		// Two pods of blue share 90, one pod of green has 10.
		if c := byApp(askMany(t, 2000, f.http+"/weights", question{})); c["blue"] < 1740 || c["blue"] > 1860 {
			t.Errorf("of 2,000 answers %v; want 90 to 10", c)
		}
	})
	t.Run("enough members", func(t *testing.T) {
		if c := byApp(askMany(t, 30, f.http+"/enough", question{})); c["blue"] != 30 {
			t.Errorf("answered %v; the spare one is not needed", c)
		}
	})
	t.Run("spare members", func(t *testing.T) {
		if c := byApp(askMany(t, 30, f.http+"/spare", question{})); c["green"] < 5 || c["blue"] < 10 {
			t.Errorf("answered %v; the spare one is needed as well", c)
		}
	})
	t.Run("drained member", func(t *testing.T) {
		if c := byApp(askMany(t, 30, f.http+"/drained", question{})); c["green"] != 30 {
			t.Errorf("answered %v; blue is drained", c)
		}
	})
	t.Run("headless Service", func(t *testing.T) {
		if c := byApp(askMany(t, 10, f.http+"/headless", question{})); c["blue"] != 10 {
			t.Errorf("answered %v", c)
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		if a := ask(t, f.http+"/http2", question{}); a.echoed.Proto != "HTTP/2.0" {
			t.Errorf("the member saw %s", a.echoed.Proto)
		}
	})
	t.Run("slow start", func(t *testing.T) {
		if c := statuses(t, 10, f.http+"/slow", question{}); c[200] != 10 {
			t.Errorf("answered %v", c)
		}
	})
	t.Run("TLS", func(t *testing.T) {
		a := ask(t, f.http+"/secure", question{})
		if a.from() != "secure" || a.echoed.TLS == nil || a.echoed.TLS.SNI != "secure.test" || a.echoed.TLS.ClientCN != "the-load-balancer" {
			t.Errorf("answered %d by %q, who saw %+v", a.status, a.from(), a.echoed.TLS)
		}
	})
	for _, path := range []string{"/wrong-ca", "/wrong-name"} {
		t.Run("TLS "+path, func(t *testing.T) {
			if a := ask(t, f.http+path, question{}); a.status != 503 {
				t.Errorf("answered %d by %q", a.status, a.from())
			}
		})
	}
}

// monitors makes a member sick, and asks who answers.
func (f *features) monitors(t *testing.T) {
	for path, want := range map[string]int{
		"/monitor-request": 200, "/monitor-wrong-body": 503,
		"/monitor-tcp": 200, "/monitor-port": 503, "/monitor-tls": 200, "/monitor-not-tls": 503,
	} {
		t.Run(path[1:], func(t *testing.T) {
			f.settles(t, f.http+path, func(c map[int]int) bool { return c[want] == 10 })
		})
	}
	sick := ask(t, f.http+"/unhealthy", question{method: http.MethodPost}).headers.Get("X-Echo-Name")
	if sick == "" {
		t.Fatal("no member was made sick")
	}
	for _, path := range []string{"/monitor-http", "/monitor-body", "/monitor-grpc"} {
		t.Run(path[1:]+" finds a sick member", func(t *testing.T) {
			f.avoids(t, f.http+path, sick)
		})
	}
	if c := askMany(t, 20, f.http+"/sick", question{}); len(c) != 2 {
		t.Errorf("without a monitor answered %v; want both", c)
	}
	eventually(t, "it is well again", func(ctx context.Context) (bool, string, error) {
		a, err := try(ctx, f.http+"/healthy", question{method: http.MethodPost})
		return err == nil && a.headers.Get("X-Echo-Name") == sick, "", err
	})
	for _, path := range []string{"/monitor-http", "/monitor-body", "/monitor-grpc"} {
		t.Run(path[1:]+" lets it in again", func(t *testing.T) {
			f.settlesNames(t, f.http+path, func(c map[string]int) bool { return len(c) == 2 && c[""] == 0 })
		})
	}
	t.Run("passive", func(t *testing.T) {
		eventually(t, "failed requests take the member out", func(ctx context.Context) (bool, string, error) {
			a, err := try(ctx, query(f.http+"/passive", "status", "500"), question{})
			return err == nil && a.from() == "" && a.status == 503, fmt.Sprintf("%+v", a), err
		})
		f.settles(t, f.http+"/passive", func(c map[int]int) bool { return c[200] == 10 })
	})
}

// settles waits until ten requests in a row are answered as they should.
func (f *features) settles(t *testing.T, target string, good func(map[int]int) bool) {
	t.Helper()
	eventually(t, target+" answers as it should", func(ctx context.Context) (bool, string, error) {
		c := map[int]int{}
		for range 10 {
			a, err := try(ctx, target, question{})
			if err != nil {
				return false, "", err
			}
			c[a.status]++
		}
		return good(c), fmt.Sprint(c), nil
	})
}

func (f *features) settlesNames(t *testing.T, target string, good func(map[string]int) bool) {
	t.Helper()
	eventually(t, target+" is answered by whom it should", func(ctx context.Context) (bool, string, error) {
		c := map[string]int{}
		for range 20 {
			a, err := try(ctx, target, question{})
			if err != nil {
				return false, "", err
			}
			c[a.headers.Get("X-Echo-Name")]++
		}
		return good(c), fmt.Sprint(c), nil
	})
}

func (f *features) avoids(t *testing.T, target, member string) {
	t.Helper()
	f.settlesNames(t, target, func(c map[string]int) bool { return c[member] == 0 && c[""] == 0 })
}
