// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fake is a source whose inputs are its fields.
type fake struct {
	identity string
	content  string
	builds   *atomic.Int32
}

func (fake) what() string { return "from nothing" }

func (f fake) key(context.Context, string) (string, error) { return f.identity, nil }

func (f fake) add(_ context.Context, _, _ string, into tree) error {
	f.builds.Add(1)
	if f.content == "" {
		return errors.New("nothing to add")
	}
	into.file("file", []byte(f.content))
	return nil
}

func fakeRecipe(identity, content string, builds *atomic.Int32) recipe {
	return recipe{name: "fake", reference: "docker.io/library/fake:1", source: fake{identity, content, builds}}
}

func newBuilder(t *testing.T) *builder {
	dir := t.TempDir()
	return &builder{Options: Options{Log: t.Logf}, dir: dir, own: dir}
}

func archives(t *testing.T, b *builder) []string {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestCache(t *testing.T) {
	b := newBuilder(t)
	var builds atomic.Int32
	var last Image
	step := func(what string, r recipe, wantBuilds int32) {
		t.Helper()
		before := builds.Load()
		img, err := b.build(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := builds.Load() - before; n != wantBuilds {
			t.Errorf("%s: %d builds, want %d", what, n, wantBuilds)
		}
		digest, ref, err := load(img.Path)
		if err != nil || digest != img.Digest || ref != img.Reference {
			t.Errorf("%s: the file has %s %s, %v; want %s %s", what, digest, ref, err, img.Digest, img.Reference)
		}
		if have := archives(t, b); len(have) != 1 {
			t.Errorf("%s: files %v", what, have)
		}
		last = img
	}
	step("first", fakeRecipe("1", "a", &builds), 1)
	first := last
	step("again", fakeRecipe("1", "a", &builds), 0)
	if last != first {
		t.Errorf("again: %+v, want %+v", last, first)
	}
	renamed := fakeRecipe("1", "a", &builds)
	renamed.reference = "docker.io/library/fake:2"
	step("other reference", renamed, 1)
	if last.Digest != first.Digest {
		t.Errorf("the reference is in the digest: %s, want %s", last.Digest, first.Digest)
	}
	step("other inputs", fakeRecipe("2", "b", &builds), 1)
	b.Refresh = true
	step("refresh", fakeRecipe("2", "c", &builds), 1)
	b.Refresh = false
	if err := os.WriteFile(last.Path, []byte("not a tar"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, ".fake@2.tar.123"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	step("damaged", fakeRecipe("2", "c", &builds), 1)
}

func TestUnpinnedIsWrittenOnlyWhenItChanges(t *testing.T) {
	b := newBuilder(t)
	var builds atomic.Int32
	var infos []os.FileInfo
	for _, content := range []string{"a", "a", "b"} {
		img, err := b.build(t.Context(), fakeRecipe("", content, &builds))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(img.Path)
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	if builds.Load() != 3 {
		t.Errorf("%d builds, want 3", builds.Load())
	}
	if !os.SameFile(infos[0], infos[1]) || os.SameFile(infos[1], infos[2]) {
		t.Error("want the file replaced by the third build only")
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	b := newBuilder(t)
	if _, err := b.build(t.Context(), fakeRecipe("1", "", new(atomic.Int32))); err == nil {
		t.Error("no error")
	}
	if have := archives(t, b); len(have) > 0 {
		t.Errorf("files %v", have)
	}
}

func TestTwoBuildersBuildOnce(t *testing.T) {
	b := newBuilder(t)
	var builds atomic.Int32
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if _, err := b.build(t.Context(), fakeRecipe("1", strings.Repeat("a", 1<<20), &builds)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if builds.Load() != 1 {
		t.Errorf("%d builds, want 1", builds.Load())
	}
}

func TestWaitingForAnotherBuildEnds(t *testing.T) {
	b := newBuilder(t)
	unlock, err := b.lock(t.Context(), "fake")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	b.Log = func(format string, args ...any) {
		if got := fmt.Sprintf(format, args...); got != "waiting for another build of fake to end" {
			t.Errorf("log: %s", got)
		}
		cancel()
	}
	if _, err := b.build(ctx, fakeRecipe("1", "a", new(atomic.Int32))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
