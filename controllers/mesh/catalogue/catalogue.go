// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package catalogue knows the versions of Istio that can be installed, and loads their charts. Versions are data: a catalogue.yaml beside
// archives, embedded in the operator, in a folder or in a registry.
package catalogue

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// File is the name of the list in a folder of archives.
const File = "catalogue.yaml"

//go:embed charts
var embedded embed.FS

// Entry is one version of Istio.
type Entry struct {
	Version Version
	// Module is the version of the Go module istio.io/istio; Sum and GoModSum are its lines in go.sum.
	Module, Sum, GoModSum string
	// Archive is a file beside the list, SHA256 the digest of the tar in it, in hex.
	Archive, SHA256 string
	// Hub and Tag say where the images are.
	Hub, Tag string
	// MinKubernetes is the oldest release of Kubernetes, like 1.32.
	MinKubernetes string
	// EndOfLife is the day from which the version gets no fixes; zero where that is not known.
	EndOfLife time.Time

	source fs.FS
}

// Dead says whether the version gets no fixes any more.
func (e Entry) Dead(now time.Time) bool { return !e.EndOfLife.IsZero() && !now.Before(e.EndOfLife) }

// Catalogue is safe for concurrent use.
type Catalogue struct {
	mu      sync.RWMutex
	entries map[Version]Entry
	charts  map[Version]func() (*Charts, error)
	// absent says of sources why their versions are not there.
	absent map[string]string
	told   []func()
}

// New is a catalogue of a folder of archives and their list.
func New(source fs.FS) (*Catalogue, error) {
	c := &Catalogue{entries: map[Version]Entry{}, charts: map[Version]func() (*Charts, error){}, absent: map[string]string{}}
	if err := c.Add(source); err != nil {
		return nil, err
	}
	return c, nil
}

// Embedded is the catalogue that is part of the operator. Archives are loaded when they are asked for.
func Embedded() (*Catalogue, error) {
	source, err := fs.Sub(embedded, "charts")
	if err != nil {
		return nil, err
	}
	return New(source)
}

// Add takes the versions of a folder of archives and their list, os.DirFS(path) for one on disk. A version that is there already stays
// as it is if both have the same digest, and is an error otherwise; then nothing of the folder is taken.
func (c *Catalogue) Add(source fs.FS) error {
	entries, err := Read(source)
	if err != nil {
		return err
	}
	more, err := c.add(entries)
	if err != nil {
		return err
	}
	if more {
		c.tell()
	}
	return nil
}

func (c *Catalogue) add(entries []Entry) (more bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	added := map[Version]Entry{}
	for _, e := range entries {
		old, ok := c.entries[e.Version]
		if !ok {
			old, ok = added[e.Version]
		}
		switch {
		case !ok:
			added[e.Version] = e
		case old.SHA256 != e.SHA256:
			return false, fmt.Errorf("two archives of Istio %s: digest %s and %s", e.Version, old.SHA256, e.SHA256)
		}
	}
	for v, e := range added {
		c.entries[v] = e
		c.charts[v] = sync.OnceValues(func() (*Charts, error) { return load(e) })
	}
	return len(added) > 0, nil
}

// OnChange has a function called after versions have come, and after it is known of a source why they do not. It must not take long.
func (c *Catalogue) OnChange(changed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, changed)
}

// Absent notes why the versions of a source are not there, like "is not read yet": those who ask for a version that is unknown are
// told. An empty text takes the note away.
func (c *Catalogue) Absent(source, why string) {
	c.mu.Lock()
	before := c.absent[source]
	if c.absent[source] = why; why == "" {
		delete(c.absent, source)
	}
	c.mu.Unlock()
	if before != why {
		c.tell()
	}
}

// absences are the sources whose versions are not there, and why, sorted.
func (c *Catalogue) absences() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []string
	for _, source := range slices.Sorted(maps.Keys(c.absent)) {
		out = append(out, source+" "+c.absent[source])
	}
	return out
}

func (c *Catalogue) tell() {
	c.mu.RLock()
	told := slices.Clone(c.told)
	c.mu.RUnlock()
	for _, changed := range told {
		changed()
	}
}

// Entries are all versions, oldest first.
func (c *Catalogue) Entries() []Entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]Entry, 0, len(c.entries))
	for _, e := range c.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int { return a.Version.Compare(b.Version) })
	return out
}

// Charts are those of a version. The archive is read and checked once.
func (c *Catalogue) Charts(e Entry) (*Charts, error) {
	c.mu.RLock()
	loaded := c.charts[e.Version]
	c.mu.RUnlock()
	if loaded == nil {
		return nil, fmt.Errorf("the charts of Istio %s are not in the catalogue", e.Version)
	}
	return loaded()
}

// item is an entry as it stands in the list.
type item struct {
	Version    string `json:"version"`
	Module     string `json:"module,omitempty"`
	Sum        string `json:"sum,omitempty"`
	GoModSum   string `json:"goModSum,omitempty"`
	Archive    string `json:"archive"`
	SHA256     string `json:"sha256"`
	Kubernetes struct {
		Min string `json:"min"`
	} `json:"kubernetes"`
	EndOfLife string `json:"endOfLife,omitempty"`
	Hub       string `json:"hub"`
	Tag       string `json:"tag"`
}

// Read reads the list of a folder, without its archives.
func Read(source fs.FS) ([]Entry, error) {
	raw, err := fs.ReadFile(source, File)
	if err != nil {
		return nil, fmt.Errorf("read the list of charts: %w", err)
	}
	var list struct {
		Versions []item `json:"versions"`
	}
	if err := yaml.UnmarshalStrict(raw, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", File, err)
	}
	out := make([]Entry, 0, len(list.Versions))
	for _, i := range list.Versions {
		e, err := i.entry(source)
		if err != nil {
			return nil, fmt.Errorf("%s, version %q: %w", File, i.Version, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (i item) entry(source fs.FS) (Entry, error) {
	v, err := ParseVersion(i.Version)
	if err != nil {
		return Entry{}, err
	}
	if _, err := version.ParseGeneric(i.Kubernetes.Min); err != nil {
		return Entry{}, fmt.Errorf("kubernetes.min: %w", err)
	}
	var end time.Time
	if i.EndOfLife != "" {
		if end, err = time.Parse(time.DateOnly, i.EndOfLife); err != nil {
			return Entry{}, fmt.Errorf("endOfLife: %w", err)
		}
	}
	if !fs.ValidPath(i.Archive) {
		return Entry{}, fmt.Errorf("archive: %q is no file of this folder", i.Archive)
	}
	if i.Hub == "" || i.Tag == "" {
		return Entry{}, errors.New("hub and tag are required")
	}
	return Entry{
		Version: v, Module: i.Module, Sum: i.Sum, GoModSum: i.GoModSum, Archive: i.Archive, SHA256: i.SHA256,
		Hub: i.Hub, Tag: i.Tag, MinKubernetes: i.Kubernetes.Min, EndOfLife: end, source: source,
	}, nil
}
