// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/fairlead/fairlead/test/daemon"
)

// The API server's two clients: towards the kubelet, and towards aggregated API servers.
const (
	kubeletClient = "kube-apiserver-kubelet-client"
	frontProxy    = "front-proxy-client"

	keysAge = 10 * 365 * 24 * time.Hour
)

// keys is a folder with a CA and the certificates of the clients.
type keys string

func (k keys) path(name string) string { return filepath.Join(string(k), name) }

// settleKeys finds the keys of an earlier run, or makes them.
func (c *Cluster) settleKeys() (keys, error) {
	k := keys(c.path("keys"))
	// Written last: where it is, all the others are.
	if _, err := os.Stat(k.path("ca.crt")); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(string(k), 0o700); err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: c.link()}, key)
	if err != nil {
		return "", err
	}
	for name, groups := range map[string][]string{kubeletClient: {"system:masters"}, frontProxy: nil} {
		if err := k.issue(name, groups, ca, key); err != nil {
			return "", err
		}
	}
	return k, daemon.WriteFile(k.path("ca.crt"), encode(ca.Raw))
}

// issue makes a client certificate for a user in groups.
func (k keys) issue(name string, groups []string, ca *x509.Certificate, signer crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(keysAge),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, key.Public(), signer)
	if err != nil {
		return err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := daemon.WriteFile(k.path(name+".key"), keyPEM); err != nil {
		return err
	}
	return daemon.WriteFile(k.path(name+".crt"), encode(der))
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
}
