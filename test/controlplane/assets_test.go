// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestAssets(t *testing.T) {
	complete, empty, cache := t.TempDir(), t.TempDir(), t.TempDir()
	addBinaries(t, complete)
	addBinaries(t, filepath.Join(cache, "kubernetes", Version))
	addBinaries(t, filepath.Join(cache, "kubernetes", "v1.30.14"))
	for name, tc := range map[string]struct {
		assets, version, cache string
		want, wantErr          string
	}{
		"assets":                 {assets: complete, cache: cache, want: complete},
		"assets without a file":  {assets: empty, cache: cache, wantErr: "no etcd, kube-apiserver, kube-controller-manager in"},
		"cache":                  {cache: cache, want: filepath.Join(cache, "kubernetes", Version)},
		"version":                {cache: cache, version: "v1.30.14", want: filepath.Join(cache, "kubernetes", "v1.30.14")},
		"version wins":           {assets: complete, cache: cache, version: "v1.30.14", want: filepath.Join(cache, "kubernetes", "v1.30.14")},
		"nothing built":          {cache: empty, wantErr: `run "make kubernetes"`},
		"that version not built": {cache: cache, version: "v1.31.0", wantErr: `run "make kubernetes KUBERNETES_VERSION=v1.31.0"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvAssets, tc.assets)
			t.Setenv(EnvVersion, tc.version)
			t.Setenv(EnvCache, tc.cache)
			got, err := Assets()
			if got != tc.want || (err != nil) != (tc.wantErr != "") {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("got error %q, want it to hold %q", err, tc.wantErr)
			}
		})
	}
}

// TestVersionIsTheOneBuilt compares Version with the module that the binaries are built from.
func TestVersionIsTheOneBuilt(t *testing.T) {
	minor := Version[:strings.LastIndexByte(Version, '.')]
	data, err := os.ReadFile(filepath.Join("..", "..", "hack", "kubernetes", minor, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^(?:require|\t) ?k8s\.io/kubernetes (\S+)`).FindSubmatch(data)
	if line == nil || string(line[1]) != Version {
		t.Errorf("hack/kubernetes/%s/go.mod builds %q, want %s", minor, line, Version)
	}
}

func addBinaries(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range basic() {
		if err := os.WriteFile(filepath.Join(dir, string(c)), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
