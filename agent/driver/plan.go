// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// checkDir is the folder, in that of HAProxy's files, of configurations that HAProxy is asked about.
const checkDir = "check"

// plan is an input in HAProxy's terms. HAProxy takes it.
type plan struct {
	input     *Input
	structure *haproxy.Structure
	// shape is the same for structures that can follow one another without a reload.
	shape    string
	problems []haproxy.Refusal
	// stale are the Secrets for which what they held before stands.
	stale []haproxy.Refusal
	// refused says why nothing of the input can be in force; structure is nil then.
	refused string
}

// isolated remembers what had to be left out, for inputs that are the same but for what changes at run time.
type isolated struct {
	shape    string
	without  map[string]bool
	refusals []haproxy.Refusal
}

// planner makes plans of inputs until ctx ends, one at a time, always of the newest.
func (d *Driver) planner(ctx context.Context) {
	var known isolated
	good, err := readLastGood(d.opts.Build.Dir)
	if err != nil {
		d.log.Error(err, "Cannot read the Secrets that the last run used")
	}
	wait := replanFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.inbox.plan:
		}
		input := d.inbox.latest()
		if input == nil {
			continue
		}
		p, err := d.plan(ctx, input, &known, good)
		if err != nil {
			d.log.Error(err, "Cannot tell whether HAProxy takes the model; trying again")
			d.again(input)
			if !pause(ctx, wait) {
				return
			}
			wait = min(2*wait, replanMost)
			continue
		}
		wait = replanFirst
		select {
		case <-ctx.Done():
			return
		case d.planned <- p:
		}
	}
}

// again sets an input that is to be planned anew, unless there is a newer one.
func (d *Driver) again(input *Input) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	if d.inbox.input == nil {
		d.inbox.input = input
	}
	signal(d.inbox.plan)
}

func (d *Driver) plan(ctx context.Context, input *Input, known *isolated, good *lastGood) (*plan, error) {
	if input.Model == nil {
		return &plan{input: input, refused: input.Refused}, nil
	}
	whole, err := d.build(input, d.opts.Build.Dir, nil)
	if err != nil {
		return &plan{input: input, refused: bounded(err.Error())}, nil //nolint:nilerr // The plan has it.
	}
	input, stale := good.stands(input, whole.Refusals)
	if len(stale) > 0 {
		if whole, err = d.build(input, d.opts.Build.Dir, nil); err != nil {
			return nil, err
		}
	}
	if err := good.keep(input, whole.Refusals); err != nil {
		d.log.Error(err, "Cannot keep the Secrets for the next run")
	}
	p := &plan{input: input, structure: whole, shape: shapeOf(whole, input.Model), stale: stale}
	if known.shape == p.shape {
		return d.without(p, known)
	}
	if inForce := d.shape.Load(); inForce != nil && *inForce == p.shape {
		p.problems = problems(p, nil)
		return p, nil
	}
	return d.ask(ctx, p, known)
}

// ask has HAProxy read the configuration, and leaves out what it does not take.
func (d *Driver) ask(ctx context.Context, p *plan, known *isolated) (*plan, error) {
	input := p.input
	c := d.newCandidates(input)
	defer c.remove()
	ok, output, err := c.check(ctx, nil)
	if err != nil {
		return nil, err
	}
	if ok {
		p.problems = problems(p, nil)
		return p, nil
	}
	d.log.Info("HAProxy refuses the configuration; looking for the part", "message", clean(output, input.Secrets))
	without, refusals, err := isolate(ctx, c, input.Model)
	if err != nil {
		return nil, err
	}
	if without == nil {
		p.refused, p.structure = "HAProxy refuses the configuration: "+clean(output, input.Secrets), nil
		return p, nil
	}
	*known = isolated{shape: p.shape, without: without, refusals: refusals}
	return d.without(p, known)
}

// without makes the plan of what HAProxy takes.
func (d *Driver) without(p *plan, known *isolated) (*plan, error) {
	var err error
	if p.structure, err = d.build(p.input, d.opts.Build.Dir, known.without); err != nil {
		return nil, err
	}
	p.shape = shapeOf(p.structure, p.input.Model)
	p.problems = problems(p, known.refusals)
	return p, nil
}

func (d *Driver) build(input *Input, dir string, without map[string]bool) (*haproxy.Structure, error) {
	options := d.opts.Build
	options.Dir, options.Peers, options.Without = dir, input.Peers, without
	s, err := haproxy.Build(input.Model, input.Secrets, options)
	if err != nil {
		return nil, err
	}
	dropUnused(s, s.Servers(probes(input.Model)))
	return s, nil
}

// dropUnused takes away what the text does not name, because what would use it is left out: HAProxy would not know it.
func dropUnused(s *haproxy.Structure, servers map[string][]haproxy.Server) {
	text := string(s.Text(servers))
	named := func(path string) bool { return strings.Contains(text, path) }
	maps.DeleteFunc(s.Maps, func(path string, _ []socket.Entry) bool { return !named(path) })
	maps.DeleteFunc(s.CertLists, func(path string, _ []haproxy.Certificate) bool { return !named(path) })
	used := map[string]bool{}
	for _, lines := range s.CertLists {
		for _, line := range lines {
			used[line.Path] = true
		}
	}
	maps.DeleteFunc(s.Certificates, func(path string, _ []byte) bool { return !used[path] && !named(path) })
}

// problems joins what is refused, by field. What HAProxy says, and what is known about a Secret, tells more than what
// Build says.
func problems(p *plan, byHAProxy []haproxy.Refusal) []haproxy.Refusal {
	out := slices.Concat(byHAProxy, p.stale)
	for _, refusal := range p.structure.Refusals {
		if !slices.ContainsFunc(out, func(r haproxy.Refusal) bool { return r.Field == refusal.Field }) {
			out = append(out, explained(refusal, p.input))
		}
	}
	for i := range out {
		out[i].Message = bounded(out[i].Message)
	}
	slices.SortStableFunc(out, func(a, b haproxy.Refusal) int { return cmp.Compare(a.Field, b.Field) })
	return out
}

// shapeOf is a hash over what only a reload puts in force, the words of servers included: another monitor is no
// reason to take a server away and add it again, with all that it serves.
func shapeOf(s *haproxy.Structure, cfg *model.Config) string {
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, s.Hash())
	servers := s.Servers(probes(cfg))
	for _, backend := range sortedKeys(servers) {
		for _, server := range servers[backend] {
			_, _ = fmt.Fprintf(hash, "%q %q %q\n", backend, server.Name, server.Params)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// probes are one endpoint for each service of a model. The address is one for documentation.
func probes(cfg *model.Config) haproxy.Endpoints {
	endpoints := haproxy.Endpoints{}
	for i := range cfg.Pools {
		for _, member := range cfg.Pools[i].Members {
			if member.Service != nil {
				endpoints[*member.Service] = []haproxy.Endpoint{{Address: "192.0.2.1", Port: 9, Serving: true}}
			}
		}
	}
	return endpoints
}

// candidates are configurations that HAProxy is asked about, in a folder of their own: the files in force stay.
type candidates struct {
	driver *Driver
	input  *Input
	files  *files
}

func (d *Driver) newCandidates(input *Input) *candidates {
	return &candidates{driver: d, input: input, files: newFiles(filepath.Join(d.opts.Build.Dir, checkDir), d.log)}
}

func (c *candidates) remove() { _ = os.RemoveAll(c.files.dir) }

// check asks whether HAProxy takes the input without some fields.
func (c *candidates) check(ctx context.Context, without map[string]bool) (ok bool, output string, err error) {
	s, err := c.driver.build(c.input, c.files.dir, without)
	if err != nil {
		return false, "", err
	}
	servers := s.Servers(probes(c.input.Model))
	if _, err := c.files.replace(imageOf(s, c.files.dir, servers, []byte(serverStateHead))); err != nil {
		return false, "", err
	}
	v, err := c.driver.proxy.check(ctx, filepath.Join(c.files.dir, configFile))
	return v.OK, v.Output, err
}
