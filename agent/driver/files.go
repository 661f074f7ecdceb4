// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead/fairlead/agent/haproxy"
)

// saveGap is the least time between two saves.
const saveGap = 50 * time.Millisecond

// image is the content of files by path.
type image map[string][]byte

// files is the folder that HAProxy starts from. What was changed at run time is written there too, so that a restart or
// a reload loses nothing.
type files struct {
	dir string
	log logr.Logger

	// pending is what is to be saved, nil for nothing; work is for saver.
	pendingMu sync.Mutex
	pending   func() image
	work      chan struct{}

	// mu is held while files are written.
	mu      sync.Mutex
	written map[string][sha256.Size]byte
}

func newFiles(dir string, log logr.Logger) *files {
	return &files{dir: dir, log: log, work: make(chan struct{}, 1), written: map[string][sha256.Size]byte{}}
}

// save has the image written soon; only the last one that was asked for counts.
func (f *files) save(content func() image) {
	f.pendingMu.Lock()
	defer f.pendingMu.Unlock()
	f.pending = content
	signal(f.work)
}

// take gives what is to be saved, and leaves nothing.
func (f *files) take() func() image {
	f.pendingMu.Lock()
	defer f.pendingMu.Unlock()
	content := f.pending
	f.pending = nil
	return content
}

// saver writes what save asks for until ctx ends; what is left then is written, too.
func (f *files) saver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			f.saveNow()
			return
		case <-f.work:
			f.saveNow()
			pause(ctx, saveGap)
		}
	}
}

func (f *files) saveNow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	content := f.take()
	if content == nil {
		return
	}
	if err := f.write(content(), nil); err != nil {
		f.log.Error(err, "Cannot save what is in force; the next change tries again")
	}
}

// forget has all files written again, whatever somebody else made of them.
func (f *files) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.written)
}

// replace writes an image at once, in place of all that is still to be saved. undo brings back what was there.
func (f *files) replace(content image) (undo func() error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take()
	before := image{}
	undo = func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.write(before, nil)
	}
	if err := f.write(content, before); err != nil {
		return undo, errors.Join(err, f.write(before, nil))
	}
	return undo, nil
}

// write writes what is not there yet, the configuration last: it names the others. before gets what was there; nil content
// removes the file.
func (f *files) write(content, before image) error {
	config := filepath.Join(f.dir, configFile)
	for path, data := range content {
		if path == config {
			continue
		}
		if err := f.writeOne(path, data, before); err != nil {
			return err
		}
	}
	if data, ok := content[config]; ok {
		return f.writeOne(config, data, before)
	}
	return nil
}

func (f *files) writeOne(path string, data []byte, before image) error {
	hash := sha256.Sum256(data)
	if have, known := f.written[path]; known && have == hash && data != nil {
		return nil
	}
	if before != nil {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		before[path] = old
	}
	delete(f.written, path)
	if data == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := writeFile(path, data); err != nil {
		return err
	}
	f.written[path] = hash
	return nil
}

// prune removes the files of folders of ours that an image does not have.
func (f *files) prune(content image) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	folders := map[string]bool{}
	for path := range f.written {
		folders[filepath.Dir(path)] = true
	}
	// What an earlier run left.
	for path := range content {
		folders[filepath.Dir(path)] = true
	}
	delete(folders, f.dir)
	var all error
	for dir := range folders {
		entries, err := os.ReadDir(dir)
		all = errors.Join(all, ignoreMissing(err))
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if _, wanted := content[path]; wanted || !entry.Type().IsRegular() {
				continue
			}
			delete(f.written, path)
			all = errors.Join(all, ignoreMissing(os.Remove(path)))
		}
	}
	maps.DeleteFunc(f.written, func(path string, _ [sha256.Size]byte) bool { _, wanted := content[path]; return !wanted })
	return all
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeFile replaces a file as a whole. Only this user may read it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, path)
}

// imageOf is everything that HAProxy starts from, with these servers and their states.
func imageOf(s *haproxy.Structure, dir string, servers map[string][]haproxy.Server, states []byte) image {
	content := image{
		filepath.Join(dir, configFile):        s.Text(servers),
		filepath.Join(dir, haproxy.StateFile): states,
	}
	maps.Copy(content, s.Certificates)
	maps.Copy(content, s.Files)
	for path, entries := range s.Maps {
		content[path] = haproxy.MapText(entries)
	}
	for path, lines := range s.CertLists {
		content[path] = haproxy.CertListText(lines)
	}
	// Empty is a file; nil would be none.
	for path, data := range content {
		if data == nil {
			content[path] = []byte{}
		}
	}
	return content
}
