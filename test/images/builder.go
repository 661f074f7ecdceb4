// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// format is part of every key. Raise it where the same inputs begin to make another image.
	format = "1"

	unpinned = "dev"
	lockPoll = 100 * time.Millisecond
)

type builder struct {
	Options
	// dir holds the archives of what is pinned, for all checkouts; own holds those of this checkout's own programs,
	// which another one must not replace between a build and its use.
	dir, own string
}

func (b *builder) build(ctx context.Context, r recipe) (Image, error) {
	unlock, err := b.lock(ctx, r.name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	img := Image{Name: r.name, Reference: r.reference}
	key, err := r.key(ctx, b.Root)
	if err != nil {
		return Image{}, err
	}
	pinned := key != unpinned
	img.Path = filepath.Join(b.folder(pinned), r.name+"@"+key+".tar")
	have, ref, err := load(img.Path)
	if err != nil {
		b.Log("%v; building it again", err)
		have = ""
	}
	if have != "" && pinned && !b.Refresh {
		img.Digest = have
		return img, nil
	}
	began := time.Now()
	// The compiler mostly finds that it has nothing to do.
	announce := have == "" || pinned
	if announce {
		b.Log("building %s %s", r.name, r.source.what())
	}
	made, err := b.make(ctx, r)
	if err != nil {
		return Image{}, err
	}
	digest, err := made.ConfigName()
	if err != nil {
		return Image{}, err
	}
	img.Digest = digest.String()
	if have != img.Digest || ref != r.reference {
		announce = true
		if err := save(img.Path, r.reference, made); err != nil {
			return Image{}, err
		}
	}
	if announce {
		info, err := os.Stat(img.Path)
		if err != nil {
			return Image{}, err
		}
		b.Log("%s done in %.1f s, %.1f MB", r.name, time.Since(began).Seconds(), float64(info.Size())/1e6)
	}
	return img, b.removeOthers(img)
}

func (b *builder) folder(pinned bool) string {
	if pinned {
		return b.dir
	}
	return b.own
}

func (b *builder) make(ctx context.Context, r recipe) (v1.Image, error) {
	work, err := os.MkdirTemp("", "fairlead-image-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	content := tree{}
	if r.base {
		if err := addBase(content); err != nil {
			return nil, err
		}
	}
	if err := r.source.add(ctx, b.Root, work, content); err != nil {
		return nil, err
	}
	layer, err := content.layer()
	if err != nil {
		return nil, err
	}
	return assemble(layer, r)
}

// key is part of the name of the file; unpinned where the inputs do not decide whether to build.
func (r recipe) key(ctx context.Context, root string) (string, error) {
	source, err := r.source.key(ctx, root)
	if err != nil || source == "" {
		return unpinned, err
	}
	config, err := json.Marshal(r.config)
	if err != nil {
		return "", err
	}
	parts := []string{format, r.reference, string(config), source}
	if r.base {
		base := tree{}
		if err := addBase(base); err != nil {
			return "", err
		}
		layer, err := base.layer()
		if err != nil {
			return "", err
		}
		parts = append(parts, string(layer))
	}
	return hash(parts...), nil
}

// removeOthers removes what was built of the image before from other inputs, and what a crash left.
func (b *builder) removeOthers(img Image) error {
	for _, pattern := range []string{img.Name + "@*.tar", "." + img.Name + "@*.tar.*"} {
		paths, err := filepath.Glob(filepath.Join(filepath.Dir(img.Path), pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if path == img.Path {
				continue
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// lock keeps two builders from working on one image at the same time.
func (b *builder) lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(b.dir, "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for waiting := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		if !waiting {
			b.Log("waiting for another build of %s to end", name)
			waiting = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPoll):
		}
	}
}

// hash returns a short identity of the parts. No two lists of parts run into the same text.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
