// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/haproxy"
)

// tellTLS answers with what the member saw of the connection.
func tellTLS(w http.ResponseWriter, req *http.Request) {
	client := "-"
	if len(req.TLS.PeerCertificates) > 0 {
		client = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	_, _ = fmt.Fprintf(w, "%s sni=%q client=%s", req.Proto, req.TLS.ServerName, client)
}

// TestMemberTLS: who is trusted, which name is sent and checked, and what is shown to members.
func TestMemberTLS(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		ca := newAuthority(t)
		config := ca.serverConfig(t)
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		config.ClientCAs.AddCert(ca.certificate)
		port := serveHTTP(t, tellTLS, config)
		chain, key := ca.issue(t, "balancer")
		secrets := Secrets{
			{Namespace: "shop", Name: "ca"}:     {keyAuthorities: ca.pem},
			{Namespace: "shop", Name: "client"}: {keyCertificate: chain, keyPrivate: key},
		}
		ref := func(name string) *model.SecretRef { return &model.SecretRef{Namespace: "shop", Name: name} }
		var pools []model.Pool
		on := func(name, host string, protocol model.MemberProtocol, tls model.MemberTLS) {
			p := pool(name, address(host, port, 1))
			p.TLS, p.Protocol = &tls, protocol
			pools = append(pools, p)
		}
		on("named", wellAddress, "", model.MemberTLS{CA: ref("ca"), ServerName: "member.example.com"})
		on("h2", wellAddress, model.MemberHTTP2, model.MemberTLS{CA: ref("ca"), ServerName: "member.example.com"})
		on("any-name", wellAddress, "", model.MemberTLS{CA: ref("ca")})
		on("client", wellAddress, "", model.MemberTLS{CA: ref("ca"), ServerName: "member.example.com", Certificate: ref("client")})
		on("insecure", sickAddress, "", model.MemberTLS{Insecure: true})
		on("insecure-named", sickAddress, "", model.MemberTLS{Insecure: true, ServerName: "other.example.com"})
		on("wrong-name", wellAddress, "", model.MemberTLS{CA: ref("ca"), ServerName: "other.example.com"})
		on("wrong-authority", sickAddress, "", model.MemberTLS{CA: ref("ca"), ServerName: "member.example.com"})
		on("system", wellAddress, "", model.MemberTLS{ServerName: "member.example.com"})
		on("no-secret", wellAddress, "", model.MemberTLS{CA: ref("none")})
		on("no-certificate", wellAddress, "", model.MemberTLS{Insecure: true, Certificate: ref("ca")})
		r := start(t, v, config1(pools...), rigOptions{secrets: secrets})
		for target, want := range map[string]string{
			"named":           `HTTP/1.1 sni="member.example.com" client=-`,
			"h2":              `HTTP/2.0 sni="member.example.com" client=-`,
			"any-name":        `HTTP/1.1 sni="" client=-`,
			"client":          `HTTP/1.1 sni="member.example.com" client=balancer`,
			"insecure":        `HTTP/1.1 sni="shop.example.com" client=-`,
			"insecure-named":  `HTTP/1.1 sni="other.example.com" client=-`,
			"wrong-name":      "503",
			"wrong-authority": "503",
			"system":          "503",
			"no-secret":       "503",
			"no-certificate":  "503",
		} {
			got := r.requestHost("Shop.example.com:8080", target)
			if got.status != http.StatusOK {
				got.body = fmt.Sprint(got.status)
			}
			if got.body != want {
				t.Errorf("%s: got %s, want %s", target, got.body, want)
			}
		}
		refused := []string{"pools[no-secret].tls.ca", "pools[no-certificate].tls.certificate"}
		for i, refusal := range r.structure.Refusals {
			if i >= len(refused) || refusal.Field != refused[i] {
				t.Errorf("refusal %+v", refusal)
			}
		}
	})
}

// requestHost asks with a Host header of its own, over a connection of its own.
func (r *rig) requestHost(host, target string) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nX-Pool: %s\r\nConnection: close\r\n\r\n", host, target); err != nil {
		r.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{response.StatusCode, string(body), response.Header}
}

// proxied is a listener whose connections begin with the header of the PROXY protocol; their remote address is what it
// tells. A connection without is closed.
type proxiedListener struct {
	net.Listener
	version int
}

type proxiedConn struct {
	net.Conn
	reader *bufio.Reader
	source net.Addr
}

func (c *proxiedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
func (c *proxiedConn) RemoteAddr() net.Addr       { return c.source }

func (l *proxiedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &proxiedConn{Conn: conn, reader: bufio.NewReader(conn), source: conn.RemoteAddr()}
		if err := c.head(l.version); err == nil {
			return c, nil
		}
		_ = conn.Close()
	}
}

func (c *proxiedConn) head(version int) error {
	if version == 1 {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return err
		}
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == "PROXY" && fields[1] == "UNKNOWN" {
			return nil
		}
		if len(fields) != 6 || fields[0] != "PROXY" {
			return fmt.Errorf("%q is no header", line)
		}
		c.source = &net.TCPAddr{IP: net.ParseIP(fields[2])}
		return nil
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(c.reader, head); err != nil {
		return err
	}
	if string(head[:12]) != "\r\n\r\n\x00\r\nQUIT\n" {
		return fmt.Errorf("%q is no header", head)
	}
	rest := make([]byte, int(head[14])<<8|int(head[15]))
	if _, err := io.ReadFull(c.reader, rest); err != nil {
		return err
	}
	if head[12] == 0x21 && head[13] == 0x11 {
		c.source = &net.TCPAddr{IP: net.IP(rest[:4])}
	}
	return nil
}

// TestProxyProtocolToMembers: members learn the client's address in the version that they speak, and monitors speak it too.
func TestProxyProtocolToMembers(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		var pools []model.Pool
		for version := range int32(3) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serve := l
			if version > 0 {
				serve = &proxiedListener{l, int(version)}
			}
			server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.WriteString(w, req.RemoteAddr)
			})}
			go func() { _ = server.Serve(serve) }()
			t.Cleanup(func() { _ = server.Close() })
			p := monitored(fmt.Sprint("v", version), portOf(l), model.Monitor{Type: model.MonitorHTTP, Path: "/"})
			p.Members = p.Members[:1]
			p.Members[0].Address.Host = "127.0.0.1"
			p.ProxyProtocol = version
			pools = append(pools, p)
		}
		tcp := pools[1]
		tcp.Name = "tcp"
		tcp.Monitor = &model.Monitor{Type: model.MonitorTCP, Interval: tcp.Monitor.Interval, Timeout: tcp.Monitor.Timeout, Healthy: 1, Unhealthy: 1}
		cfg := config1(append(pools, tcp)...)
		cfg.Listeners = []model.Listener{{Name: "tcp", Protocol: model.TCP, Pool: "tcp"}}
		r := start(t, v, cfg, rigOptions{stream: "tcp"})
		eventually(t, func() error {
			stats, err := r.admin.Stats(t.Context())
			if err != nil {
				return err
			}
			for _, stat := range stats {
				if stat.Server == fmt.Sprintf("127.0.0.1_%s", stat.Fields["addr"][strings.LastIndex(stat.Fields["addr"], ":")+1:]) &&
					(stat.Status != "UP" || stat.CheckStatus == "" || stat.CheckStatus == "INI") {
					return fmt.Errorf("%s is %s by %s", stat.Proxy, stat.Status, stat.CheckStatus)
				}
			}
			return nil
		})
		for target, want := range map[string]string{"v0": "127.0.0.1:", "v1": "198.51.100.9:", "v2": "198.51.100.9:"} {
			if got := r.from("198.51.100.9", target, "/"); got.status != http.StatusOK || !strings.HasPrefix(got.body, want) {
				t.Errorf("%s: got %d %s, want %s", target, got.status, got.body, want)
			}
		}
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
		got, err := r.ask(&http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, "http://"+r.stream, "", "/")
		if err != nil || !strings.HasPrefix(got.body, "127.9.9.9:") {
			t.Errorf("stream: got %s (%v), want 127.9.9.9", got.body, err)
		}
	})
}
