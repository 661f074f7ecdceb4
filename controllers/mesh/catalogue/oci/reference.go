// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"net"
	"strings"

	"oras.land/oras-go/v2/registry"
)

const scheme = "oci://"

// Reference names an artifact by its digest.
type Reference struct{ at registry.Reference }

// ParseReference reads a reference like oci://registry.example.com/fairlead/istio-charts@sha256:... A tag before the digest is dropped.
// Errors do not repeat the text, which may hold a password.
func ParseReference(text string) (Reference, error) {
	name, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return Reference{}, errors.New("a reference begins with " + scheme)
	}
	host, path, _ := strings.Cut(name, "/")
	if strings.Contains(host, "@") {
		return Reference{}, errors.New("a reference has a host after " + scheme + ", without a user; credentials come from a file")
	}
	if !strings.Contains(path, "@") {
		return Reference{}, errors.New("the reference has no digest: append @sha256:..., as \"oras push\" and \"oras resolve\" tell it; a tag may be another artifact tomorrow")
	}
	at, err := registry.ParseReference(name)
	if err != nil {
		return Reference{}, errors.New("a reference is like " + scheme + "registry.example.com/fairlead/istio-charts@sha256: and 64 digits in hex")
	}
	return Reference{at}, nil
}

// String is the reference as it is written, without the tag.
func (r Reference) String() string {
	return scheme + r.at.Registry + "/" + r.at.Repository + "@" + r.at.Reference
}

// loopback says whether a host, with a port or without one, is this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
