// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// folders are where the module has the charts, by their name in the archive.
var folders = map[string]string{
	catalogue.Base:    "manifests/charts/base",
	catalogue.Default: "manifests/charts/default",
	catalogue.Istiod:  "manifests/charts/istio-control/istio-discovery",
	catalogue.CNI:     "manifests/charts/istio-cni",
	catalogue.ZTunnel: "manifests/charts/ztunnel",
	catalogue.Gateway: "manifests/charts/gateway",
}

// unused files tell people things that no object is made of.
var unused = []string{"README.md", "templates/NOTES.txt"}

// pack makes the tar of a version's charts: the same module gives the same bytes.
func pack(module fs.FS) ([]byte, error) {
	files := map[string][]byte{}
	license, err := fs.ReadFile(module, "LICENSE")
	if err != nil {
		return nil, err
	}
	files["LICENSE"] = license
	for name, folder := range folders {
		if err := collect(module, folder, name, files); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, name := range names {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func collect(module fs.FS, folder, name string, files map[string][]byte) error {
	return fs.WalkDir(module, folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative := strings.TrimPrefix(file, folder+"/")
		if !entry.Type().IsRegular() || slices.Contains(unused, relative) {
			return nil
		}
		data, err := fs.ReadFile(module, file)
		if err != nil {
			return err
		}
		files[path.Join(name, relative)] = data
		return nil
	})
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// digestOf is the digest of the tar in an archive on disk.
func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	_, digest, err := catalogue.Unpack(file)
	if err != nil {
		// What was cut off is made again.
		return "", nil
	}
	return digest, nil
}

// write compresses a tar into a file, whole or not at all.
func write(path string, raw []byte) error {
	var packed bytes.Buffer
	// The header of Go's writer has no name and no time.
	out, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := out.Write(raw); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	unfinished := path + ".unfinished"
	if err := os.WriteFile(unfinished, packed.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, filepath.Clean(path))
}
