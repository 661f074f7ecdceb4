// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"crypto/sha1" //nolint:gosec // It is what HAProxy tells, and no protection.
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// snapshot is HAProxy's live state.
type snapshot struct {
	// plan was in force, and sequence the number of the last change, when the look began.
	plan     *plan
	sequence uint64
	servers  map[string]map[string]socket.ServerState
	maps     map[string][]socket.Entry
	// certificates are fingerprints, empty for one that is missing.
	certificates map[string]string
	lists        map[string][]string
	err          error
}

// observe looks at HAProxy's live state beside the loop, which gets a snapshot.
func (d *Driver) observe() {
	if d.observing || d.force == nil {
		return
	}
	d.observing = true
	p, sequence := d.force, d.sequence
	go func() {
		s := d.look(d.ctx, p, sequence)
		select {
		case d.observed <- s:
		case <-d.ctx.Done():
		}
	}()
}

// synchronize compares at once, and repairs what no foreign hand did.
func (d *Driver) synchronize() {
	d.unsure = true
	// What a look beside has seen is older.
	d.sequence++
	d.doubted = d.sequence
	d.compare(d.look(d.ctx, d.force, d.sequence))
}

func (d *Driver) look(ctx context.Context, p *plan, sequence uint64) *snapshot {
	s := &snapshot{
		plan: p, sequence: sequence, servers: map[string]map[string]socket.ServerState{}, maps: map[string][]socket.Entry{},
		certificates: map[string]string{}, lists: map[string][]string{},
	}
	s.err = errors.Join(d.lookServers(ctx, s), d.lookMaps(ctx, s), d.lookCertificates(ctx, s))
	return s
}

func (d *Driver) lookServers(ctx context.Context, s *snapshot) error {
	states, err := d.client.ServersState(ctx)
	for _, state := range states {
		if s.servers[state.Backend] == nil {
			s.servers[state.Backend] = map[string]socket.ServerState{}
		}
		s.servers[state.Backend][state.Name] = state
	}
	return err
}

func (d *Driver) lookMaps(ctx context.Context, s *snapshot) error {
	for path := range s.plan.structure.Maps {
		entries, err := d.client.Map(ctx, path)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		s.maps[path] = entries
	}
	return nil
}

func (d *Driver) lookCertificates(ctx context.Context, s *snapshot) error {
	for path := range s.plan.structure.Certificates {
		certificate, err := d.client.Cert(ctx, path)
		if err != nil && !errors.Is(err, socket.ErrNotFound) {
			return err
		}
		s.certificates[path] = certificate.SHA1
	}
	for path := range s.plan.structure.CertLists {
		lines, err := d.client.CrtList(ctx, path)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		for _, line := range lines {
			s.lists[path] = append(s.lists[path], line.Cert)
		}
	}
	return nil
}

// fingerprint is that of the first certificate of a bundle, as HAProxy writes it.
func fingerprint(bundle []byte) string {
	block, _ := pem.Decode(bundle)
	if block == nil {
		return ""
	}
	sum := sha1.Sum(block.Bytes) //nolint:gosec // See the import.
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
