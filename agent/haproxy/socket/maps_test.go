// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/test/haproxy"
)

// difference names the first entry that is not as wanted.
func difference(want, got []socket.Entry) string {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("entry %d of %d, want %d: got %q, want %q", i, len(got), len(want), got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
	return ""
}

const withMap = `
frontend f
  bind unix@DIR/f.sock
  http-request set-var(txn.v) str(a),map(DIR/m.map,none)
  http-request return status 200 content-type text/plain lf-string %[var(txn.v)]
`

func startMap(t testing.TB, v haproxy.Version) (*proxy, string) {
	p := start(t, v, withMap, map[string]string{"m.map": "a from-the-file\n"})
	name := p.path("m.map")
	return p, name
}

func TestMapOfOneKey(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, name := startMap(t, v)
		must(t, p.Run(ctx, socket.SetMap(name, socket.Entry{Key: "a", Value: "set"}), socket.AddMap(name, socket.Entry{Key: "b", Value: "added"})))
		if _, body := p.get(t); body != "set" {
			t.Errorf("%q", body)
		}
		must(t, p.Run(ctx, socket.DelMap(name, "b")))
		got, err := p.Map(ctx, name)
		must(t, err)
		if diff := difference([]socket.Entry{{Key: "a", Value: "set"}}, got); diff != "" {
			t.Error(diff)
		}
		wantIs(t, "delete again", p.Run(ctx, socket.DelMap(name, "b")), socket.ErrNotFound)
		wantIs(t, "set what is not there", p.Run(ctx, socket.SetMap(name, socket.Entry{Key: "b", Value: "x"})), socket.ErrNotFound)
		_, err = p.Map(ctx, name+".missing")
		wantIs(t, "missing", err, socket.ErrNotFound)
		wantIs(t, "missing", p.ReplaceMap(ctx, name+".missing", nil), socket.ErrNotFound)
	})
}

// awkward are values in which every printable character stands alone, in front, at the end and beside itself.
func awkward() []string {
	values := []string{"plain", "two words", `C:\dir\`, `say "hi"`, "it's", "a;b", "show info;quit", "x <<", "<<", "<<EOF", "# no comment", "@1", "$HOME ${HOME}", "%[src]", "a  b", "ü ✓", `\\`, `\;`, "> ", "+ +"}
	for c := '!'; c <= '~'; c++ {
		values = append(values, string(c), "a"+string(c), string(c)+"a", string(c)+string(c), "a "+string(c)+" b")
	}
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return values
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, name := startMap(t, v)
		var want []socket.Entry
		for i, value := range awkward() {
			want = append(want, socket.Entry{Key: fmt.Sprintf("k%d", i), Value: value})
			if key := strings.ReplaceAll(value, " ", "") + "-key"; key[0] != '#' {
				want = append(want, socket.Entry{Key: key, Value: value})
			}
		}
		// Each command alone and all in a payload: their escaping differs.
		must(t, p.ReplaceMap(ctx, name, nil))
		var batch []socket.Command
		for _, e := range want {
			batch = append(batch, socket.AddMap(name, e))
		}
		must(t, p.Run(ctx, batch...))
		got, err := p.Map(ctx, name)
		must(t, err)
		if diff := difference(want, got); diff != "" {
			t.Error("by arguments:", diff)
		}
		must(t, p.ReplaceMap(ctx, name, append(want, socket.Entry{Key: "empty"})))
		got, err = p.Map(ctx, name)
		must(t, err)
		if diff := difference(append(want, socket.Entry{Key: "empty"}), got); diff != "" {
			t.Error("by payload:", diff)
		}
	})
}

func TestRefusedValuesAreNotSent(t *testing.T) {
	v := haproxy.Versions(t)[0]
	p, name := startMap(t, v)
	for _, value := range []string{"a\nb", "a\r", "\x00", "\x1b[0m", "\t", "\x7f", "\u0085", "\xff", " a", "a ", "\n\ndel map " + name + " a"} {
		e := socket.Entry{Key: "k", Value: value}
		wantIs(t, fmt.Sprintf("%q", value), p.Run(t.Context(), socket.AddMap(name, e)), socket.ErrValue)
		wantIs(t, fmt.Sprintf("%q", value), p.ReplaceMap(t.Context(), name, []socket.Entry{e}), socket.ErrValue)
		wantIs(t, fmt.Sprintf("%q as a parameter", value+"\n"), p.Run(t.Context(), socket.AddServer("b", "s", "127.0.0.1:1", value+"\n")), socket.ErrValue)
	}
	for _, key := range []string{"", "a b", "a\n", "#a"} {
		wantIs(t, fmt.Sprintf("key %q", key), p.Run(t.Context(), socket.DelMap(name, key)), socket.ErrValue)
	}
	for _, bad := range []string{"", "#0", "@1"} {
		wantIs(t, fmt.Sprintf("map %q", bad), p.ReplaceMap(t.Context(), bad, nil), socket.ErrValue)
	}
	wantIs(t, "long", p.Run(t.Context(), socket.AddMap(name, socket.Entry{Key: "k", Value: strings.Repeat("x", 20000)})), socket.ErrValue)
	wantIs(t, "words", p.Run(t.Context(), socket.AddServer("b", "s", "127.0.0.1:1", strings.Fields(strings.Repeat("check ", 64))...)), socket.ErrValue)
	wantIs(t, "slash", p.Run(t.Context(), socket.DelServer("b", "s/x")), socket.ErrValue)
	wantIs(t, "name as an address", p.Run(t.Context(), socket.AddServer("b", "s", "localhost:80")), socket.ErrValue)
	got, err := p.Map(t.Context(), name)
	must(t, err)
	if diff := difference([]socket.Entry{{Key: "a", Value: "from-the-file"}}, got); diff != "" {
		t.Error(diff)
	}
}

// TestBigMapIsReplacedAsAWhole looks up while 20,000 entries are replaced again and again.
func TestBigMapIsReplacedAsAWhole(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, name := startMap(t, v)
		entries := func(generation string) []socket.Entry {
			all := make([]socket.Entry, 20000)
			for i := range all {
				all[i] = socket.Entry{Key: fmt.Sprintf("host%d.example.test", i), Value: "pool " + generation}
			}
			all[len(all)-1] = socket.Entry{Key: "a", Value: generation}
			return all
		}
		must(t, p.ReplaceMap(ctx, name, entries("0")))
		done := make(chan error, 1)
		go func() {
			for i := range 3 {
				if err := p.ReplaceMap(ctx, name, entries(fmt.Sprint(i+1))); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		last := "0"
		for running := true; running; {
			select {
			case err := <-done:
				must(t, err)
				running = false
			default:
			}
			status, body := p.get(t)
			if status != http.StatusOK || body < last {
				t.Fatalf("%d %q after %q", status, body, last)
			}
			last = body
		}
		if last != "3" {
			t.Errorf("%q at the end", last)
		}
		got, err := p.Map(ctx, name)
		must(t, err)
		if diff := difference(entries("3"), got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestFailedReplacementLeavesTheMap has an entry that is too long after others that are not.
func TestFailedReplacementLeavesTheMap(t *testing.T) {
	v := haproxy.Versions(t)[0]
	p, name := startMap(t, v)
	wantIs(t, "too long", p.ReplaceMap(t.Context(), name, []socket.Entry{{Key: "a", Value: "new"}, {Key: "b", Value: strings.Repeat("x", 13000)}}), socket.ErrValue)
	if _, body := p.get(t); body != "from-the-file" {
		t.Errorf("%q", body)
	}
}

func TestTables(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, `
backend b
  stick-table type string len 64 size 1k expire 1h store gpc0,http_req_rate(10s)
backend c
  stick-table type ip size 10 store gpc0
`, nil)
		for _, key := range []string{"foo", `a b\c "d" e=f`} {
			must(t, p.Run(ctx, socket.SetTable("b", key, map[string]int64{"gpc0": 5})))
		}
		tables, err := p.Tables(ctx)
		must(t, err)
		slices.SortFunc(tables, func(a, b socket.Table) int { return strings.Compare(a.Name, b.Name) })
		if len(tables) != 2 || tables[0].Name != "b" || tables[0].Type != "string" || tables[0].Size != 1024 || tables[0].Used != 2 {
			t.Errorf("%+v", tables)
		}
		table, err := p.Table(ctx, "b")
		must(t, err)
		keys := map[string]bool{}
		for _, e := range table.Entries {
			keys[e.Key] = true
			if e.Data["gpc0"] != "5" || e.Expires <= 0 || e.Data["http_req_rate(10000)"] != "0" {
				t.Errorf("%+v", e)
			}
		}
		if !maps.Equal(map[string]bool{"foo": true, `a b\c "d" e=f`: true}, keys) {
			t.Errorf("keys %v", keys)
		}
		must(t, p.Run(ctx, socket.ClearTable("b", "foo"), socket.ClearTable("b", "missing")))
		table, err = p.Table(ctx, "b")
		must(t, err)
		if len(table.Entries) != 1 {
			t.Errorf("%+v", table)
		}
		_, err = p.Table(ctx, "missing")
		wantIs(t, "missing", err, socket.ErrNotFound)
		var refused *socket.Refused
		if err := p.Run(ctx, socket.SetTable("c", "10.0.0.1", map[string]int64{"gpc1": 1})); !errors.As(err, &refused) {
			t.Errorf("data that is not stored: %v", err)
		}
	})
}

// FuzzMapValues sends arbitrary entries to a real HAProxy: they are refused, or come back as they were.
func FuzzMapValues(f *testing.F) {
	for _, v := range awkward() {
		f.Add("key", v)
	}
	f.Add("k\n", "a\n\nquit\n")
	versions := haproxy.Versions(f)
	proxies, names := make([]*proxy, len(versions)), make([]string, len(versions))
	for i, v := range versions {
		proxies[i], names[i] = startMap(f, v)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		i := rand.IntN(len(proxies))
		p, e := proxies[i], socket.Entry{Key: key, Value: value}
		err := p.ReplaceMap(t.Context(), names[i], []socket.Entry{e})
		if errors.Is(err, socket.ErrValue) {
			return
		}
		must(t, err)
		want := []socket.Entry{e}
		if value != "" {
			err := p.Run(t.Context(), socket.AddMap(names[i], e))
			if errors.Is(err, socket.ErrValue) {
				return
			}
			must(t, err)
			want = append(want, e)
		}
		got, err := p.Map(t.Context(), names[i])
		must(t, err)
		if diff := difference(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
