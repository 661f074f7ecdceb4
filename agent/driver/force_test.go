// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	real "github.com/fairlead/fairlead/test/haproxy"
)

// route sends a path to a member of its own.
func route(name, path string, action model.Action) model.Route {
	return model.Route{
		Name: name, Listeners: []string{"http"}, Action: action,
		Matches: []model.Match{{Path: &model.PathMatch{Type: model.PathPrefix, Value: path}}},
	}
}

func to(pool string) model.Action {
	return model.Action{Pools: []model.WeightedPool{{Pool: pool, Weight: 1}}}
}

// answers waits until a path is answered by a member, or with a status.
func (r *rig) answers(path string, status int, who string) {
	r.Helper()
	r.eventually(fmt.Sprintf("%s is answered %d by %s", path, status, who), func() error {
		code, by, err := r.get(path)
		if err != nil || code != status || who != "" && by != who {
			return fmt.Errorf("%d by %s, %w", code, by, err)
		}
		return nil
	})
}

func (r *rig) member(n int) model.Member {
	return model.Member{Address: &model.Address{Host: address(n), Port: r.memberPort}, Weight: 1}
}

// TestRoutesWithoutReload adds, changes and removes routes that are a path and a pool.
func TestRoutesWithoutReload(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		cfg := r.config()
		cfg.Pools = []model.Pool{pool("web", r.member(1)), pool("api", r.member(2))}
		cfg.Routes = append(cfg.Routes, route("api", "/api", to("api")))
		r.settle(cfg, nil)
		r.answers("/api/x", 200, address(2))
		r.answers("/other", 200, address(1))
		next := *cfg
		next.Generation = 2
		next.Routes = append(slices.Clone(cfg.Routes), route("more", "/other", to("api")))
		r.settle(&next, nil)
		r.answers("/other", 200, address(2))
		last := next
		last.Generation = 3
		last.Routes = cfg.Routes[:1]
		r.settle(&last, nil)
		r.answers("/api/x", 200, address(1))
		if s := r.driver.Status(); s.Reloads != 0 || len(s.Repairs) != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestReloadKeepsRequests has requests under way while the structure changes.
func TestReloadKeepsRequests(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		cfg := r.config()
		r.settle(cfg, nil)
		r.serving(1)
		open := make(chan error, 1)
		go func() {
			_, who, err := r.get("/?wait=500ms")
			if err == nil && who != address(1) {
				err = fmt.Errorf("answered by %q", who)
			}
			open <- err
		}()
		next := *cfg
		next.Generation = 2
		next.Pools = []model.Pool{cfg.Pools[0]}
		next.Pools[0].Algorithm = model.LeastConnections
		r.settle(&next, nil)
		if err := <-open; err != nil {
			t.Error(err)
		}
		if n := r.reloads(); n != 1 {
			t.Errorf("%d reloads", n)
		}
		// Another monitor is words of servers only, which must not be taken away for it.
		last := next
		last.Generation = 3
		last.Pools = []model.Pool{next.Pools[0]}
		last.Pools[0].MaxConnections = 100
		r.settle(&last, nil)
		if n := r.reloads(); n != 2 {
			t.Errorf("%d reloads", n)
		}
		if s := r.driver.Status(); len(s.Repairs) != 0 {
			t.Errorf("repairs %+v", s.Repairs)
		}
	})
}

// badRegex is balanced, and none that HAProxy takes: there is no group 7.
const badRegex = `^/(a)\7$`

func regex(name, value string) model.Route {
	r := route(name, "/", to("web"))
	r.Matches = []model.Match{{Path: &model.PathMatch{Type: model.PathRegex, Value: value}}}
	return r
}

// TestCulpritIsLeftOut has two bad routes among good ones.
func TestCulpritIsLeftOut(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		cfg := r.config()
		r.settle(cfg, nil)
		next := *cfg
		next.Generation = 2
		next.Pools = append(slices.Clone(cfg.Pools), pool("api", r.member(2)))
		next.Routes = append(slices.Clone(cfg.Routes), route("api", "/api", to("api")), regex("bad", badRegex),
			regex("good", "^/good$"), regex("worse", badRegex))
		s := r.settle(&next, nil)
		var fields []string
		for _, p := range s.Problems {
			fields = append(fields, p.Field)
			if p.Reason != "RefusedByHAProxy" || !strings.Contains(p.Message, "regex") || strings.Contains(p.Message, r.dir) {
				t.Errorf("problem %+v", p)
			}
		}
		if !slices.Equal(fields, []string{"routes[bad]", "routes[worse]"}) {
			t.Errorf("problems of %v", fields)
		}
		r.answers("/api", 200, address(2))
		r.answers("/good", 200, address(1))
		if _, err := os.Stat(filepath.Join(r.dir, checkDir)); !os.IsNotExist(err) {
			t.Errorf("the candidate's folder is still there: %v", err)
		}
		// What changes at run time goes on, without another reload.
		reloads := r.reloads()
		more := next
		more.Generation = 3
		more.Routes = append(slices.Clone(next.Routes), route("more", "/more", to("api")))
		if s := r.settle(&more, nil); len(s.Problems) != 2 || s.Reloads != reloads {
			t.Errorf("status %+v, reloads before %d", s, reloads)
		}
		r.answers("/more", 200, address(2))
		good := next
		good.Generation = 4
		good.Routes = next.Routes[:2]
		if s := r.settle(&good, nil); len(s.Problems) != 0 {
			t.Errorf("problems %+v", s.Problems)
		}
	})
}

// TestLastGoodStays refuses a model as a whole, and one that HAProxy checks and cannot start with.
func TestLastGoodStays(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		cfg := r.config()
		r.settle(cfg, nil)
		refused := func(what string) Status {
			t.Helper()
			r.eventually(what, func() error {
				if s := r.driver.Status(); s.Refused == "" {
					return errMore
				}
				return nil
			})
			return r.driver.Status()
		}
		newer := *cfg
		newer.Version = "v0"
		newer.Generation = 2
		r.set(&newer, nil)
		if s := refused("another version is refused"); s.Generation != 1 || !strings.Contains(s.Refused, `"v0"`) {
			t.Errorf("status %+v", s)
		}
		r.serving(1)
		r.endpoints(2)
		r.serving(2)
		r.settle(cfg, nil)

		busy, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken := *cfg
		taken.Generation = 3
		taken.Listeners = append(slices.Clone(cfg.Listeners), cfg.Listeners[0])
		taken.Listeners[1].Name, taken.Listeners[1].Port, taken.Listeners[1].BindPort = "busy", 81, int32(busy.Addr().(*net.TCPAddr).Port)
		r.set(&taken, nil)
		if s := refused("a port that is taken is refused"); s.Generation != 1 {
			t.Errorf("status %+v", s)
		}
		r.serving(2)
		text, err := os.ReadFile(filepath.Join(r.dir, configFile))
		if err != nil || strings.Contains(string(text), "listener.busy") {
			t.Errorf("the files are not those of the last good configuration (%v)", err)
		}
		r.endpoints(3)
		r.serving(3)
		// It is tried again, and works when the reason is gone.
		if err := busy.Close(); err != nil {
			t.Fatal(err)
		}
		r.eventually("the model is in force", func() error {
			if s := r.driver.Status(); s.Generation != 3 || s.Refused != "" {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		r.serving(3)
	})
}

// certificate is a Secret for a name, and its serial number.
func certificate(t *testing.T, name string, serial int64) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

func ref(name string) model.SecretRef { return model.SecretRef{Namespace: "shop", Name: name} }

// presents waits until the listener shows a certificate with the serial number.
func (r *rig) presents(server string, serial int64) {
	r.Helper()
	r.eventually(fmt.Sprintf("%s has certificate %d", server, serial), func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{ServerName: server, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if got := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial {
			return fmt.Errorf("it has %d", got)
		}
		return nil
	})
}

func (r *rig) https(names ...string) *model.Config {
	cfg := r.config()
	cfg.Listeners[0].Protocol = model.HTTPS
	cfg.Listeners[0].TLS = &model.ListenerTLS{MinVersion: "1.2"}
	for _, name := range names {
		cfg.Listeners[0].TLS.Certificates = append(cfg.Listeners[0].TLS.Certificates, ref(name))
	}
	return cfg
}

// TestCertificatesWithoutReload rotates, adds and removes certificates, and keeps the last good one.
func TestCertificatesWithoutReload(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		secrets := haproxy.Secrets{ref("a"): certificate(t, "a.test", 1)}
		r.settle(r.https("a"), secrets)
		r.presents("a.test", 1)
		next := r.https("a", "b")
		next.Generation = 2
		r.settle(next, haproxy.Secrets{ref("a"): certificate(t, "a.test", 2), ref("b"): certificate(t, "b.test", 3)})
		r.presents("a.test", 2)
		r.presents("b.test", 3)
		last := r.https("a")
		last.Generation = 3
		good := certificate(t, "a.test", 4)
		r.settle(last, haproxy.Secrets{ref("a"): good})
		r.presents("b.test", 4)

		stands := func(what string, generation int64, input *Input) {
			t.Helper()
			input.Model = r.https("a")
			input.Model.Generation, input.Hash = generation, what
			r.driver.SetInput(input)
			r.eventually(what, func() error {
				s := r.driver.Status()
				if s.Model != what || len(s.Problems) != 1 || s.Problems[0].Field != "listeners[http].tls.certificates[0]" ||
					!strings.HasSuffix(s.Problems[0].Message, "; what it held before stays in force") {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			r.presents("a.test", 4)
		}
		stands("nonsense in the Secret", 4, &Input{Secrets: haproxy.Secrets{ref("a"): {"tls.crt": []byte("x"), "tls.key": good["tls.key"]}}})
		stands("a Secret that may not be read", 5, &Input{Unreadable: map[model.SecretRef]string{ref("a"): "the load balancer may not read it"}})
		if s := r.driver.Status(); s.Problems[0].Reason != "SecretUnreadable" || !strings.Contains(s.Problems[0].Message, "may not read it") {
			t.Errorf("problem %+v", s.Problems[0])
		}
		// Also after a restart of the agent.
		r.stop()
		r.start()
		stands("a Secret that is gone", 6, &Input{})
		if n := r.reloads(); n != 0 {
			t.Errorf("%d reloads", n)
		}
	})
}

// repaired waits for a repair, which is the only one.
func (r *rig) repaired(object, field, want, found string) {
	r.Helper()
	r.eventually("the repair of "+object, func() error {
		all := r.driver.Status().Repairs
		if len(all) == 0 || all[0].Object != object || all[0].Field != field || all[0].Want != want || all[0].Found != found || all[0].Failed {
			return fmt.Errorf("repairs %+v", all)
		}
		return nil
	})
}

// TestDriftIsUndone changes HAProxy by its socket, as an operator with access to it would.
func TestDriftIsUndone(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1, 2)
		cfg := r.https("a")
		cfg.Pools = append(cfg.Pools, pool("api", r.member(9)))
		cfg.Routes = append(cfg.Routes, model.Route{Name: "api", Listeners: []string{"http"}, Hostnames: []string{"api.test"}, Action: to("api")})
		a := certificate(t, "a.test", 1)
		r.settle(cfg, haproxy.Secrets{ref("a"): a})
		one, two := "server pool.web/"+r.name(1), "server pool.web/"+r.name(2)
		run := func(commands ...socket.Command) {
			t.Helper()
			if err := r.admin.Run(t.Context(), commands...); err != nil {
				t.Fatal(err)
			}
		}
		run(socket.SetState("pool.web", r.name(1), socket.Maint))
		r.repaired(one, "state", "ready", "maint")
		weight := fmt.Sprint(r.servers("pool.web")[r.name(2)].Weight)
		run(socket.SetWeight("pool.web", r.name(2), 77))
		r.repaired(two, "weight", weight, "77")
		run(socket.SetState("pool.web", r.name(2), socket.Maint), socket.DelServer("pool.web", r.name(2)))
		r.repaired(two, "server", "present", "")
		run(socket.AddServer("pool.web", "intruder", "127.0.9.9:80"), socket.SetState("pool.web", "intruder", socket.Ready))
		r.repaired("server pool.web/intruder", "server", "", "present")
		r.gone("pool.web", "intruder")

		var path string
		var entry socket.Entry
		for name, entries := range r.driver.mapsForTest() {
			if len(entries) > 0 {
				path, entry = name, entries[0]
			}
		}
		run(socket.SetMap(path, socket.Entry{Key: entry.Key, Value: "elsewhere"}))
		r.repaired("map "+filepath.Base(path), entry.Key, entry.Value, "elsewhere")

		foreign := certificate(t, "a.test", 666)
		pem := append(slices.Clone(foreign["tls.crt"]), foreign["tls.key"]...)
		names, err := r.admin.Certs(t.Context())
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		if err := r.admin.SetCert(t.Context(), names[0], pem); err != nil {
			t.Fatal(err)
		}
		r.repaired("certificate "+filepath.Base(names[0]), "fingerprint", fingerprint(a["tls.crt"]), fingerprint(pem))
		r.presents("a.test", 1)
		if s := r.driver.Status(); s.Reloads != 0 || len(s.Repairs) != maxRepairs {
			t.Errorf("status %+v", s)
		}
	})
}

// TestHAProxyRestarts has its container start again, with what was set at run time.
func TestHAProxyRestarts(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		r.settle(r.config(), nil)
		r.endpoints(2, 3)
		r.serving(2, 3)
		r.saved(3)
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.serving(2, 3)
		// What changes while it is away is put in force when it is back.
		if err := r.container.Kill(); err != nil {
			t.Fatal(err)
		}
		r.endpoints(4)
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.serving(4)
		if s := r.driver.Status(); s.Reloads != 0 || len(s.Repairs) != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestForeignConfiguration has HAProxy run with another configuration than its own, which no command can undo.
func TestForeignConfiguration(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		r.settle(r.config(), nil)
		r.serving(1)
		path := filepath.Join(r.dir, configFile)
		foreign := "global\n  stats socket " + r.dir + "/admin.sock mode 600 level admin expose-fd listeners\n" +
			"defaults\n  mode http\n  timeout client 5s\nfrontend f\n  bind unix@" + r.dir + "/f.sock\n"
		if err := os.WriteFile(path, []byte(foreign), 0o600); err != nil {
			t.Fatal(err)
		}
		// 2.6 opens the master's socket when the worker serves already.
		r.eventually("it is reloaded by somebody else", func() error {
			_, err := socket.NewMaster(filepath.Join(r.dir, "master.sock")).Reload(t.Context())
			return err
		})
		r.serving(1)
		r.eventually("it is reloaded", func() error {
			if r.reloads() == 0 {
				return errMore
			}
			return nil
		})
	})
}

// TestAgentRestarts leaves HAProxy as it is until there is a model, and needs no reload if it is the same.
func TestAgentRestarts(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newRig(t, v)
		r.endpoints(1)
		cfg := r.config()
		r.settle(cfg, nil)
		r.serving(1)
		info, err := r.admin.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.start()
		r.eventually("the driver knows what was in force", func() error {
			if s := r.driver.Status(); !s.Restored || s.Generation != 1 || s.Model != "hash-1" || s.Version == "" {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		r.serving(1)
		r.endpoints(1, 2)
		next := *cfg
		next.Generation = 2
		r.settle(&next, nil)
		r.serving(1, 2)
		after, err := r.admin.Info(t.Context())
		if err != nil || after.PID != info.PID {
			t.Errorf("another worker serves: %d, before %d, %v", after.PID, info.PID, err)
		}
		if s := r.driver.Status(); s.Reloads != 0 || len(s.Repairs) != 0 {
			t.Errorf("status %+v", s)
		}
		// Both at once, and another structure.
		r.stop()
		if err := r.container.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.serving(1, 2)
		r.endpoints(2)
		last := *cfg
		last.Generation = 3
		last.Pools = append(slices.Clone(cfg.Pools), pool("more"))
		r.settle(&last, nil)
		r.serving(2)
		if n := r.reloads(); n != 1 {
			t.Errorf("%d reloads", n)
		}
	})
}
