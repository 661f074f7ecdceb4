// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package haproxy runs real HAProxy processes for tests, without a cluster: those of the images that package images
// builds. They run as ordinary processes of this machine and see its file system, so a path means the same in a test
// and in a configuration. Linux only.
package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/images"
)

// Version is one release of HAProxy.
type Version struct {
	// Name is its major and minor version, "2.6".
	Name string
	// Program is the absolute path of what runs it: takes the arguments of haproxy(1).
	Program string
}

// String is the name, for subtests.
func (v Version) String() string { return v.Name }

// names are the oldest and the newest version that are supported, oldest first.
func names() []string { return []string{"2.6", "3.2"} }

// Versions are all supported releases, oldest first. It builds what the cache does not have, and skips the test where
// that is impossible.
func Versions(t testing.TB) []Version {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("HAProxy's packages are those of Linux")
	}
	versions, err := installed()
	if errors.Is(err, errNeedsRoot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

// Each runs a subtest for each of Versions.
func Each(t *testing.T, run func(*testing.T, Version)) {
	t.Helper()
	for _, v := range Versions(t) {
		t.Run(v.Name, func(t *testing.T) { run(t, v) })
	}
}

// Dir is an empty folder that goes with the test. Its path is short enough for Unix sockets, which testing's own
// is not: HAProxy takes 97 bytes at most.
func (v Version) Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Check is haproxy -c: what HAProxy says about a configuration, and whether it takes it. The path is that of a file or
// of a folder.
func (v Version) Check(t testing.TB, config string) (output string, ok bool) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), v.Program, "-c", "-f", config)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !exit.Exited()) {
		t.Fatalf("haproxy %s -c: %v\n%s", v, err, out.String())
	}
	return out.String(), err == nil
}

var errNeedsRoot = errors.New("HAProxy is not in the cache yet, and fetching its packages needs root: run 'make images' as root")

// installed does it once per process.
var installed = sync.OnceValues(func() ([]Version, error) {
	var files []string
	for _, name := range names() {
		files = append(files, "haproxy-"+name)
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	built, err := images.Build(context.Background(), images.Options{Root: root}, files...)
	if err != nil && os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w (%w)", errNeedsRoot, err)
	}
	if err != nil {
		return nil, err
	}
	cache, err := controlplane.CacheRoot()
	if err != nil {
		return nil, err
	}
	var versions []Version
	for i, name := range names() {
		program, err := unpack(filepath.Join(cache, "haproxy", name), built[i])
		if err != nil {
			return nil, fmt.Errorf("unpack HAProxy %s: %w", name, err)
		}
		versions = append(versions, Version{Name: name, Program: program})
	}
	return versions, nil
})

// moduleRoot is the folder of go.mod: tests run in the folder of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return "", fmt.Errorf("find the module of Fairlead: %w", err)
	}
}
