// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// updating is the flag of the package's other tests.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// whole is the model that has each field set, and what its Secret holds.
func whole(t testing.TB) (*model.Config, haproxy.Secrets) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "model", "testdata", "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &model.Config{}
	if err := json.Unmarshal(data, cfg); err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t)
	all := ca.issue(t, "shop.example.com")
	all["ca.crt"] = ca.pem()
	all["auth"] = []byte("anna:$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.\n")
	return cfg, haproxy.Secrets{secret("tls"): all}
}

var endpoints = haproxy.Endpoints{{Namespace: "shop", Name: "web", PortName: "http"}: {
	{Address: "10.0.1.1", Port: 8080, Serving: true}, {Address: "2001:db8::1", Port: 8080, Serving: true, Draining: true}}}

// TestGolden holds the config to what was read by a person; HAProxy takes it without a warning.
func TestGolden(t *testing.T) {
	cfg, secrets := whole(t)
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		build := func(dir string) *haproxy.Structure {
			s, err := haproxy.Build(cfg, secrets, haproxy.Options{Dir: dir, Version: release(v), Threads: 2, Self: "shop-1",
				Peers: []haproxy.Peer{{Name: "shop-0", Address: "10.0.2.1"}, {Name: "shop-1", Address: "2001:db8::2"}}})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		dir := v.Dir(t)
		mustCheck(t, v, store(t, build(dir), dir))
		s := build("/run/fairlead")
		var out bytes.Buffer
		out.Write(s.Text(s.Servers(endpoints)))
		for _, refusal := range s.Refusals {
			fmt.Fprintf(&out, "\n== refused %s: %s: %s\n", refusal.Field, refusal.Reason, refusal.Message)
		}
		for _, path := range slices.Sorted(maps.Keys(s.Maps)) {
			fmt.Fprintf(&out, "\n== %s\n%s", path, haproxy.MapText(s.Maps[path]))
		}
		for _, path := range slices.Sorted(maps.Keys(s.CertLists)) {
			fmt.Fprintf(&out, "\n== %s\n%s", path, haproxy.CertListText(s.CertLists[path]))
		}
		fmt.Fprintf(&out, "\n== files\n%s\n", strings.Join(slices.Sorted(maps.Keys(s.Files)), "\n"))
		file := filepath.Join("testdata", "whole-"+v.Name+".cfg")
		if updating() {
			if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("the config is not that of %s, which -update writes:\n%s", file, out.String())
		}
		if again := build("/run/fairlead"); again.Hash() != s.Hash() {
			t.Error("the same input gives another hash")
		}
	})
}

// TestHash: what only a reload puts in force has another hash, and what changes at run time has not.
func TestHash(t *testing.T) {
	build := func(edit func(*model.Config, haproxy.Secrets, *haproxy.Options)) string {
		cfg, secrets := whole(t)
		secrets[secret("tls")]["ca.crt"], secrets[secret("other")] = nil, secrets[secret("tls")]
		cfg.Listeners[1].TLS.ClientAuth, cfg.Pools[0].TLS = nil, nil
		options := haproxy.Options{Dir: "/run/fairlead", Version: haproxy.Version{Major: 3, Minor: 2}, Self: "a"}
		edit(cfg, secrets, &options)
		s, err := haproxy.Build(cfg, secrets, options)
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash()
	}
	before := build(func(*model.Config, haproxy.Secrets, *haproxy.Options) {})
	for name, c := range map[string]struct {
		edit func(*model.Config, haproxy.Secrets, *haproxy.Options)
		same bool
	}{
		"generation": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Generation++ }, true},
		"weights":    {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Routes[0].Action.Pools[0].Weight = 1 }, true},
		"networks": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) {
			c.Routes[0].AllowCIDRs = []string{"10.0.0.0/9"}
		}, true},
		"a drain": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Drain.Nodes = []string{"b"} }, true},
		"a certificate more": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) {
			l := c.Listeners[1].TLS
			l.Certificates = append(l.Certificates, secret("other"))
		}, true},
		"the first of another": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) {
			c.Listeners[1].TLS.Certificates[0] = secret("other")
		}, false},
		"content of one": {func(_ *model.Config, s haproxy.Secrets, _ *haproxy.Options) {
			for key, data := range newAuthority(t).issue(t, "new.test") {
				s[secret("tls")][key] = data
			}
		}, true},
		"a body":     {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Routes[2].Action.Respond.Body = "back" }, false},
		"a timeout":  {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Pools[0].Timeouts.Connect++ }, false},
		"a listener": {func(c *model.Config, _ haproxy.Secrets, _ *haproxy.Options) { c.Listeners[0].BindPort++ }, false},
		"a replica": {func(_ *model.Config, _ haproxy.Secrets, o *haproxy.Options) {
			o.Peers = []haproxy.Peer{{Name: "a", Address: "10.0.0.1"}, {Name: "b", Address: "10.0.0.2"}}
		}, false},
	} {
		if after := build(c.edit); (after == before) != c.same {
			t.Errorf("%s: the same structure %t, want %t", name, after == before, c.same)
		}
	}
}
