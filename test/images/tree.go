// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"time"
)

// epoch is the time of everything in an image.
func epoch() time.Time { return time.Unix(0, 0).UTC() }

// tree is the file system of an image, by slash-separated path without a leading slash. Folders that are not named
// come about with mode 0755.
type tree map[string]node

type node struct {
	kind byte // of archive/tar
	mode int64
	id   int // of user and group
	link string
	// data is the content of a file, unless from names a file that has it.
	data []byte
	from string
}

func (t tree) dir(path string, mode int64, id int) {
	t[path] = node{kind: tar.TypeDir, mode: mode, id: id}
}

func (t tree) file(path string, data []byte) {
	t[path] = node{kind: tar.TypeReg, mode: 0o644, data: data}
}

func (t tree) copyOf(path string, mode int64, from string) {
	t[path] = node{kind: tar.TypeReg, mode: mode, from: from}
}

func (t tree) symlink(path, target string) {
	t[path] = node{kind: tar.TypeSymlink, mode: 0o777, link: target}
}

// layer is the tree as an uncompressed tar. It depends on nothing but the tree and the files that it names.
func (t tree) layer() ([]byte, error) {
	t = maps.Clone(t)
	t.addParents()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if err := t[name].write(w, name); err != nil {
			return nil, fmt.Errorf("add /%s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (t tree) addParents() {
	for _, name := range slices.Collect(maps.Keys(t)) {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if _, ok := t[parent]; !ok {
				t.dir(parent, 0o755, 0)
			}
		}
	}
}

func (n node) write(w *tar.Writer, name string) error {
	header := &tar.Header{
		Typeflag: n.kind, Name: name, Linkname: n.link, Mode: n.mode, Uid: n.id, Gid: n.id, ModTime: epoch(),
		Size: int64(len(n.data)),
	}
	if n.kind == tar.TypeDir {
		header.Name += "/"
	}
	content := io.Reader(bytes.NewReader(n.data))
	if n.from != "" {
		f, err := os.Open(n.from)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		header.Size, content = info.Size(), f
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(w, content)
	return err
}
