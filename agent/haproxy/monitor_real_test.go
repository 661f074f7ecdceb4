// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// Of each pool here the member wellAddress is well, and sickAddress is not.
const (
	wellAddress = "127.1.0.1"
	sickAddress = "127.2.0.1"
)

type monitorCase struct {
	pool model.Pool
	// well and sick are what HAProxy says of the checks' results.
	well, sick string
}

func monitored(name string, port int32, monitor model.Monitor) model.Pool {
	p := pool(name, address(wellAddress, port, 1), address(sickAddress, port, 1))
	monitor.Interval, monitor.Timeout = model.Duration(100*time.Millisecond), model.Duration(time.Second)
	monitor.Healthy, monitor.Unhealthy = 1, 2
	p.Monitor = &monitor
	return p
}

// TestMonitors asks real servers of every kind.
func TestMonitors(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		ca := newAuthority(t)
		secrets := Secrets{{Namespace: "shop", Name: "ca"}: {keyAuthorities: ca.pem}}
		cases := httpMonitors(t, ca)
		cases = append(cases, streamMonitors(t, ca)...)
		cases = append(cases, grpcMonitors(t, ca)...)
		var pools []model.Pool
		for _, c := range cases {
			pools = append(pools, c.pool)
		}
		r := start(t, v, config1(pools...), rigOptions{secrets: secrets})
		if len(r.structure.Refusals) > 0 {
			t.Fatal(r.structure.Refusals)
		}
		for _, c := range cases {
			t.Run(c.pool.Name, func(t *testing.T) {
				eventually(t, func() error {
					stats, err := r.admin.Stats(t.Context())
					if err != nil {
						return err
					}
					return c.compare(stats)
				})
			})
		}
	})
}

func (c *monitorCase) compare(stats []socket.Stat) error {
	seen := 0
	for _, stat := range stats {
		if stat.Proxy != "pool."+c.pool.Name || stat.Server == socket.BackendStat {
			continue
		}
		seen++
		status, check := "UP", c.well
		if strings.HasPrefix(stat.Server, sickAddress) {
			status, check = "DOWN", c.sick
		}
		if stat.Status != status || strings.TrimPrefix(stat.CheckStatus, "* ") != check {
			return fmt.Errorf("%s is %s by %s (%s), want %s by %s", stat.Server, stat.Status, stat.CheckStatus, stat.Fields["last_chk"], status, check)
		}
	}
	if seen != 2 {
		return fmt.Errorf("%d servers", seen)
	}
	return nil
}

// probed answers a question well if it is asked as the path says.
func probed(w http.ResponseWriter, req *http.Request) {
	well := localAddress(req) == wellAddress
	switch req.URL.Path {
	case "/status":
		well = well && req.URL.RawQuery == "q=1&r=%20"
		w.WriteHeader(map[bool]int{true: 204, false: 200}[well])
	case "/range":
		w.WriteHeader(map[bool]int{true: 302, false: 404}[well])
	case "/method":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.Method == http.MethodOptions])
	case "/host":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.Host == "health.example.com:81"])
	case "/default-host":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.Host == "default-host"])
	case "/headers":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.Header.Get("X-Probe") == `50% "o'k" %[src] #1`])
	case "/body":
		_, _ = io.WriteString(w, map[bool]string{true: `say: it's "100%" \ok #1`, false: "no"}[well])
	case "/regex":
		_, _ = io.WriteString(w, map[bool]string{true: "state: green'ish", false: "state: red"}[well])
	case "/h2":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.ProtoMajor == 2])
	case "/h1":
		w.WriteHeader(map[bool]int{true: 200, false: 500}[well && req.ProtoMajor == 1 && (req.TLS == nil || req.TLS.ServerName == "member.example.com")])
	}
}

// serveHTTP serves on all addresses, with TLS if there is a config.
func serveHTTP(t *testing.T, handler http.HandlerFunc, config *tls.Config) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: handler, TLSConfig: config, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if config == nil {
		go func() { _ = server.Serve(l) }()
	} else {
		go func() { _ = server.ServeTLS(l, "", "") }()
	}
	t.Cleanup(func() { _ = server.Close() })
	return portOf(l)
}

func portOf(l net.Listener) int32 { return int32(l.Addr().(*net.TCPAddr).Port) } //nolint:gosec // a port

func httpMonitors(t *testing.T, ca *authority) []monitorCase {
	plain := serveHTTP(t, probed, nil)
	broken := members(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	secure := serveHTTP(t, probed, ca.serverConfig(t))
	on := func(name string, port int32, monitor model.Monitor) monitorCase {
		monitor.Type = model.MonitorHTTP
		monitor.Path = "/" + name
		return monitorCase{pool: monitored(name, port, monitor), well: "L7OK", sick: "L7STS"}
	}
	cases := []monitorCase{
		on("status", plain, model.Monitor{Statuses: []string{"201", "204-205"}}),
		on("range", plain, model.Monitor{}),
		on("method", plain, model.Monitor{Method: http.MethodOptions}),
		on("host", plain, model.Monitor{Host: "health.example.com:81"}),
		on("default-host", plain, model.Monitor{}),
		on("headers", plain, model.Monitor{Headers: []model.Header{{Name: "X-Probe", Value: `50% "o'k" %[src] #1`}}}),
		on("body", plain, model.Monitor{Body: `it's "100%" \ok #1`}),
		on("regex", plain, model.Monitor{BodyRegex: `state:\s+gr(e{2})n'ish$`}),
		on("h2", plain, model.Monitor{}),
		on("h1", secure, model.Monitor{}),
		on("h1", plain, model.Monitor{Port: plain}),
		on("h2", secure, model.Monitor{}),
	}
	cases[0].pool.Monitor.Path = "/status?q=1&r=%20"
	cases[6].sick, cases[7].sick = "L7RSP", "L7RSP"
	cases[8].pool.Protocol = model.MemberHTTP2
	cases[9].pool.Name, cases[9].pool.TLS, cases[9].sick = "h1-tls", ca.memberTLS(), "L6RSP"
	for i := range cases[10].pool.Members {
		cases[10].pool.Members[i].Address = &model.Address{Host: cases[10].pool.Members[i].Address.Host, Port: broken}
	}
	cases[10].pool.Name = "port"
	cases[11].pool.Name, cases[11].pool.TLS, cases[11].pool.Protocol, cases[11].sick = "h2-tls", ca.memberTLS(), model.MemberHTTP2, "L6RSP"
	return cases
}

func streamMonitors(t *testing.T, ca *authority) []monitorCase {
	// Nothing listens at the other address.
	l, err := net.Listen("tcp", wellAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	go accept(l)
	t.Cleanup(func() { _ = l.Close() })
	secure := serveHTTP(t, probed, ca.serverConfig(t))
	open := monitorCase{pool: monitored("tcp", portOf(l), model.Monitor{Type: model.MonitorTCP}), well: "L4OK", sick: "L4CON"}
	openTLS := monitorCase{pool: monitored("tcp-tls", portOf(l), model.Monitor{Type: model.MonitorTCP}), well: "L4OK", sick: "L4CON"}
	openTLS.pool.TLS = ca.memberTLS()
	handshake := monitorCase{pool: monitored("tls", secure, model.Monitor{Type: model.MonitorTLS}), well: "L6OK", sick: "L6RSP"}
	handshake.pool.TLS = ca.memberTLS()
	anyone := monitorCase{pool: monitored("tls-passthrough", portOf(mixed(t, ca)), model.Monitor{Type: model.MonitorTLS}), well: "L6OK", sick: "L6RSP"}
	return []monitorCase{open, openTLS, handshake, anyone}
}

// accept keeps connections open without a word.
func accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
	}
}

// mixed speaks TLS, with a certificate that nobody knows, at the address that is well, and something else at the other.
func mixed(t *testing.T, ca *authority) net.Listener {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	config := ca.serverConfig(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if conn.LocalAddr().(*net.TCPAddr).IP.String() == wellAddress {
					_ = tls.Server(conn, config).HandshakeContext(t.Context())
				} else {
					_, _ = io.WriteString(conn, "220 ready\r\n")
				}
				_ = conn.Close()
			}()
		}
	}()
	return l
}

func grpcMonitors(t *testing.T, ca *authority) []monitorCase {
	on := func(name, service string, secure bool) monitorCase {
		c := monitorCase{well: "L7OK", sick: "L7TOUT"}
		for _, host := range []string{wellAddress, sickAddress} {
			port := int32(0)
			if len(c.pool.Members) > 0 {
				port = c.pool.Members[0].Address.Port
			}
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
			if err != nil {
				t.Fatal(err)
			}
			var with []grpc.ServerOption
			if secure {
				with = append(with, grpc.Creds(credentials.NewTLS(ca.config(t, "member.example.com"))))
			}
			server, state := grpc.NewServer(with...), health.NewServer()
			status := healthpb.HealthCheckResponse_SERVING
			if host == sickAddress {
				status = healthpb.HealthCheckResponse_NOT_SERVING
			}
			state.SetServingStatus("", status)
			state.SetServingStatus(service, status)
			healthpb.RegisterHealthServer(server, state)
			go func() { _ = server.Serve(l) }()
			t.Cleanup(server.Stop)
			if len(c.pool.Members) == 0 {
				c.pool = monitored(name, portOf(l), model.Monitor{Type: model.MonitorGRPC, GRPCService: service})
			}
		}
		c.pool.Protocol = model.MemberHTTP2
		c.pool.Monitor.Timeout = model.Duration(300 * time.Millisecond)
		if secure {
			c.pool.TLS = ca.memberTLS()
		}
		return c
	}
	return []monitorCase{
		on("grpc", "", false), on("grpc-service", "shop.v1.Cart", false), on("grpc-tls", "", true),
		on("grpc-long", strings.Repeat("shop.v1.Cart", 60), false),
	}
}
