// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const persistedFile = "agent.json"

// persisted is what the next run of the agent has to know of the files.
type persisted struct {
	// Shape is that of the configuration; while it is the same, HAProxy needs no reload.
	Shape      string `json:"shape"`
	Generation int64  `json:"generation"`
	Model      string `json:"model"`
	Reloads    int    `json:"reloads"`
}

// restore reads what an earlier run left.
func (d *Driver) restore() {
	if _, err := os.Stat(filepath.Join(d.opts.Build.Dir, configFile)); err != nil {
		return
	}
	text, err := os.ReadFile(d.persistedPath())
	if err == nil {
		err = json.Unmarshal(text, &d.persisted)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.log.Error(err, "Cannot read what the last run left; HAProxy will be reloaded")
		}
		d.persisted = persisted{}
	}
	d.update(func(s *Status) {
		s.Generation, s.Model, s.Reloads, s.Restored = d.persisted.Generation, d.persisted.Model, d.persisted.Reloads, true
	})
}

func (d *Driver) persistedPath() string { return filepath.Join(d.opts.Build.Dir, persistedFile) }

// record is the content of the file for a plan in force.
func (d *Driver) record(p *plan) []byte {
	d.mu.Lock()
	reloads := d.status.Reloads
	d.mu.Unlock()
	text, err := json.Marshal(persisted{Shape: p.shape, Generation: p.input.Model.Generation, Model: p.input.Hash, Reloads: reloads})
	if err != nil {
		return nil
	}
	return text
}
