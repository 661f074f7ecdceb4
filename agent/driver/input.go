// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
)

// Input is what HAProxy shall hold, but for endpoints.
type Input struct {
	// Model is nil where there is none that can be read; Refused says why then.
	Model   *model.Config
	Refused string
	// Hash identifies the model.
	Hash    string
	Secrets haproxy.Secrets
	Peers   []haproxy.Peer
	// Unreadable says why Secrets that the model names are not in Secrets, where that is known: "it may not be read".
	Unreadable map[model.SecretRef]string
}

// inbox holds what has come and was not taken yet. Only the newest counts.
type inbox struct {
	// wake is for endpoints, plan for inputs.
	wake, plan chan struct{}

	mu        *sync.Mutex
	input     *Input
	endpoints haproxy.Endpoints
	pending   map[model.ServiceRef]time.Time
}

func newInbox() inbox {
	return inbox{
		wake: make(chan struct{}, 1), plan: make(chan struct{}, 1), mu: &sync.Mutex{},
		endpoints: haproxy.Endpoints{}, pending: map[model.ServiceRef]time.Time{},
	}
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// SetInput takes over a model. Endpoints of all services that it names should have been set before.
func (d *Driver) SetInput(input *Input) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	d.inbox.input = input
	signal(d.inbox.plan)
}

// SetEndpoints takes over the endpoints of a service, of which an event told at that time. The list is kept.
func (d *Driver) SetEndpoints(service model.ServiceRef, endpoints []haproxy.Endpoint, at time.Time) {
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	if old, known := d.inbox.endpoints[service]; known && slices.Equal(old, endpoints) {
		return
	}
	d.inbox.endpoints[service] = endpoints
	if first, waits := d.inbox.pending[service]; !waits || at.Before(first) {
		d.inbox.pending[service] = at
	}
	signal(d.inbox.wake)
}

// latest takes the newest input, nil if there is none.
func (b *inbox) latest() *Input {
	b.mu.Lock()
	defer b.mu.Unlock()
	input := b.input
	b.input = nil
	return input
}

// changes takes what has changed, and when the first of it came.
func (b *inbox) changes() (services map[model.ServiceRef]bool, all haproxy.Endpoints, first time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	services = make(map[model.ServiceRef]bool, len(b.pending))
	for service, at := range b.pending {
		services[service] = true
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	clear(b.pending)
	return services, maps.Clone(b.endpoints), first
}

// all gives the endpoints; what has changed counts as taken.
func (b *inbox) all() haproxy.Endpoints {
	_, all, _ := b.changes()
	return all
}
