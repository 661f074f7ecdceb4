// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// changes gathers what happens at the same moment: a thousand pods of one workload are one change.
type changes struct {
	tell func(Change)
	wake chan struct{}

	mu      sync.Mutex
	pending map[Change]struct{}
}

func newChanges(tell func(Change)) *changes {
	return &changes{tell: tell, wake: make(chan struct{}, 1), pending: map[Change]struct{}{}}
}

func (c *changes) add(change Change) {
	c.mu.Lock()
	c.pending[change] = struct{}{}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run tells of changes until the context ends.
func (c *changes) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pace.Gather):
		}
		c.mu.Lock()
		pending := c.pending
		c.pending = map[Change]struct{}{}
		c.mu.Unlock()
		for change := range pending {
			c.tell(change)
		}
	}
}
