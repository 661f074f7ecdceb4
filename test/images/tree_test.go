// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// debianRoot makes what mmdebstrap might, with files of the given age.
func debianRoot(t *testing.T, age time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"bin/sh": 0o755, "lib/x86_64-linux-gnu/libc.so.6": 0o644, "usr/bin/su": 0o755 | os.ModeSetuid,
		"usr/lib/x86_64-linux-gnu/libz.so.1.3": 0o644, "usr/share/doc/libc6/copyright": 0o644, "usr/bin/perl5.36": 0o755,
		"var/lib/dpkg/status": 0o644, "etc/hostname": 0o644, "etc/haproxy/haproxy.cfg": 0o640,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"usr/lib/x86_64-linux-gnu/libz.so.1":    "libz.so.1.3",
		"usr/bin/sh":                            "/bin/sh",
		"usr/lib/x86_64-linux-gnu/loop":         "/lib/x86_64-linux-gnu/loop",
		"lib/x86_64-linux-gnu/ld-linux.so.2":    "libc.so.6",
		"usr/lib/x86_64-linux-gnu/perl-missing": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type() == os.ModeSymlink {
			return err
		}
		if d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		if err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, time.Now().Add(-age))
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func debianImage(t *testing.T, dir string) v1.Image {
	t.Helper()
	content := tree{}
	if err := addBase(content); err != nil {
		t.Fatal(err)
	}
	if err := importDebian(dir, content); err != nil {
		t.Fatal(err)
	}
	finishHAProxy(content)
	layer, err := content.layer()
	if err != nil {
		t.Fatal(err)
	}
	img, err := assemble(layer, haproxy("0", "sid"))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestDebianTree(t *testing.T) {
	img := debianImage(t, debianRoot(t, 0))
	withUmask(t, 0o077)
	again := debianImage(t, debianRoot(t, time.Hour))
	first, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.ConfigName(); err != nil || first != second {
		t.Errorf("digests %s and %s, %v", first, second, err)
	}
	flat := mutate.Extract(img)
	defer func() { _ = flat.Close() }()
	entries := list(t, flat)
	for name, want := range map[string]string{
		"bin":                                    "-> usr/bin",
		"lib64":                                  "-> usr/lib64",
		"etc/haproxy/haproxy.cfg":                "640 0",
		"tmp":                                    "1777 0",
		"home/nonroot":                           "700 65532",
		"usr/bin/sh":                             "755 0",
		"usr/bin/su":                             "755 0",
		"usr/lib/x86_64-linux-gnu/libc.so.6":     "644 0",
		"usr/lib/x86_64-linux-gnu/ld-linux.so.2": "-> libc.so.6",
		"usr/lib/x86_64-linux-gnu/libz.so.1":     "-> libz.so.1.3",
		"usr/lib/x86_64-linux-gnu/loop":          "",
		"usr/share/doc":                          "",
		"usr/bin/perl5.36":                       "",
		"var/lib/dpkg":                           "",
		"var/lib/haproxy":                        "755 65532",
		"etc/hostname":                           "",
		"etc/ssl/certs/ca-certificates.crt":      "644 0",
	} {
		if got := entries[name]; got != want {
			t.Errorf("/%s: %q, want %q", name, got, want)
		}
	}
}

// list returns "MODE OWNER" or "-> TARGET" of each entry of a tar, without the slash at the end of folders.
func list(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	entries := map[string]string{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(epoch()) || header.Uname != "" || len(header.PAXRecords) > 0 {
			t.Errorf("/%s tells of its origin: %+v", header.Name, header)
		}
		text := fmt.Sprintf("%o %d", header.Mode, header.Uid)
		if header.Typeflag == tar.TypeSymlink {
			text = "-> " + header.Linkname
		}
		entries[strings.TrimSuffix(header.Name, "/")] = text
	}
}

func TestCertificates(t *testing.T) {
	data, err := certificates()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "-----BEGIN CERTIFICATE-----"); n < 100 {
		t.Errorf("%d certificates", n)
	}
}
