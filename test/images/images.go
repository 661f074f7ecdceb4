// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package images builds the container images of a test cluster without Docker and without a registry:
// static Go programs, and trees of Debian packages, each on an empty base. The same inputs give the
// same image on every machine. Linux only.
package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/test/controlplane"
)

// Image is one image in a file.
type Image struct {
	// Name is one of Names.
	Name string
	// Reference is the full name under which manifests ask for it.
	Reference string
	// Path is that of a docker-archive, for "ctr images import" and the like.
	Path string
	// Digest is that of the image's config, "sha256:…": the image ID.
	Digest string
}

// Options are those of Build.
type Options struct {
	// Root is the folder of Fairlead's go.mod.
	Root string
	// Refresh builds again what the cache has. Debian packages are current only so: their versions are no part of
	// what the cache goes by.
	Refresh bool
	// References gives images, by name, other references than their own. Short ones, like fairlead:dev, are
	// completed as Docker does it.
	References map[string]string
	// Log receives progress; nil drops it.
	Log func(format string, args ...any)
}

// Names are those of all images.
func Names() []string {
	var names []string
	for _, r := range catalog() {
		names = append(names, r.name)
	}
	return names
}

// Build returns the named images in that order, or all of them, and builds what the cache of all checkouts does not
// have. Images of this module always pass through the compiler, whose own cache makes that fast.
func Build(ctx context.Context, opts Options, names ...string) ([]Image, error) {
	if opts.Log == nil {
		opts.Log = func(string, ...any) {}
	}
	recipes, err := pick(names, opts.References)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(opts.Root, "go.mod")); err != nil {
		return nil, fmt.Errorf("find the module of Fairlead: %w", err)
	}
	cache, err := controlplane.CacheRoot()
	if err != nil {
		return nil, err
	}
	b := builder{Options: opts, dir: filepath.Join(cache, "images"), own: filepath.Join(opts.Root, "dist", "images")}
	if b.own, err = filepath.Abs(b.own); err != nil {
		return nil, err
	}
	for _, dir := range []string{b.dir, b.own} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	images := make([]Image, 0, len(recipes))
	for _, r := range recipes {
		img, err := b.build(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", r.name, err)
		}
		images = append(images, img)
	}
	return images, nil
}

func pick(names []string, references map[string]string) ([]recipe, error) {
	all := catalog()
	find := func(name string) (int, error) {
		i := slices.IndexFunc(all, func(r recipe) bool { return r.name == name })
		if i < 0 {
			return 0, fmt.Errorf("there is no image %q; there is %s", name, strings.Join(Names(), ", "))
		}
		return i, nil
	}
	for name, ref := range references {
		i, err := find(name)
		if err != nil {
			return nil, err
		}
		if all[i].reference, err = fullReference(ref); err != nil {
			return nil, fmt.Errorf("reference of %s: %w", name, err)
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	var picked []recipe
	for _, name := range names {
		i, err := find(name)
		if err != nil {
			return nil, err
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}
