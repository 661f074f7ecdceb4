// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

const patience = 20 * time.Second

// rig is a real HAProxy with the backends of a model behind frontends of the test's own: the header x-pool names the
// target of a request, and a stream goes to the pool that the rig was made with.
type rig struct {
	t         *testing.T
	version   haproxy.Version
	dir       string
	config    string
	structure *Structure
	process   *haproxy.Process
	admin     *socket.Client
	// url and proxied take HTTP, proxied behind the header of the PROXY protocol; stream takes anything.
	url, proxied, stream string
}

type rigOptions struct {
	endpoints Endpoints
	secrets   Secrets
	// stream is the pool of the stream listener.
	stream string
	// routed makes more lines of the HTTP frontend, before the choice.
	routed []string
}

func options(v haproxy.Version, dir string) Options {
	out := Options{Dir: dir}
	if _, err := fmt.Sscanf(v.Name, "%d.%d", &out.Version.Major, &out.Version.Minor); err != nil {
		panic(err)
	}
	return out
}

func newBuilder(cfg *model.Config, secrets Secrets, options Options) *builder {
	return &builder{cfg: cfg, secrets: secrets, options: options, broken: map[string]bool{}, structure: &Structure{
		Maps:         map[string][]socket.Entry{},
		Certificates: map[string][]byte{},
		CertLists:    map[string][]Certificate{},
		Files:        map[string][]byte{},
	}}
}

// prepare writes the files, and has HAProxy check them.
func prepare(t *testing.T, v haproxy.Version, cfg *model.Config, with rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, version: v, dir: v.Dir(t)}
	ports := freePorts(t, 4)
	r.url, r.proxied, r.stream = "http://"+ports[0], ports[1], ports[2]
	b := newBuilder(cfg, with.secrets, options(v, r.dir))
	b.backends()
	r.structure = b.structure
	var w config.Writer
	w.Section("global", "")
	w.Line("stats socket " + r.dir + "/admin.sock mode 600 level admin expose-fd listeners")
	w.Line("log stdout format raw local0")
	w.Line("localpeer self")
	w.Section("defaults", "")
	w.Line("mode http")
	w.Line("log global")
	w.Line("option httplog")
	w.Line("timeout client 20s")
	w.Section("peers", peersSection)
	w.Line("peer self " + ports[3])
	w.Section("frontend", "listener.http")
	w.Line("bind " + ports[0])
	w.Line("bind " + ports[1] + " accept-proxy")
	w.Line("http-request set-var(txn.pool) req.hdr(x-pool)")
	for _, line := range with.routed {
		w.Line(line)
	}
	b.selection(&w, &model.Listener{Name: "http", Protocol: model.HTTP})
	if with.stream != "" {
		w.Section("frontend", "listener.tcp")
		w.Line("mode tcp")
		w.Line("option tcplog")
		w.Line("bind " + ports[2])
		w.Line("tcp-request content set-var(txn.pool) str(" + with.stream + ")")
		b.selection(&w, &model.Listener{Name: "tcp", Protocol: model.TCP})
	}
	b.structure.front = w.String()
	r.write(with.endpoints)
	if out, ok := v.Check(t, r.config); !ok || strings.Contains(out, "WARNING") || strings.Contains(out, "ALERT") {
		text, _ := os.ReadFile(r.config)
		t.Fatalf("haproxy -c: %s\n%s", out, text)
	}
	return r
}

// start prepares and runs it.
func start(t *testing.T, v haproxy.Version, cfg *model.Config, with rigOptions) *rig {
	t.Helper()
	r := prepare(t, v, cfg, with)
	r.process = v.Start(t, r.config)
	r.admin = socket.New(filepath.Join(r.dir, "admin.sock"))
	return r
}

// write puts all files in place.
func (r *rig) write(endpoints Endpoints) {
	r.t.Helper()
	files := map[string][]byte{}
	for path, entries := range r.structure.Maps {
		var text strings.Builder
		for _, entry := range entries {
			text.WriteString(entry.Key + " " + entry.Value + "\n")
		}
		files[path] = []byte(text.String())
	}
	for _, more := range []map[string][]byte{r.structure.Files, r.structure.Certificates} {
		for path, data := range more {
			files[path] = data
		}
	}
	r.config = filepath.Join(r.dir, "haproxy.cfg")
	files[r.config] = r.structure.Text(r.structure.Servers(endpoints))
	for path, data := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	var held []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		out = append(out, l.Addr().String())
	}
	for _, l := range held {
		_ = l.Close()
	}
	return out
}

// answer is what a client got.
type answer struct {
	status int
	body   string
	header http.Header
}

// request asks for a target; header are pairs.
func (r *rig) request(target, path string, header ...string) answer {
	r.t.Helper()
	got, err := r.ask(http.DefaultTransport, r.url, target, path, header...)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// from asks as a client of an address, which the PROXY protocol tells.
func (r *rig) from(source, target, path string, header ...string) answer {
	r.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.proxied)
		if err != nil {
			return nil, err
		}
		family := "TCP4 " + source + " 192.0.2.1"
		if strings.Contains(source, ":") {
			family = "TCP6 " + source + " 2001:db8::1"
		}
		if _, err := fmt.Fprintf(conn, "PROXY %s 1000 80\r\n", family); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}}
	got, err := r.ask(transport, "http://"+r.proxied, target, path, header...)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *rig) ask(transport http.RoundTripper, url, target, path string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url+path, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Pool", target)
	for i := 0; i < len(header); i += 2 {
		if header[i] == ":method" {
			req.Method = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	response, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(body), response.Header}, errors.Join(err, response.Body.Close())
}

// do runs commands on HAProxy's socket.
func (r *rig) do(commands ...socket.Command) {
	r.t.Helper()
	if err := r.admin.Run(r.t.Context(), commands...); err != nil {
		r.t.Fatal(err)
	}
}

// eventually asks until there is no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// members serve HTTP on one port of all loopback addresses, and answer with the address that was asked.
func members(t *testing.T, handlers ...http.HandlerFunc) (port int32) {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, handler := range handlers {
			handler(w, req)
		}
		_, _ = io.WriteString(w, localAddress(req))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return int32(l.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
}

func localAddress(req *http.Request) string {
	return req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).IP.String()
}

func pool(name string, members ...model.Member) model.Pool {
	second := model.Duration(time.Second)
	return model.Pool{
		Name: name, Algorithm: model.RoundRobin, Members: members, MinActive: 1,
		Timeouts: model.PoolTimeouts{Connect: second, Response: 5 * second, Tunnel: 20 * second},
	}
}

func service(name string, weight int32) model.Member {
	return model.Member{Service: serviceRef(name), Weight: weight}
}

func serviceRef(name string) *model.ServiceRef {
	return &model.ServiceRef{Namespace: "shop", Name: name, PortName: "http"}
}

func address(host string, port, weight int32) model.Member {
	return model.Member{Address: &model.Address{Host: host, Port: port}, Weight: weight}
}

// serving gives n endpoints of a network 127.<net>.0.0.
func serving(net, n int, port int32) []Endpoint {
	var out []Endpoint
	for i := range n {
		out = append(out, Endpoint{Address: fmt.Sprintf("127.%d.%d.%d", net, i/250, i%250+1), Port: port, Serving: true})
	}
	return out
}

func config1(pools ...model.Pool) *model.Config {
	return &model.Config{Version: model.Version, Name: "shop/web", Pools: pools, DrainTimeout: model.Duration(time.Second)}
}
