// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Structure is a load balancer in HAProxy's terms. All paths begin with Options.Dir.
type Structure struct {
	// Maps are by path. Their content changes at run time, in this order.
	Maps map[string][]socket.Entry
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
	// unmatchable are fields of routes that cannot even be told apart from others.
	unmatchable map[string]bool
	routeField  map[*model.Route]string
	// poolless are fields of listeners whose own pool is left out.
	poolless map[string]bool
	// targets are the forms in which pools are used.
	targets []target
}

// Build gives what HAProxy has to hold. One bad part is refused, and what is beside it is built; the error is for a
// model that cannot be used at all.
func Build(cfg *model.Config, secrets Secrets, options Options) (*Structure, error) {
	if cfg.Version != model.Version {
		return nil, fmt.Errorf("%w: %q instead of %q", ErrVersion, cfg.Version, model.Version)
	}
	if err := options.check(); err != nil {
		return nil, err
	}
	b := &builder{routeField: map[*model.Route]string{}, unmatchable: map[string]bool{}, poolless: map[string]bool{}, cfg: cfg, secrets: secrets, options: options, broken: map[string]bool{}, structure: &Structure{
		Maps:         map[string][]socket.Entry{},
		Certificates: map[string][]byte{},
		CertLists:    map[string][]Certificate{},
		Files:        map[string][]byte{},
	}}
	b.validate()
	var lists, listeners config.Writer
	b.prepare(&lists)
	b.backends()
	b.splits()
	b.frontends(&listeners)
	var head config.Writer
	b.global(&head)
	b.defaults(&head)
	b.peersLines(&head)
	b.health(&head)
	if err := head.Err(); err != nil {
		return nil, fmt.Errorf("write the sections of the process: %w", err)
	}
	b.structure.front = head.String() + lists.String() + listeners.String()
	return b.structure, nil
}

// ErrOptions are options that cannot stand in a config.
var ErrOptions = errors.New("options that cannot be used")

// plainWord is what may stand in the parentheses of an expression without quotes.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9/._-]+$`)

func (o *Options) check() error {
	if !plainWord.MatchString(o.Dir) || !path.IsAbs(o.Dir) {
		return fmt.Errorf("%w: the folder must be an absolute path of letters, digits and /._-", ErrOptions)
	}
	for _, peer := range append([]Peer{{Name: o.Self, Address: "127.0.0.1"}}, o.Peers...) {
		if peer.Name != "" && !plainWord.MatchString(peer.Name) || strings.Contains(peer.Name, "/") {
			return fmt.Errorf("%w: the name of a replica", ErrOptions)
		}
		if _, err := netip.ParseAddr(peer.Address); err != nil {
			return fmt.Errorf("%w: the address of a replica: %w", ErrOptions, err)
		}
	}
	return nil
}

// validate refuses what the model's own rules forbid, and what HAProxy is known not to take.
func (b *builder) validate() {
	for _, problem := range model.Validate(b.cfg) {
		part := problem.Part()
		b.refuse(problem.Field, reasonInvalid, problem.Message)
		if strings.HasPrefix(part, "listeners[") && problem.Field == part+".pool" {
			// The listener's routes go on.
			b.poolless[part] = true
			continue
		}
		b.broken[part] = true
		rest := strings.TrimPrefix(problem.Field, part+".")
		for _, field := range []string{"name", "hostnames", "matches"} {
			if strings.HasPrefix(rest, field) {
				b.unmatchable[part] = true
			}
		}
	}
	b.safeDefaults()
	for _, fields := range [][]string{b.cfg.ListenerFields(), b.cfg.RouteFields(), b.cfg.PoolFields()} {
		for _, field := range fields {
			if b.options.Without[field] {
				b.refuse(field, reasonRejected, "HAProxy does not take it")
				b.broken[field] = true
			}
		}
	}
}

// safeDefaults replaces values that concern all parts and were refused, and takes out parts without a name.
func (b *builder) safeDefaults() {
	cfg := *b.cfg
	if cfg.DrainTimeout < model.Duration(time.Second) || cfg.DrainTimeout > model.MaxDuration {
		cfg.DrainTimeout = model.Duration(30 * time.Second)
	}
	cfg.MaxConnections = max(cfg.MaxConnections, 0)
	cfg.Listeners = named(cfg.Listeners, cfg.ListenerFields(), func(l *model.Listener) string { return l.Name })
	cfg.Routes = named(cfg.Routes, cfg.RouteFields(), func(r *model.Route) string { return r.Name })
	cfg.Pools = named(cfg.Pools, cfg.PoolFields(), func(p *model.Pool) string { return p.Name })
	b.cfg = &cfg
}

// named leaves out the parts whose name is no name, or that of another: they were refused, and nobody can refer to them.
func named[T any](parts []T, fields []string, name func(*T) string) []T {
	var out []T
	for i := range parts {
		if strings.HasSuffix(fields[i], "["+name(&parts[i])+"]") {
			out = append(out, parts[i])
		}
	}
	return out
}

// prepare writes what routes need outside of the listeners, and refuses those whose Secret is of no use.
func (b *builder) prepare(w *config.Writer) {
	for i, field := range b.cfg.RouteFields() {
		r := &b.cfg.Routes[i]
		b.routeField[r] = field
		if b.broken[field] {
			continue
		}
		var own config.Writer
		if r.BasicAuth != nil && !b.users(&own, field, r) {
			b.broken[field] = true
			continue
		}
		if r.RateLimit != nil {
			b.rateTables(&own, r)
		}
		if own.String() != "" {
			w.AppendText("\n")
			w.Append(&own)
		}
	}
}

// splits adds which pools the routes go to.
func (b *builder) splits() {
	b.mapPath(splitsMap)
	b.mapPath(solesMap)
	for i := range b.cfg.Routes {
		r := &b.cfg.Routes[i]
		if b.broken[b.routeField[r]] || len(r.Action.Pools) == 0 {
			continue
		}
		done := map[string]bool{}
		for j := range b.cfg.Listeners {
			l := &b.cfg.Listeners[j]
			set := splitSet(l, r.Name)
			if !slices.Contains(r.Listeners, l.Name) || done[set] {
				continue
			}
			done[set] = true
			shares := b.shares(l, r)
			b.split(set, shares)
			if only := sole(shares); only != "" {
				b.sole(l, r, only)
			}
		}
	}
}

// shares gives the targets of a route's requests or streams.
func (b *builder) shares(l *model.Listener, r *model.Route) []share {
	var out []share
	for _, pool := range r.Action.Pools {
		target := b.target(pool.Pool, r.Retries)
		if isStream(l) {
			target = b.streamTarget(pool.Pool)
		}
		out = append(out, share{weight: int64(pool.Weight), value: target})
	}
	return out
}

// refuse leaves out what field names.
func (b *builder) refuse(field, reason, message string) {
	b.structure.Refusals = append(b.structure.Refusals, Refusal{Field: field, Reason: reason, Message: message})
}

// file gives the path of a file by its name, which is made of this program's words and names of the model.
func (b *builder) file(name string) string { return path.Join(b.options.Dir, name) }

// addMap adds a map, and gives its path.
func (b *builder) addMap(name string, entries []socket.Entry) string {
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
		w.AppendText("\n")
		s.Backends[i].write(&w, servers[s.Backends[i].Name])
	}
	return []byte(s.front + w.String())
}

// Hash is over everything that only a reload puts in force: of two structures with the same hash, one can follow the
// other at run time.
func (s *Structure) Hash() string {
	hash := sha256.New()
	add := func(kind, name string, content []byte) {
		// A hash takes every write.
		_, _ = fmt.Fprintf(hash, "%s %q %d\n%s\n", kind, name, len(content), content)
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
