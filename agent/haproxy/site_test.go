// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

const patience = 20 * time.Second

// site is a load balancer that a real HAProxy runs.
type site struct {
	t         *testing.T
	cfg       *model.Config
	structure *haproxy.Structure
	process   *proxy.Process
	health    string
}

// run builds a model and starts HAProxy with it. Listeners without a port get a free one.
func run(t *testing.T, v proxy.Version, cfg *model.Config, secrets haproxy.Secrets) *site {
	t.Helper()
	ports := freePorts(t, len(cfg.Listeners)+2)
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		l.BindPort = ports[i]
		if l.Port == 0 {
			l.Port = ports[i]
		}
	}
	options := haproxy.Options{Dir: v.Dir(t), Version: release(v), IPv4Only: true, HealthPort: ports[len(ports)-2], PeersPort: ports[len(ports)-1]}
	structure, err := haproxy.Build(cfg, secrets, options)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, cfg: cfg, structure: structure, health: fmt.Sprintf("http://127.0.0.1:%d", options.HealthPort)}
	config := store(t, structure, options.Dir)
	mustCheck(t, v, config)
	s.process = v.Start(t, config)
	return s
}

// store writes all files of a structure, and gives the path of the config.
func store(t testing.TB, structure *haproxy.Structure, dir string) string {
	t.Helper()
	config := filepath.Join(dir, "haproxy.cfg")
	files := map[string][]byte{config: structure.Text(structure.Servers(nil)), filepath.Join(dir, haproxy.StateFile): []byte("1\n")}
	for path, entries := range structure.Maps {
		files[path] = haproxy.MapText(entries)
	}
	for path, lines := range structure.CertLists {
		files[path] = haproxy.CertListText(lines)
	}
	for _, more := range []map[string][]byte{structure.Files, structure.Certificates} {
		for path, data := range more {
			files[path] = data
		}
	}
	for path, data := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// mustCheck fails unless HAProxy takes the config without a word of warning.
func mustCheck(t testing.TB, v proxy.Version, config string) {
	t.Helper()
	if out, ok := v.Check(t, config); !ok || strings.Contains(out, "WARNING") || strings.Contains(out, "ALERT") {
		text, _ := os.ReadFile(config)
		t.Fatalf("haproxy %s -c: %s\n%s", v, out, text)
	}
}

func release(v proxy.Version) haproxy.Version {
	var out haproxy.Version
	if _, err := fmt.Sscanf(v.Name, "%d.%d", &out.Major, &out.Minor); err != nil {
		panic(err)
	}
	return out
}

func freePorts(t testing.TB, n int) []int32 {
	t.Helper()
	var out []int32
	var held []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		out = append(out, int32(l.Addr().(*net.TCPAddr).Port)) //nolint:gosec // a port
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// address is where a listener is.
func (s *site) address(listener string) string {
	for i := range s.cfg.Listeners {
		if s.cfg.Listeners[i].Name == listener {
			return fmt.Sprintf("127.0.0.1:%d", s.cfg.Listeners[i].BindPort)
		}
	}
	s.t.Fatalf("no listener %s", listener)
	return ""
}

// question is a request; empty fields are those of a plain GET of the listener web.
type question struct {
	listener, method, url string
	header                http.Header
	tls                   *tls.Config
	http2                 bool
	// proxied is the address that the PROXY protocol tells.
	proxied string
}

// reply is what came of a question.
type reply struct {
	status int
	proto  string
	header http.Header
	body   string
	// member is what the member saw; nil if the answer is not a member's.
	member *seen
	// serial is the name that the listener's certificate is for.
	certificate string
}

// seen is a request as a member of these tests tells it.
type seen struct {
	Member, Method, Target, Host, Proto string
	Header                              http.Header
}

// ask sends a request to the listener, whatever host its URL has.
func (s *site) ask(q question) reply {
	s.t.Helper()
	r, err := s.try(q)
	if err != nil {
		s.t.Fatalf("%+v: %v", q, err)
	}
	return r
}

func (s *site) try(q question) (reply, error) {
	if q.listener == "" {
		q.listener = "web"
	}
	if q.method == "" {
		q.method = http.MethodGet
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, nil)
	if err != nil {
		return reply{}, err
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	transport := &http.Transport{DisableKeepAlives: !q.http2, TLSClientConfig: q.tls, ForceAttemptHTTP2: q.http2}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address(q.listener))
		if err != nil || q.proxied == "" {
			return conn, err
		}
		_, err = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 1000 80\r\n", q.proxied)
		return conn, err
	}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(response.Body)
	r := reply{status: response.StatusCode, proto: response.Proto, header: response.Header, body: string(body)}
	if response.Header.Get("X-Member") != "" {
		r.member = &seen{}
		err = errors.Join(err, json.Unmarshal(body, r.member))
	}
	if response.TLS != nil {
		r.certificate = response.TLS.PeerCertificates[0].DNSNames[0]
	}
	return r, errors.Join(err, response.Body.Close())
}

// raw sends bytes, and gives the head of the answer.
func (s *site) raw(listener, text string) string {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.address(listener), patience)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line)
}

// member serves HTTP and tells what it sees.
func member(t *testing.T, name string) model.Member {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Member", name)
		w.Header().Set("Access-Control-Allow-Origin", "https://member.example.com")
		w.Header().Set("Server", "member")
		_ = json.NewEncoder(w).Encode(seen{name, req.Method, req.RequestURI, req.Host, req.Proto, req.Header})
	}))
}

// serve makes a member of a handler.
func serve(t *testing.T, handler http.Handler) model.Member {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().(*net.TCPAddr)
	return model.Member{Weight: 1, Address: &model.Address{Host: "127.0.0.1", Port: int32(address.Port)}} //nolint:gosec // a port
}

// stream serves a word to each connection, after the client's first byte.
func streamMember(t *testing.T, word string) model.Member {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Read(make([]byte, 1))
				_, _ = io.WriteString(conn, word+"\n")
				_ = conn.Close()
			}()
		}
	}()
	return model.Member{Weight: 1, Address: &model.Address{Host: "127.0.0.1", Port: int32(l.Addr().(*net.TCPAddr).Port)}} //nolint:gosec // a port
}

func poolOf(name string, members ...model.Member) model.Pool {
	second := model.Duration(time.Second)
	return model.Pool{
		Name: name, Algorithm: model.RoundRobin, Members: members, MinActive: 1,
		Timeouts: model.PoolTimeouts{Connect: second, Response: 5 * second, Tunnel: 20 * second},
	}
}

func listener(name string, protocol model.Protocol) model.Listener {
	second := model.Duration(time.Second)
	return model.Listener{Name: name, Protocol: protocol, Timeouts: model.ListenerTimeouts{
		Idle: 20 * second, Request: 5 * second, KeepAlive: 20 * second, Tunnel: 20 * second,
	}}
}

func to(pool string) model.Action {
	return model.Action{Pools: []model.WeightedPool{{Pool: pool, Weight: 1}}}
}

func path(kind model.PathType, value string) model.Match {
	return model.Match{Path: &model.PathMatch{Type: kind, Value: value}}
}

// web is a model with one listener for HTTP.
func web(pools []model.Pool, routes ...model.Route) *model.Config {
	for i := range routes {
		if routes[i].Listeners == nil {
			routes[i].Listeners = []string{"web"}
		}
	}
	return &model.Config{
		Version: model.Version, Name: "shop/web", Generation: 1, DrainTimeout: model.Duration(5 * time.Second),
		Listeners: []model.Listener{listener("web", model.HTTP)}, Pools: pools, Routes: routes,
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.certificate, a.key = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// issue gives the data of a Secret for the names.
func (a *authority) issue(t testing.TB, names ...string) map[string][]byte {
	t.Helper()
	certificate, key := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func secret(name string) model.SecretRef { return model.SecretRef{Namespace: "shop", Name: name} }
