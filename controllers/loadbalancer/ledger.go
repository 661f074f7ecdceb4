// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/drift"
)

// outcome is how applying a load balancer went.
type outcome struct {
	uid        types.UID
	generation int64
	// stuck is why nothing was applied and a person has to move; the zero value where all was.
	stuck stuck
	// hash is that of the model that replicas should have in force.
	hash     string
	problems []v1alpha1.Problem
	result   apply.Result
	// failure is the class of an error that is being retried, empty for none.
	failure string
}

// stuck is a reason and what it means.
type stuck struct{ reason, message string }

// ledger is what is known of every load balancer, kept by the one reconciler and read by the other. It lives in
// memory: after a restart it fills as load balancers are applied.
type ledger struct {
	mu      sync.Mutex
	records map[types.NamespacedName]*record

	// changed is told the name of a load balancer whose status may have to change.
	changed func(types.NamespacedName)
}

type record struct {
	outcome outcome
	drift   drift.Log
}

func newLedger() *ledger {
	return &ledger{records: map[types.NamespacedName]*record{}, changed: func(types.NamespacedName) {}}
}

// applied notes how applying went.
func (l *ledger) applied(key types.NamespacedName, now outcome) {
	l.mu.Lock()
	known := l.records[key]
	if known == nil || known.outcome.uid != now.uid {
		known = &record{}
		l.records[key] = known
	}
	known.drift.Add(now.result.Drifts)
	now.result.Drifts = nil
	known.outcome = now
	l.mu.Unlock()
	l.changed(key)
}

// replaced reports whether what is on record is of an earlier load balancer of the name.
func (l *ledger) replaced(key types.NamespacedName, uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.records[key]
	return known != nil && known.outcome.uid != uid
}

// read gives what is known of a load balancer, and its last repairs; nil where nothing is.
func (l *ledger) read(key types.NamespacedName, uid types.UID) (*outcome, []v1alpha1.RepairRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.records[key]
	if known == nil || known.outcome.uid != uid {
		return nil, nil
	}
	out := known.outcome
	return &out, known.drift.Recent()
}

// takeUntold gives the first drift that no event has told, and how many more there are.
func (l *ledger) takeUntold(key types.NamespacedName, uid types.UID) (first *apply.Drift, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.records[key]; known != nil && known.outcome.uid == uid {
		return known.drift.TakeUntold()
	}
	return nil, 0
}

func (l *ledger) forget(key types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.records, key)
}
