// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Structure is a load balancer in HAProxy's terms. All paths begin with Options.Dir.
type Structure struct {
	// Maps are by path. Their content changes at run time, in this order.
	Maps map[string][]socket.MapEntry
	// Certificates are PEM, the chain and the key, by path. Their content changes at run time.
	Certificates map[string][]byte
	// CertLists are by path. Their lines change at run time, but for the first, which is for clients without a server name.
	CertLists map[string][]Certificate
	// Files are by path: authorities, bodies of answers. Only a reload takes in a change.
	Files map[string][]byte
	// Refusals are what is left out, in order of the model.
	Refusals []Refusal
	// Backends stand in the order of the file.
	Backends []Backend

	// front is the text of everything above the backends.
	front string
}

// peersSection is the section of the replicas, for stick tables.
const peersSection = "replicas"

// ErrVersion is a model of another version than this program reads.
var ErrVersion = errors.New("the model has another version")

// builder collects a Structure.
type builder struct {
	cfg       *model.Config
	secrets   Secrets
	options   Options
	structure *Structure
	// broken are the fields of parts that are refused, like pools[web].
	broken map[string]bool
}

// Build gives what HAProxy has to hold. One bad part is refused, and what is beside it is built; the error is for a
// model that cannot be used at all.
func Build(cfg *model.Config, secrets Secrets, options Options) (*Structure, error) {
	if cfg.Version != model.Version {
		return nil, fmt.Errorf("%w: %q instead of %q", ErrVersion, cfg.Version, model.Version)
	}
	b := &builder{cfg: cfg, secrets: secrets, options: options, broken: map[string]bool{}, structure: &Structure{
		Maps:         map[string][]socket.MapEntry{},
		Certificates: map[string][]byte{},
		CertLists:    map[string][]Certificate{},
		Files:        map[string][]byte{},
	}}
	b.backends()
	return b.structure, nil
}

// refuse leaves out what field names.
func (b *builder) refuse(field, reason, message string) {
	b.structure.Refusals = append(b.structure.Refusals, Refusal{Field: field, Reason: reason, Message: message})
}

// file gives the path of a file by its name, which is made of this program's words and names of the model.
func (b *builder) file(name string) string { return path.Join(b.options.Dir, name) }

// addMap adds a map, and gives its path.
func (b *builder) addMap(name string, entries []socket.MapEntry) string {
	to := b.file(path.Join("maps", name))
	b.structure.Maps[to] = entries
	return to
}

// addFile adds a file that only a reload takes in, and gives its path.
func (b *builder) addFile(name string, data []byte) string {
	to := b.file(path.Join("files", name))
	b.structure.Files[to] = data
	return to
}

// Text is the whole config file with these servers in it.
func (s *Structure) Text(servers map[string][]Server) []byte {
	var w config.Writer
	for i := range s.Backends {
		s.Backends[i].write(&w, servers[s.Backends[i].Name])
	}
	return []byte(s.front + "\n" + w.String())
}

// Hash is over everything that only a reload puts in force: of two structures with the same hash, one can follow the
// other at run time.
func (s *Structure) Hash() string {
	hash := sha256.New()
	add := func(kind, name string, content []byte) {
		fmt.Fprintf(hash, "%s %q %d\n%s\n", kind, name, len(content), content)
	}
	add("text", "", s.Text(nil))
	for _, name := range slices.Sorted(maps.Keys(s.Maps)) {
		add("map", name, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(s.CertLists)) {
		first := ""
		if lines := s.CertLists[name]; len(lines) > 0 {
			first = fmt.Sprintf("%q", lines[0])
		}
		add("list", name, []byte(first))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		add("file", name, s.Files[name])
	}
	return hex.EncodeToString(hash.Sum(nil))
}
