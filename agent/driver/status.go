// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"slices"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
)

// maxRepairs is how many repairs are remembered.
const maxRepairs = 5

// Status is what is in force.
type Status struct {
	// Version is HAProxy's.
	Version string
	// Generation and Model are those in force; 0 and empty for none yet.
	Generation int64
	Model      string
	// Refused says why the newest model is not in force; empty where it is.
	Refused string
	// Problems are the parts of it that are not.
	Problems []haproxy.Refusal
	// Repairs are the last ones, the newest first.
	Repairs []Repair
	// Reloads counts those of HAProxy since the folder was empty.
	Reloads int
	// Settled is true once it is decided what is in force: the newest model, or the last good one.
	Settled bool
	// Restored is true where HAProxy goes on with what an earlier run of the agent left.
	Restored bool
}

// Repair is one foreign change in HAProxy that was undone.
type Repair struct {
	// Object is what was changed, Field what of it; Want and Found are cut to 64 characters.
	Object, Field, Want, Found string
	Time                       time.Time
	// Failed is true where HAProxy did not let it be undone.
	Failed bool
}

// Status gives a copy.
func (d *Driver) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Problems, s.Repairs = slices.Clone(s.Problems), slices.Clone(s.Repairs)
	return s
}

// Changed gets a value when the status has changed.
func (d *Driver) Changed() <-chan struct{} { return d.changed }

func (d *Driver) update(change func(*Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.status)
	signal(d.changed)
}
