// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// secure is a model with a listener for HTTPS.
func secure(pools []model.Pool, with model.ListenerTLS, routes ...model.Route) *model.Config {
	cfg := web(pools, routes...)
	cfg.Listeners[0].Protocol, cfg.Listeners[0].TLS = model.HTTPS, &with
	return cfg
}

// hello is a TLS client that trusts an authority.
func hello(a *authority, name string) *tls.Config {
	return &tls.Config{RootCAs: a.pool(), ServerName: name, MinVersion: tls.VersionTLS10} //nolint:gosec // the old versions are what is tested
}

// TestCertificates: the server name picks the certificate, and one that is bad leaves the others in force.
func TestCertificates(t *testing.T) {
	ca := newAuthority(t)
	bad := ca.issue(t, "bad.test")
	bad["tls.key"] = ca.issue(t, "bad.test")["tls.key"]
	secrets := haproxy.Secrets{secret("a"): ca.issue(t, "a.test"), secret("b"): ca.issue(t, "b.test", "*.b.test"), secret("bad"): bad}
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := secure([]model.Pool{poolOf("web", member(t, "web"))},
			model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{secret("a"), secret("bad"), secret("missing"), secret("b")}},
			model.Route{Name: "web", Action: to("web")})
		none := listener("none", model.HTTPS)
		none.TLS = &model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{secret("bad")}}
		cfg.Listeners = append(cfg.Listeners, none)
		s := run(t, v, cfg, secrets)
		for name, want := range map[string]string{"a.test": "a.test", "b.test": "b.test", "x.b.test": "b.test"} {
			got := s.ask(question{url: "https://" + name + "/", tls: hello(ca, name)})
			if got.certificate != want || got.member == nil || got.member.Header.Get("X-Forwarded-Proto") != "https" {
				t.Errorf("%s: certificate of %s, %+v", name, got.certificate, got.member)
			}
		}
		other := hello(ca, "other.test")
		other.InsecureSkipVerify = true
		if got := s.ask(question{url: "https://other.test/", tls: other}); got.certificate != "a.test" {
			t.Errorf("a client of another name gets the certificate of %s", got.certificate)
		}
		if conn, err := net.Dial("tcp", s.address("none")); err == nil {
			_ = conn.Close()
			t.Error("a listener without a certificate is open")
		}
		var fields []string
		for _, refusal := range s.structure.Refusals {
			fields = append(fields, refusal.Field)
		}
		want := []string{"listeners[web].tls.certificates[1]", "listeners[web].tls.certificates[2]", "listeners[none].tls.certificates[0]", "listeners[none]"}
		if !slices.Equal(fields, want) {
			t.Errorf("refused %v, want %v", fields, want)
		}
	})
}

// TestTLSVersions: a listener speaks the versions and ciphers that it names, and h2 unless it says otherwise.
func TestTLSVersions(t *testing.T) {
	ca := newAuthority(t)
	secrets := haproxy.Secrets{secret("a"): ca.issue(t, "a.test")}
	certificates := []model.SecretRef{secret("a")}
	const cipher = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := secure([]model.Pool{poolOf("web", member(t, "web"))}, model.ListenerTLS{MinVersion: "1.2", Certificates: certificates},
			model.Route{Name: "web", Listeners: []string{"web", "old", "twelve", "thirteen"}, Action: to("web")})
		for name, with := range map[string]model.ListenerTLS{
			"old":      {MinVersion: "1.0"},
			"twelve":   {MinVersion: "1.2", MaxVersion: "1.2", Ciphers: []string{"ECDHE-ECDSA-AES256-GCM-SHA384"}, ALPN: []string{"http/1.1"}},
			"thirteen": {MinVersion: "1.3", CipherSuites: []string{"TLS_AES_256_GCM_SHA384"}},
		} {
			l := listener(name, model.HTTPS)
			with.Certificates = certificates
			l.TLS = &with
			cfg.Listeners = append(cfg.Listeners, l)
		}
		s := run(t, v, cfg, secrets)
		for _, c := range []struct {
			listener string
			version  uint16
			cipher   uint16
			ok       bool
		}{
			{"web", tls.VersionTLS11, 0, false}, {"web", tls.VersionTLS12, 0, true}, {"web", tls.VersionTLS13, 0, true},
			{"old", tls.VersionTLS10, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, true}, {"old", tls.VersionTLS13, 0, true},
			{"twelve", tls.VersionTLS13, 0, false}, {"twelve", tls.VersionTLS12, cipher, true}, {"twelve", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false},
			{"thirteen", tls.VersionTLS12, 0, false}, {"thirteen", tls.VersionTLS13, 0, true},
		} {
			with := hello(ca, "a.test")
			with.MinVersion, with.MaxVersion = c.version, c.version
			if c.cipher != 0 {
				with.CipherSuites = []uint16{c.cipher}
			}
			if _, err := s.try(question{listener: c.listener, url: "https://a.test/", tls: with}); (err == nil) != c.ok {
				t.Errorf("%s, version %x, cipher %x: %v", c.listener, c.version, c.cipher, err)
			}
		}
		for listener, want := range map[string]string{"web": "HTTP/2.0", "twelve": "HTTP/1.1"} {
			if got := s.ask(question{listener: listener, url: "https://a.test/", tls: hello(ca, "a.test"), http2: true}); got.proto != want {
				t.Errorf("%s speaks %s, want %s", listener, got.proto, want)
			}
		}
	})
}

// TestClientCertificates: who has none, or one of another authority, stays outside; and without the authorities the
// listener is closed, and not open to all.
func TestClientCertificates(t *testing.T) {
	ca, clients, others := newAuthority(t), newAuthority(t), newAuthority(t)
	secrets := haproxy.Secrets{secret("a"): ca.issue(t, "a.test"), secret("ca"): {"ca.crt": clients.pem()}}
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		with := func(ca string, optional bool) model.ListenerTLS {
			return model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{secret("a")}, ClientAuth: &model.ClientAuth{CA: secret(ca), Optional: optional}}
		}
		cfg := secure([]model.Pool{poolOf("web", member(t, "web"))}, with("ca", false),
			model.Route{Name: "web", Listeners: []string{"web", "optional"}, Action: to("web")})
		for name, tls := range map[string]model.ListenerTLS{"optional": with("ca", true), "closed": with("missing", true)} {
			l := listener(name, model.HTTPS)
			l.TLS = &tls
			cfg.Listeners = append(cfg.Listeners, l)
		}
		s := run(t, v, cfg, secrets)
		for _, c := range []struct {
			listener string
			from     *authority
			ok       bool
		}{
			{"web", nil, false}, {"web", clients, true}, {"web", others, false},
			{"optional", nil, true}, {"optional", clients, true}, {"optional", others, false},
			{"closed", nil, false}, {"closed", clients, false},
		} {
			client := hello(ca, "a.test")
			if c.from != nil {
				data := c.from.issue(t, "client")
				pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
				if err != nil {
					t.Fatal(err)
				}
				// The client's own choice would leave out what the server does not ask for.
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			if got, err := s.try(question{listener: c.listener, url: "https://a.test/", tls: client}); (err == nil && got.status == http.StatusOK) != c.ok {
				t.Errorf("%s with a certificate %t: %d %v, want %t", c.listener, c.from != nil, got.status, err, c.ok)
			}
		}
	})
}

// say sends a byte on a connection and gives the line that comes back.
func say(conn net.Conn, err error) string {
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "x"); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

// TestStreams: a stream goes to its route or the listener's pool, decrypted if the listener has a certificate.
func TestStreams(t *testing.T) {
	ca := newAuthority(t)
	secrets := haproxy.Secrets{secret("a"): ca.issue(t, "a.test")}
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := web([]model.Pool{poolOf("one", streamMember(t, "one")), poolOf("two", streamMember(t, "two"))},
			model.Route{Name: "one", Listeners: []string{"tcp", "tls"}, Action: to("one")},
			model.Route{Name: "shut", Listeners: []string{"shut"}, DenyCIDRs: []string{"127.0.0.1"}, Action: to("one")})
		tcp, decrypted, rest, none, shut := listener("tcp", model.TCP), listener("tls", model.TCP), listener("rest", model.TCP), listener("none", model.TCP), listener("shut", model.TCP)
		decrypted.TLS = &model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{secret("a")}}
		rest.Pool = "two"
		cfg.Listeners = []model.Listener{tcp, decrypted, rest, none, shut}
		s := run(t, v, cfg, secrets)
		for name, want := range map[string]string{"tcp": "one", "rest": "two", "none": "", "shut": ""} {
			if got := say(net.Dial("tcp", s.address(name))); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		conn, err := tls.Dial("tcp", s.address("tls"), hello(ca, "a.test"))
		if err != nil {
			t.Fatal(err)
		}
		if got := say(conn, nil); got != "one" {
			t.Errorf("decrypted: %q, want one", got)
		}
	})
}

// TestPassthrough: the server name picks the pool, and the member's own certificate comes through.
func TestPassthrough(t *testing.T) {
	ca := newAuthority(t)
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		encrypted := func(name string) model.Member {
			data := ca.issue(t, name, "a.test", "x.b.test", "c.test")
			pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
			if err != nil {
				t.Fatal(err)
			}
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}) //nolint:gosec // as it comes
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{ReadHeaderTimeout: patience, Handler: http.NotFoundHandler()}
			go func() { _ = server.Serve(l) }()
			t.Cleanup(func() { _ = server.Close() })
			return model.Member{Weight: 1, Address: &model.Address{Host: "127.0.0.1", Port: int32(l.Addr().(*net.TCPAddr).Port)}} //nolint:gosec // a port
		}
		cfg := web([]model.Pool{poolOf("a", encrypted("a")), poolOf("b", encrypted("b")), poolOf("rest", encrypted("rest"))},
			model.Route{Name: "a", Hostnames: []string{"a.test"}, Action: to("a")},
			model.Route{Name: "b", Hostnames: []string{"*.b.test"}, Action: to("b")})
		cfg.Listeners[0].Protocol = model.TLS
		rest := listener("rest", model.TLS)
		rest.Pool = "rest"
		cfg.Listeners = append(cfg.Listeners, rest)
		s := run(t, v, cfg, nil)
		for _, c := range []struct{ listener, name, want string }{
			{"web", "a.test", "a"}, {"web", "A.test", "a"}, {"web", "x.b.test", "b"}, {"web", "c.test", ""}, {"rest", "c.test", "rest"},
		} {
			got, _ := s.try(question{listener: c.listener, url: "https://" + c.name + "/", tls: hello(ca, c.name)})
			if got.certificate != c.want {
				t.Errorf("%s at %s: the certificate of %q, want %q", c.name, c.listener, got.certificate, c.want)
			}
		}
		if got := s.raw("web", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); got != "" {
			t.Errorf("what is not TLS is answered %q", got)
		}
	})
}

// TestHealth: the port of the process itself answers, and tells metrics.
func TestHealth(t *testing.T) {
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		s := run(t, v, web(nil), nil)
		for path, want := range map[string]string{"/healthz": "ok", "/metrics": "haproxy_process_uptime_seconds"} {
			response, err := http.Get(s.health + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("%s: %d, %d bytes, %v", path, response.StatusCode, len(body), err)
			}
		}
	})
}

// TestAccessLog: each line is JSON, whatever clients send, and has no query.
func TestAccessLog(t *testing.T) {
	ca := newAuthority(t)
	proxy.Each(t, func(t *testing.T, v proxy.Version) {
		cfg := web([]model.Pool{poolOf("web", member(t, "web")), poolOf("stream", streamMember(t, "x"))},
			model.Route{Name: "all", Action: to("web")}, model.Route{Name: "stream", Listeners: []string{"stream"}, Action: to("stream")})
		cfg.AccessLog = model.LogJSON
		encrypted := listener("secure", model.HTTPS)
		encrypted.TLS = &model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{secret("a")}}
		cfg.Listeners = append(cfg.Listeners, listener("stream", model.TCP), encrypted)
		s := run(t, v, cfg, haproxy.Secrets{secret("a"): ca.issue(t, "a.test")})
		s.ask(get("http://any.test/a'b\"%22?token=hunter2"))
		s.raw("web", "GET /\"},{\\n%[src] HTTP/1.0\r\nHost: a\"b\\\x01\xff\r\n\r\n")
		s.raw("web", "GET /\"},{\\\"{} HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n")
		s.raw("web", "GET /"+strings.Repeat("\"", 5000)+" HTTP/1.1\r\nHost: any.test\r\nConnection: close\r\n\r\n")
		s.raw("web", "\x16\x03\r\n\r\n")
		say(net.Dial("tcp", s.address("stream")))
		s.raw("secure", "this is no handshake\r\n\r\n")
		type line struct {
			Time                                 float64
			Client, Listener, Route, Path, Error string
			Status                               int
		}
		var lines []line
		deadline := time.Now().Add(patience)
		for time.Now().Before(deadline) {
			lines = nil
			for text := range strings.Lines(s.process.Log()) {
				if !strings.HasPrefix(text, "{") {
					continue
				}
				var one line
				if err := json.Unmarshal([]byte(text), &one); err != nil {
					t.Fatalf("%v in %q", err, text)
				}
				lines = append(lines, one)
			}
			if len(lines) >= 7 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		has := func(what string, ok func(line) bool) {
			if !slices.ContainsFunc(lines, ok) {
				t.Errorf("no line of %s in %+v", what, lines)
			}
		}
		has("a request", func(l line) bool {
			return l.Listener == "web" && l.Route == "all" && l.Client == "127.0.0.1" && l.Status == 200 && l.Path == "/a%27b%22%22" && l.Time > 1e9
		})
		has("a bad request", func(l line) bool { return l.Listener == "web" && l.Status == 400 })
		has("a stream", func(l line) bool { return l.Listener == "stream" && l.Route == "stream" })
		has("a failed handshake", func(l line) bool { return l.Listener == "secure" && l.Error != "" })
		if strings.Contains(s.process.Log(), "hunter2") {
			t.Error("the query is in the log")
		}
	})
}
