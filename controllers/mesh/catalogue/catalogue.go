// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package catalogue knows the versions of Istio that can be installed, and loads their charts. Versions are data: a catalogue.yaml beside
// archives, embedded in the operator or in a folder.
package catalogue

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
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
}

// New is a catalogue of a folder of archives and their list.
func New(source fs.FS) (*Catalogue, error) {
	c := &Catalogue{entries: map[Version]Entry{}, charts: map[Version]func() (*Charts, error){}}
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
// as it is if both have the same digest, and is an error otherwise.
func (c *Catalogue) Add(source fs.FS) error {
	entries, err := Read(source)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if old, ok := c.entries[e.Version]; ok {
			if old.SHA256 != e.SHA256 {
				return fmt.Errorf("two archives of Istio %s: digest %s and %s", e.Version, old.SHA256, e.SHA256)
			}
			continue
		}
		c.entries[e.Version] = e
		c.charts[e.Version] = sync.OnceValues(func() (*Charts, error) { return load(e) })
	}
	return nil
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
