// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fairlead/fairlead/test/controlplane"
)

const root = "../.."

// copyFile copies a file of the module into the folder to.
func copyFile(t *testing.T, name, to string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// withUmask holds for all of the process, so tests that use it are not parallel.
func withUmask(t *testing.T, mask int) {
	t.Helper()
	before := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(before) })
}

func TestSameDigestFromAnotherCheckout(t *testing.T) {
	other := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "hack/images/pause/main.go"} {
		copyFile(t, name, other)
	}
	digests := map[string]string{}
	for mask, dir := range map[int]string{0o022: root, 0o077: other} {
		withUmask(t, mask)
		t.Setenv(controlplane.EnvCache, t.TempDir())
		built, err := Build(t.Context(), Options{Root: dir, Log: t.Logf}, "pause")
		if err != nil {
			t.Fatal(err)
		}
		digests[built[0].Digest] = dir
	}
	if len(digests) != 1 {
		t.Errorf("different digests: %v", digests)
	}
}

func TestPause(t *testing.T) {
	t.Setenv(controlplane.EnvCache, t.TempDir())
	opts := Options{Root: root, References: map[string]string{"pause": "pause:mine"}}
	built, err := Build(t.Context(), opts, "pause")
	if err != nil {
		t.Fatal(err)
	}
	if got := built[0].Reference; got != "docker.io/library/pause:mine" {
		t.Errorf("reference %q", got)
	}
	img, err := tarball.ImageFromPath(built[0].Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !file.Created.Equal(epoch()) || len(file.History) > 0 || file.Config.User != "65535:65535" ||
		!slices.Equal(file.Config.Entrypoint, []string{"/pause"}) {
		t.Errorf("config: %+v", file)
	}
	digest, err := img.ConfigName()
	if err != nil || digest.String() != built[0].Digest {
		t.Errorf("digest %s, %v; want %s", digest, err, built[0].Digest)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Setenv(controlplane.EnvCache, t.TempDir())
	broken := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "hack/images/pause/main.go"} {
		copyFile(t, name, broken)
	}
	path := filepath.Join(broken, "hack", "images", "pause", "main.go")
	if err := os.WriteFile(path, []byte("package main\nfunc main() { nonsense() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		opts  Options
		names []string
		want  string
	}{
		"unknown image":     {Options{Root: root}, []string{"paws"}, `there is no image "paws"; there is operator, pause, `},
		"unknown override":  {Options{Root: root, References: map[string]string{"paws": "x"}}, nil, `there is no image "paws"`},
		"no reference":      {Options{Root: root, References: map[string]string{"pause": "A B"}}, nil, "reference of pause: "},
		"no module":         {Options{Root: t.TempDir()}, []string{"pause"}, "find the module of Fairlead: "},
		"does not compile":  {Options{Root: broken}, []string{"pause"}, "undefined: nonsense"},
		"says which failed": {Options{Root: broken}, []string{"pause"}, "image pause: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Build(t.Context(), tt.opts, tt.names...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q in it", err, tt.want)
			}
		})
	}
}

func TestFullReference(t *testing.T) {
	for ref, want := range map[string]string{
		"fairlead:dev":                     "docker.io/library/fairlead:dev",
		"fairlead":                         "docker.io/library/fairlead:latest",
		"team/fairlead:1":                  "docker.io/team/fairlead:1",
		"docker.io/team/fairlead:1":        "docker.io/team/fairlead:1",
		"registry.k8s.io/pause:3.10":       "registry.k8s.io/pause:3.10",
		"localhost:5000/fairlead:dev":      "localhost:5000/fairlead:dev",
		"index.docker.io/library/fairlead": "docker.io/library/fairlead:latest",
	} {
		if got, err := fullReference(ref); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", ref, got, err, want)
		}
	}
	for _, r := range catalog() {
		if got, err := fullReference(r.reference); err != nil || got != r.reference {
			t.Errorf("%s: %q is not complete: %q, %v", r.name, r.reference, got, err)
		}
	}
}
