// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package authority reads what istiod publishes of the authority that signs the certificates of workloads.
package authority

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Where istiod publishes the certificates, in every namespace.
const (
	ConfigMap = "istio-ca-root-cert"
	Key       = "root-cert.pem"
)

// block is the type of a certificate in PEM, begin how any block begins.
const (
	block = "CERTIFICATE"
	begin = "-----BEGIN "
)

// NotAfter is when the first of the certificates ends. While an authority is replaced there are two of them, and workloads
// have certificates of either. The error shows nothing of the text.
func NotAfter(text string) (time.Time, error) {
	var first time.Time
	count := 0
	for rest := []byte(text); ; {
		var found *pem.Block
		if found, rest = pem.Decode(rest); found == nil {
			break
		}
		if found.Type != block {
			return time.Time{}, fmt.Errorf("what follows certificate %d is PEM of something else", count)
		}
		count++
		certificate, err := x509.ParseCertificate(found.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("certificate %d cannot be parsed", count)
		}
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	// What is not whole is passed over above.
	if strings.Count(text, begin) != count {
		return time.Time{}, errors.New("part of it is no whole PEM")
	}
	if count == 0 {
		return time.Time{}, errors.New("there is no certificate")
	}
	return first, nil
}
