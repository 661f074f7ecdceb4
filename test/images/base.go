// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const certificatesPath = "etc/ssl/certs/ca-certificates.crt"

// addBase adds what distroless's image "static" has and a program may ask for; time zones are not among it.
func addBase(into tree) error {
	certificates, err := certificates()
	if err != nil {
		return err
	}
	into.file(certificatesPath, certificates)
	into.file("etc/passwd", []byte(passwd("nonroot", "/home/nonroot")))
	into.file("etc/group", []byte(group("nonroot")))
	into.file("etc/nsswitch.conf", []byte("passwd: files\ngroup: files\nhosts: files dns\n"))
	into.dir("tmp", 0o1777, 0)
	into.dir("root", 0o700, 0)
	into.dir("home/nonroot", 0o700, nonroot)
	return nil
}

// certificates are Mozilla's roots, pinned by go.sum. A file cannot express that a root is trusted for older certificates
// only, so those roots are left out.
func certificates() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func passwd(user, home string) string {
	return "root:x:0:0:root:/root:/sbin/nologin\n" +
		"nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n" +
		fmt.Sprintf("%s:x:%d:%[2]d:%[1]s:%[3]s:/sbin/nologin\n", user, nonroot, home)
}

func group(name string) string {
	return fmt.Sprintf("root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\n%s:x:%d:\n", name, nonroot)
}
