// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// selfSigned gives a certificate and key of RSA in PEM, the key in the older encoding.
func selfSigned(t *testing.T, bits int) (certificate, key []byte) {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, bits) //nolint:gosec // weak on purpose
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
}

// TestCertificateBundle: what comes out is nothing but certificates and the key, and what OpenSSL would refuse does not.
func TestCertificateBundle(t *testing.T) {
	certificate, key := selfSigned(t, 2048)
	other, otherKey := selfSigned(t, 2048)
	weak, weakKey := selfSigned(t, 1024)
	garbage := []byte("secret-garbage\n-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n")
	for name, c := range map[string]struct {
		data map[string][]byte
		want string
	}{
		"missing":               {nil, "does not exist"},
		"empty":                 {map[string][]byte{}, "no certificate"},
		"key of another":        {map[string][]byte{"tls.crt": certificate, "tls.key": otherKey}, "no certificate"},
		"weak key":              {map[string][]byte{"tls.crt": weak, "tls.key": weakKey}, "has an RSA key of 1024 bits"},
		"garbage":               {map[string][]byte{"tls.crt": garbage, "tls.key": key}, "no certificate"},
		"garbage in the chain":  {map[string][]byte{"tls.crt": append(bytes.Clone(certificate), garbage...), "tls.key": key}, "cannot be parsed"},
		"a weak one in a chain": {map[string][]byte{"tls.crt": append(bytes.Clone(certificate), weak...), "tls.key": key}, "certificate 2"},
	} {
		if _, err := certificateBundle(c.data); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	noisy := joined([]byte("# a comment\n\n"), certificate, []byte("\n\n"), other, []byte("end\n"))
	bundle, err := certificateBundle(map[string][]byte{"tls.crt": noisy, "tls.key": append([]byte("\n\n"), key...)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(bundle, bundle); err != nil {
		t.Error(err)
	}
	if want := joined(certificate, other); !bytes.HasPrefix(bundle, want) || bytes.Contains(bundle, []byte("\n\n")) || bytes.Contains(bundle, []byte("comment")) {
		t.Errorf("the bundle is\n%s", bundle)
	}
}

// TestAuthorities: a bundle is certificates only, one at least.
func TestAuthorities(t *testing.T) {
	certificate, key := selfSigned(t, 2048)
	for name, c := range map[string]struct {
		data map[string][]byte
		want string
	}{
		"missing": {nil, "does not exist"},
		"empty":   {map[string][]byte{"ca.crt": []byte("x")}, "has no certificate"},
		"a key":   {map[string][]byte{"ca.crt": key}, "has no certificate"},
		"garbage": {map[string][]byte{"ca.crt": []byte("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n")}, "cannot be parsed"},
	} {
		if _, err := authorities(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	got, err := authorities(map[string][]byte{"ca.crt": joined(key, []byte("# x\n"), certificate)})
	if err != nil || !bytes.Equal(got, certificate) {
		t.Errorf("%v\n%s", err, got)
	}
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
