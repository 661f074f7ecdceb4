// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/test/haproxy"
)

// pair is a certificate for a host with its key, in PEM with empty lines between.
func pair(t testing.TB, host string, serial int64) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	var out bytes.Buffer
	must(t, pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	out.WriteString("\n\n")
	must(t, pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return out.String()
}

// startTLS has a certificate for a.test with serial number 1 in a crt-list, and clients on mtls.sock that show one
// of the CA file's.
func startTLS(t testing.TB, v haproxy.Version) (p *proxy, trusted string) {
	t.Helper()
	dir := v.Dir(t)
	trusted = pair(t, "client.test", 100)
	for name, content := range map[string]string{
		"pair.pem": pair(t, "a.test", 1), "ca.pem": trusted, "list": dir + "/pair.pem a.test\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return start(t, v, strings.ReplaceAll(`
frontend f
  bind unix@DIR/tls.sock ssl crt-list FILES/list
  bind unix@DIR/mtls.sock ssl crt FILES/pair.pem verify required ca-file FILES/ca.pem
  http-request return status 200
`, "FILES", dir), nil), trusted
}

// serial is that of the certificate that the frontend shows to a host name.
func (p *proxy) serial(t testing.TB, host string) int64 {
	t.Helper()
	conn, err := p.dial(t.Context(), "tls.sock", &tls.Config{ServerName: host})
	must(t, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func (p *proxy) dial(ctx context.Context, name string, config *tls.Config) (*tls.Conn, error) {
	config.InsecureSkipVerify = true
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", p.path(name))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// accepts reports whether a client with that pair gets an answer on mtls.sock.
func (p *proxy) accepts(t testing.TB, pemPair string) bool {
	t.Helper()
	cert, err := tls.X509KeyPair([]byte(pemPair), []byte(pemPair))
	must(t, err)
	// HAProxy goes on naming the CAs of the start when it asks for a certificate, also after they were replaced; clients that
	// go by the names send none.
	always := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	conn, err := p.dial(t.Context(), "mtls.sock", &tls.Config{GetClientCertificate: always})
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	n, _ := conn.Read(make([]byte, 10))
	return n > 0
}

func TestCertificateIsReplacedUnderUse(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, _ := startTLS(t, v)
		names, err := p.Certs(ctx)
		must(t, err)
		if len(names) != 1 {
			t.Fatalf("certificates %q", names)
		}
		name := names[0]
		if got := p.serial(t, "a.test"); got != 1 {
			t.Fatalf("serial %d", got)
		}
		must(t, p.SetCert(ctx, name, []byte(pair(t, "a.test", 2))))
		if got := p.serial(t, "a.test"); got != 2 {
			t.Errorf("serial %d", got)
		}
		cert, err := p.Cert(ctx, name)
		must(t, err)
		if cert.Serial != "02" || !cert.Used || cert.NotAfter.Unix() != 4000000000 || cert.Subject != "/CN=a.test" ||
			len(cert.SHA1) != 40 || !slices.Equal(cert.SubjectAltNames, []string{"DNS:a.test"}) {
			t.Errorf("%+v", cert)
		}
		// A certificate without its key, and one with another one's.
		one, other := pair(t, "a.test", 3), pair(t, "a.test", 4)
		_, otherKey, _ := strings.Cut(other, "\n\n\n")
		onlyCert, _, _ := strings.Cut(one, "\n\n\n")
		for what, text := range map[string]string{"nonsense": "nonsense", "wrong key": onlyCert + "\n" + otherKey} {
			var refused *socket.Refused
			if err := p.SetCert(ctx, name, []byte(text)); !errors.As(err, &refused) {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantIs(t, "empty", p.SetCert(ctx, name, nil), socket.ErrValue)
		wantIs(t, "missing", p.SetCert(ctx, name+".missing", []byte(one)), socket.ErrNotFound)
		if got := p.serial(t, "a.test"); got != 2 {
			t.Errorf("serial %d after what was refused", got)
		}
		must(t, p.SetCert(ctx, name, []byte(one)))
		if got := p.serial(t, "a.test"); got != 3 {
			t.Errorf("serial %d", got)
		}
	})
}

func TestCertificatesComeAndGo(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, _ := startTLS(t, v)
		lists, err := p.CrtLists(ctx)
		must(t, err)
		if len(lists) != 1 {
			t.Fatalf("crt-lists %q", lists)
		}
		list := lists[0]
		b, c := p.path("b.pem"), p.path("c.pem")
		must(t, p.Run(ctx, socket.NewCert(b), socket.NewCert(c)))
		wantIs(t, "again", p.Run(ctx, socket.NewCert(b)), socket.ErrExists)
		must(t, p.SetCert(ctx, b, []byte(pair(t, "b.test", 20))))
		must(t, p.SetCert(ctx, c, []byte(pair(t, "c.test", 30))))
		must(t, p.Run(ctx, socket.AddCrtList(list, b), socket.AddCrtList(list, c, "*.wild.test", "!no.wild.test")))
		for host, want := range map[string]int64{"a.test": 1, "b.test": 20, "x.wild.test": 30} {
			if got := p.serial(t, host); got != want {
				t.Errorf("%s has serial %d, want %d", host, got, want)
			}
		}
		entries, err := p.CrtList(ctx, list)
		must(t, err)
		if len(entries) != 3 || !slices.ContainsFunc(entries, func(e socket.CrtListEntry) bool {
			return e.Cert == c && e.Options == "*.wild.test !no.wild.test"
		}) {
			t.Errorf("crt-list %+v", entries)
		}
		wantIs(t, "in use", p.Run(ctx, socket.DelCert(b)), socket.ErrBusy)
		must(t, p.Run(ctx, socket.DelCrtList(list, b), socket.DelCert(b)))
		wantIs(t, "deleted", p.Run(ctx, socket.DelCert(b)), socket.ErrNotFound)
		_, err = p.Cert(ctx, b)
		wantIs(t, "deleted", err, socket.ErrNotFound)
		_, err = p.CrtList(ctx, list+".missing")
		wantIs(t, "missing list", err, socket.ErrNotFound)
		if got := p.serial(t, "b.test"); got == 20 {
			t.Error("a deleted certificate is shown")
		}
	})
}

// TestTransactionLeftBehind plays a client that died before its commit.
func TestTransactionLeftBehind(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, _ := startTLS(t, v)
		names, err := p.Certs(ctx)
		must(t, err)
		left := p.path("left.pem")
		must(t, p.Run(ctx, socket.NewCert(left)))
		text := strings.ReplaceAll(pair(t, "left.test", 9), "\n\n\n", "\n")
		answer := p.raw(t, fmt.Sprintf("set ssl cert %s <<\n%s\n", left, text))
		if !strings.Contains(answer, "ransaction created") {
			t.Fatal(answer)
		}
		must(t, p.SetCert(ctx, names[0], []byte(pair(t, "a.test", 5))))
		if got := p.serial(t, "a.test"); got != 5 {
			t.Errorf("serial %d", got)
		}
		cert, err := p.Cert(ctx, left)
		must(t, err)
		if cert.Serial != "" {
			t.Errorf("the other certificate is %+v", cert)
		}
	})
}

func (p *proxy) raw(t testing.TB, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", p.path("worker.sock"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(text))
	must(t, err)
	var out bytes.Buffer
	_, err = out.ReadFrom(conn)
	must(t, err)
	return out.String()
}

func TestCAFiles(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p, trusted := startTLS(t, v)
		other := pair(t, "other.test", 200)
		if !p.accepts(t, trusted) || p.accepts(t, other) {
			t.Fatal("the CA file is not in force")
		}
		names, err := p.CAFiles(ctx)
		must(t, err)
		i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, "/ca.pem") })
		if i < 0 {
			t.Fatalf("CA files %q", names)
		}
		onlyCert, _, _ := strings.Cut(other, "\n\n\n")
		must(t, p.SetCA(ctx, names[i], []byte(onlyCert)))
		if old, now := p.accepts(t, trusted), p.accepts(t, other); old || !now {
			t.Errorf("accepts the old one: %t, the new one: %t", old, now)
		}
		file, err := p.CAFile(ctx, names[i])
		must(t, err)
		if !file.Used || len(file.Certs) != 1 || file.Certs[0].Subject != "/CN=other.test" || file.Certs[0].Serial != "C8" {
			t.Errorf("%+v", file)
		}
		wantIs(t, "in use", p.Run(ctx, socket.DelCA(names[i])), socket.ErrBusy)

		name := p.path("new.pem")
		must(t, p.Run(ctx, socket.NewCA(name)))
		wantIs(t, "again", p.Run(ctx, socket.NewCA(name)), socket.ErrExists)
		must(t, p.SetCA(ctx, name, []byte(onlyCert)))
		must(t, p.Run(ctx, socket.DelCA(name)))
		wantIs(t, "deleted", p.Run(ctx, socket.DelCA(name)), socket.ErrNotFound)
		_, err = p.CAFile(ctx, name)
		wantIs(t, "deleted", err, socket.ErrNotFound)
	})
}
