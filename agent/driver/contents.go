// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// contents puts maps, certificates and their lists in force, which differ between two structures of one shape. What is
// used comes before what uses it.
func (d *Driver) contents(old, wanted *haproxy.Structure) error {
	for _, path := range sortedKeys(wanted.Certificates) {
		before, known := old.Certificates[path]
		if known && bytes.Equal(before, wanted.Certificates[path]) {
			continue
		}
		if err := d.setCertificate(path, wanted.Certificates[path], !known); err != nil {
			return err
		}
	}
	for _, path := range sortedKeys(wanted.CertLists) {
		if err := d.setList(path, certificates(old.CertLists[path]), wanted.CertLists[path]); err != nil {
			return err
		}
	}
	for _, path := range sortedKeys(wanted.Maps) {
		if slices.Equal(old.Maps[path], wanted.Maps[path]) {
			continue
		}
		if err := d.client.ReplaceMap(d.ctx, path, wanted.Maps[path]); err != nil {
			return fmt.Errorf("change map %s: %w", filepath.Base(path), err)
		}
	}
	for _, path := range sortedKeys(old.Certificates) {
		if _, stays := wanted.Certificates[path]; stays {
			continue
		}
		// One that is still used by open connections goes with the next reload.
		if err := d.client.Run(d.ctx, socket.DelCert(path)); err != nil && !errors.Is(err, socket.ErrBusy) && !errors.Is(err, socket.ErrNotFound) {
			return fmt.Errorf("remove certificate %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func (d *Driver) setCertificate(path string, pem []byte, missing bool) error {
	if missing {
		if err := d.client.Run(d.ctx, socket.NewCert(path)); err != nil && !errors.Is(err, socket.ErrExists) {
			return fmt.Errorf("add certificate %s: %w", filepath.Base(path), err)
		}
	}
	if err := d.client.SetCert(d.ctx, path, pem); err != nil {
		return fmt.Errorf("set certificate %s: %w", filepath.Base(path), err)
	}
	return nil
}

// certificates are the paths of a list.
func certificates(lines []haproxy.Certificate) []string {
	paths := make([]string, 0, len(lines))
	for _, line := range lines {
		paths = append(paths, line.Path)
	}
	return paths
}

// setList adds what is new and then removes what is not wanted.
func (d *Driver) setList(path string, have []string, wanted []haproxy.Certificate) error {
	var commands []socket.Command
	for _, line := range wanted {
		if !slices.Contains(have, line.Path) {
			commands = append(commands, socket.AddCrtList(path, line.Path, line.Names...))
		}
	}
	keep := certificates(wanted)
	for _, certificate := range have {
		if !slices.Contains(keep, certificate) {
			commands = append(commands, socket.DelCrtList(path, certificate))
		}
	}
	if err := d.client.Run(d.ctx, commands...); err != nil {
		return fmt.Errorf("change certificate list %s: %w", filepath.Base(path), err)
	}
	return nil
}
