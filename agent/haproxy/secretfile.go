// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/model"
)

// Keys of Secrets.
const (
	keyCertificate = "tls.crt"
	keyPrivate     = "tls.key"
	keyAuthorities = "ca.crt"
)

// minRSABits and minCurveBits are what OpenSSL takes at its usual security level.
const (
	minRSABits   = 2048
	minCurveBits = 224
)

// certificateFile adds the certificate and key of a Secret, and gives the path of the file. The error has no secret.
func (b *builder) certificateFile(ref model.SecretRef) (string, error) {
	bundle, err := certificateBundle(b.secrets[ref])
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", ref, err)
	}
	// A namespace has no dot, so two Secrets have two names.
	to := b.file("certs/" + ref.Namespace + "." + ref.Name + ".pem")
	b.structure.Certificates[to] = bundle
	return to, nil
}

// authoritiesFile adds the authorities of a Secret, and gives the path of the file.
func (b *builder) authoritiesFile(ref model.SecretRef) (string, error) {
	bundle, err := authorities(b.secrets[ref])
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", ref, err)
	}
	return b.addFile("ca."+ref.Namespace+"."+ref.Name+".pem", bundle), nil
}

// certificateBundle gives the chain and key as PEM that this program encoded itself, so that HAProxy sees nothing else
// that stands in a Secret, and no key that it would refuse to start with.
func certificateBundle(data map[string][]byte) ([]byte, error) {
	if data == nil {
		return nil, errors.New("it does not exist or may not be read")
	}
	// What crypto/tls says about a bad key may quote from it.
	pair, err := tls.X509KeyPair(data[keyCertificate], data[keyPrivate])
	if err != nil {
		return nil, fmt.Errorf("its %s and %s are no certificate in PEM with the key that belongs to it", keyCertificate, keyPrivate)
	}
	var out bytes.Buffer
	for i, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in its %s cannot be parsed", i+1, keyCertificate)
		}
		if err := strong(certificate); err != nil {
			return nil, fmt.Errorf("certificate %d in its %s %w", i+1, keyCertificate, err)
		}
		encode(&out, "CERTIFICATE", der)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("the key in its %s has a type that is not supported", keyPrivate)
	}
	encode(&out, "PRIVATE KEY", key)
	return out.Bytes(), nil
}

// authorities gives the certificates of a bundle.
func authorities(data map[string][]byte) ([]byte, error) {
	if data == nil {
		return nil, errors.New("it does not exist or may not be read")
	}
	var out bytes.Buffer
	for rest := data[keyAuthorities]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("a certificate in its %s cannot be parsed", keyAuthorities)
		}
		encode(&out, "CERTIFICATE", block.Bytes)
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("its %s has no certificate in PEM", keyAuthorities)
	}
	return out.Bytes(), nil
}

// strong refuses what OpenSSL would not take.
func strong(certificate *x509.Certificate) error {
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("has an RSA key of %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < minCurveBits {
			return fmt.Errorf("has a curve of %d bits; at least %d are needed", key.Curve.Params().BitSize, minCurveBits)
		}
	}
	switch certificate.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		// The signature of an authority by itself is not looked at.
		if !bytes.Equal(certificate.RawIssuer, certificate.RawSubject) {
			return fmt.Errorf("is signed with %s, which is too weak", certificate.SignatureAlgorithm)
		}
	}
	return nil
}

func encode(to *bytes.Buffer, kind string, der []byte) {
	// A buffer takes every write.
	_ = pem.Encode(to, &pem.Block{Type: kind, Bytes: der})
}
