// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/authority"
)

// certificate is one that ends at a time.
func certificate(t testing.TB, end time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: end.Add(-time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return wrap("CERTIFICATE", der)
}

func wrap(kind string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

// TestNotAfter reads what may stand in the ConfigMap.
func TestNotAfter(t *testing.T) {
	soon, late := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC)
	first, second := certificate(t, soon), certificate(t, late)
	for name, test := range map[string]struct {
		text, wrong string
		want        time.Time
	}{
		"one":                      {first, "", soon},
		"the first ends first":     {first + second, "", soon},
		"the second ends first":    {second + first, "", soon},
		"text around":              {"# root\n" + second + "\n# end\n", "", late},
		"without a last line end":  {strings.TrimSpace(first), "", soon},
		"nothing":                  {"", "there is no certificate", time.Time{}},
		"anything":                 {"hunter2", "there is no certificate", time.Time{}},
		"a key":                    {wrap("PRIVATE KEY", []byte("hunter2")), "what follows certificate 0 is PEM of something else", time.Time{}},
		"a certificate and a key":  {first + wrap("PRIVATE KEY", []byte("hunter2")), "what follows certificate 1 is PEM of something else", time.Time{}},
		"no DER":                   {second + wrap("CERTIFICATE", []byte("hunter2")), "certificate 2 cannot be parsed", time.Time{}},
		"half a certificate":       {first[:len(first)/2], "part of it is no whole PEM", time.Time{}},
		"one and half a one":       {second + first[:len(first)/2], "part of it is no whole PEM", time.Time{}},
		"half a one before a one":  {first[:len(first)/2] + "\n" + second, "part of it is no whole PEM", time.Time{}},
		"a certificate in between": {"-----BEGIN CERTIFICATE-----\nhunter2!\n-----END CERTIFICATE-----\n" + second, "part of it is no whole PEM", time.Time{}},
	} {
		got, err := authority.NotAfter(test.text)
		switch {
		case test.wrong == "" && (err != nil || !got.Equal(test.want)):
			t.Errorf("%s: %v, %v", name, got, err)
		case test.wrong != "" && (err == nil || err.Error() != test.wrong || !got.IsZero()):
			t.Errorf("%s: %v, %v; want %s", name, got, err, test.wrong)
		}
	}
}

// FuzzNotAfter shows that no text does harm.
func FuzzNotAfter(f *testing.F) {
	f.Add(certificate(f, time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)))
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if end, err := authority.NotAfter(text); err != nil && !end.IsZero() {
			t.Errorf("%v with %v", end, err)
		}
	})
}
