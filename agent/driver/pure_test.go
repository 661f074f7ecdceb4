// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-logr/logr"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

func TestClean(t *testing.T) {
	secrets := haproxy.Secrets{ref("users"): {"auth": []byte("alice:$6$salt$digest\n")}}
	for name, test := range map[string]struct{ output, want string }{
		"an alert": {
			"[NOTICE]   (7) : haproxy version is 3.2.1\n[ALERT]    (7) : config : parsing [/run/fairlead/check/haproxy.cfg:45] : regex '^(a' is invalid.\n" +
				"[ALERT]    (7) : config : Error(s) found in configuration file : /run/fairlead/check/haproxy.cfg\n[ALERT]    (7) : config : Fatal errors found in configuration.\n",
			"regex '^(a' is invalid.",
		},
		"the same twice":     {"[ALERT] (7) : config : bad\n[ALERT] (8) : config : bad\n[ALERT] (8) : config : worse\n", "bad; worse"},
		"a secret":           {"[ALERT] (7) : config : hash $6$salt$digest of alice\n", "hash *** of ***"},
		"control characters": {"[ALERT] (7) : config : a\x1b[31mb\xff\n", "a [31mb?"},
		"nothing":            {"", ""},
		"a warning only":     {"[WARNING] (7) : config : hm\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := clean(test.output, secrets); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	if got := clean("[ALERT] (7) : config : "+strings.Repeat("ä", 1000)+"\n", nil); len(got) > maxText || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("[ALERT] (7) : config : hash $6$salt of /run/x:3\n", "$6$salt")
	f.Fuzz(func(t *testing.T, output, secret string) {
		got := clean(output, haproxy.Secrets{ref("a"): {"auth": []byte(secret)}})
		if len(got) > maxText {
			t.Errorf("%d bytes", len(got))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q has what cannot be shown", got)
		}
	})
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]haproxy.Version{
		"2.6.12-1+deb12u3": {Major: 2, Minor: 6}, "3.2.26": {Major: 3, Minor: 2}, "3.3-dev5": {Major: 3, Minor: 3},
	} {
		if got, err := parseVersion(text); got != want || err != nil {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3", "x.y", "3."} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// TestCulprit has a HAProxy that refuses some of many parts.
func TestCulprit(t *testing.T) {
	var fields []string
	for i := range 1000 {
		fields = append(fields, fmt.Sprintf("routes[%d]", i))
	}
	for _, bad := range [][]string{{"routes[0]"}, {"routes[999]"}, {"routes[3]", "routes[500]", "routes[501]"}} {
		asked := 0
		check := func(_ context.Context, without map[string]bool) (bool, string, error) {
			asked++
			for _, field := range bad {
				if !without[field] {
					return false, "no " + field, nil
				}
			}
			return true, "", nil
		}
		without := map[string]bool{}
		for range bad {
			field, output, err := culprit(t.Context(), check, fields, without)
			if err != nil || !slices.Contains(bad, field) || output != "no "+field {
				t.Fatalf("%v: %s, %q, %v", bad, field, output, err)
			}
			without[field] = true
		}
		if ok, _, _ := check(t.Context(), without); !ok || asked > 12*len(bad)+1 {
			t.Errorf("%v: found %v by %d questions", bad, without, asked)
		}
	}
	if field, _, err := culprit(t.Context(), func(context.Context, map[string]bool) (bool, string, error) { return false, "", nil }, fields, map[string]bool{}); field != "" || err != nil {
		t.Errorf("where nothing helps, %s, %v", field, err)
	}
	failure := errors.New("no verdict")
	asked := 0
	_, _, err := culprit(t.Context(), func(context.Context, map[string]bool) (bool, string, error) {
		asked++
		if asked > 3 {
			return false, "", failure
		}
		return true, "", nil
	}, fields, map[string]bool{})
	if !errors.Is(err, failure) {
		t.Errorf("the failure of a question gives %v", err)
	}
}

func TestServerStates(t *testing.T) {
	server := func(name string, state socket.State) haproxy.Server {
		return haproxy.Server{Name: name, Address: "10.0.0.1", Port: 80, Weight: 5, State: state}
	}
	got := string(serverStates(map[string][]haproxy.Server{"pool.web": {
		server("new", socket.Ready), server("drains", socket.Drain), server("down", socket.Ready), server("foreign", socket.Ready), server("back", socket.Ready),
	}}, []socket.ServerState{
		{Backend: "pool.web", Name: "down", Operation: socket.Stopped, CheckStatus: 8, CheckResult: 2, CheckState: socket.CheckConfigured | socket.CheckEnabled | socket.CheckInProgress},
		{Backend: "pool.web", Name: "foreign", Operation: socket.Running, Admin: socket.ForcedDrain, Weight: 99},
		{Backend: "pool.web", Name: "back", Operation: socket.Stopped, Admin: socket.ForcedMaint},
		{Backend: "pool.old", Name: "gone", Operation: socket.Stopped},
	}))
	want := serverStateHead +
		"0 pool.web 0 drains 10.0.0.1 2 8 5 5 0 0 3 1 0 0 0 0 - 80 - 0 0 - - 0\n" +
		"0 pool.web 0 down 10.0.0.1 0 0 5 5 0 8 2 0 6 0 0 0 - 80 - 0 0 - - 0\n" +
		"0 pool.web 0 foreign 10.0.0.1 2 0 5 5 0 0 0 0 0 0 0 0 - 80 - 0 0 - - 0\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestDifferingEntry(t *testing.T) {
	entries := func(pairs ...string) []socket.Entry {
		var out []socket.Entry
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, socket.Entry{Key: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	for name, test := range map[string]struct {
		want, found []socket.Entry
		said        string
	}{
		"the same":  {entries("a", "1"), entries("a", "1"), "  "},
		"a value":   {entries("a", "1", "b", "2"), entries("a", "1", "b", "3"), "b 2 3"},
		"too many":  {entries("a", "1"), entries("x", "9", "a", "1"), "x  9"},
		"too few":   {entries("a", "1", "b", "2"), entries("b", "2"), "a 1 "},
		"the last":  {entries("a", "1", "b", "2"), entries("a", "1"), "b 2 "},
		"one added": {entries("a", "1"), entries("a", "1", "b", "2"), "b  2"},
	} {
		key, want, found, differ := differingEntry(test.want, test.found)
		if got := key + " " + want + " " + found; got != test.said || differ != (test.said != "  ") {
			t.Errorf("%s: %q %t, want %q", name, got, differ, test.said)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(dir, logr.Discard())
	path := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		text, err := os.ReadFile(path(name))
		if err != nil {
			return "none"
		}
		return string(text)
	}
	if _, err := f.replace(image{path(configFile): []byte("one"), path("maps/a"): []byte("1"), path("maps/b"): []byte("2")}); err != nil {
		t.Fatal(err)
	}
	next := image{path(configFile): []byte("two"), path("maps/a"): []byte("1"), path("maps/c"): []byte("3")}
	undo, err := f.replace(next)
	if err != nil || read(configFile) != "two" || read("maps/c") != "3" {
		t.Fatal(read(configFile), err)
	}
	if err := undo(); err != nil || read(configFile) != "one" || read("maps/c") != "none" || read("maps/a") != "1" {
		t.Errorf("after the undo %s %s %v", read(configFile), read("maps/c"), err)
	}
	if _, err := f.replace(next); err != nil {
		t.Fatal(err)
	}
	if err := f.prune(next); err != nil || read("maps/b") != "none" || read("maps/a") != "1" {
		t.Errorf("after pruning %s %v", read("maps/b"), err)
	}
	if info, err := os.Stat(path("maps/a")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	// Only what was asked for last is saved.
	f.save(func() image { t.Error("an outdated image is made"); return nil })
	f.save(func() image { return image{path("maps/a"): []byte("9")} })
	f.saveNow()
	if read("maps/a") != "9" {
		t.Error("it was not saved")
	}
}

func TestSecretsOfAModel(t *testing.T) {
	a, b := ref("a"), ref("b")
	cfg := &model.Config{
		Listeners: []model.Listener{{TLS: &model.ListenerTLS{Certificates: []model.SecretRef{a, ref("c")}, ClientAuth: &model.ClientAuth{CA: ref("d")}}}, {}},
		Pools:     []model.Pool{{TLS: &model.MemberTLS{CA: &b, Certificate: &a}}, {TLS: &model.MemberTLS{}}},
		Routes:    []model.Route{{BasicAuth: &model.BasicAuth{Users: ref("e")}}, {}},
	}
	want := []model.SecretRef{a, ref("c"), ref("d"), b, ref("e")}
	if got := Secrets(cfg); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
