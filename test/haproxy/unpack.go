// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/images"
)

// unpack puts the image's files below dir, unless they are there, and returns the path of what runs its HAProxy.
func unpack(dir string, img images.Image) (program string, err error) {
	digest := strings.TrimPrefix(img.Digest, "sha256:")
	to := filepath.Join(dir, digest[:min(len(digest), 16)])
	program = filepath.Join(to, "haproxy")
	err = daemon.Locked(dir, func() error {
		if _, err := os.Stat(program); err == nil {
			return nil
		}
		temporary := to + ".tmp"
		if err := errors.Join(os.RemoveAll(temporary), os.MkdirAll(filepath.Join(temporary, "root"), 0o755)); err != nil {
			return err
		}
		if err := extract(img.Path, filepath.Join(temporary, "root")); err != nil {
			return err
		}
		text, err := launcher(filepath.Join(temporary, "root"), filepath.Join(to, "root"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temporary, "haproxy"), []byte(text), 0o755); err != nil {
			return err
		}
		return os.Rename(temporary, to)
	})
	return program, err
}

// launcher is a script that starts the HAProxy below root by the dynamic loader and with the libraries that stand
// there, which needs no privilege, as a chroot would. Its content now stands below at. The master of HAProxy starts
// itself anew on a reload by the name that it was called by, which is the script's therefore.
func launcher(at, root string) (string, error) {
	const haproxy = "usr/sbin/haproxy"
	loader, err := interpreter(filepath.Join(at, haproxy))
	if err != nil {
		return "", err
	}
	libraries, err := filepath.Glob(filepath.Join(at, "usr", "lib", "*-linux-gnu*"))
	if err != nil || len(libraries) != 1 {
		return "", fmt.Errorf("want one folder of libraries, have %q", libraries)
	}
	library := filepath.Join(root, "usr", "lib", filepath.Base(libraries[0]))
	lines := []string{
		"#!/bin/sh",
		"export SSL_CERT_FILE=" + quote(filepath.Join(root, "etc", "ssl", "certs", "ca-certificates.crt")),
		"export OPENSSL_MODULES=" + quote(filepath.Join(library, "ossl-modules")),
		// What this machine tells its own OpenSSL is not for another version of it.
		"export OPENSSL_CONF=/dev/null",
		fmt.Sprintf(`exec %s --inhibit-cache --library-path %s --argv0 "$0" %s "$@"`,
			quote(filepath.Join(root, loader)), quote(library), quote(filepath.Join(root, haproxy))),
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// interpreter is the path of the dynamic loader that a program asks for.
func interpreter(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			data, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(data), "\x00"), err
		}
	}
	return "", fmt.Errorf("%s names no dynamic loader", program)
}

// extract writes the files of an image into a folder.
func extract(archive, dir string) error {
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return err
		}
		if err := errors.Join(extractLayer(content, root), content.Close()); err != nil {
			return err
		}
	}
	return nil
}

func extractLayer(content io.Reader, root *os.Root) error {
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := extractFile(r, header, root); err != nil {
			return fmt.Errorf("extract %s: %w", header.Name, err)
		}
	}
}

func extractFile(content io.Reader, header *tar.Header, root *os.Root) error {
	name := path.Clean(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(relative(name, header.Linkname), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644|os.FileMode(header.Mode)&0o111)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	default:
		return fmt.Errorf("unknown kind %q", header.Typeflag)
	}
}

// relative is the target of a link such that it leads to the same file where the image's root is a folder.
func relative(name, target string) string {
	if !path.IsAbs(target) {
		return target
	}
	return strings.Repeat("../", strings.Count(name, "/")) + strings.TrimPrefix(path.Clean(target), "/")
}
