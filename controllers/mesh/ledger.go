// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// outcome is how applying a mesh went.
type outcome struct {
	uid        types.UID
	generation int64
	// stuck is why not all of the spec was applied and a person has to move; the zero value where it was.
	stuck stuck
	// desired is the version that the spec asks for, empty where there is none.
	desired string
	// version and revision are what was applied; zero where nothing was.
	version  catalogue.Version
	revision string
	// deployments and webhooks are the parts that have to be well for the mesh to be ready.
	deployments []types.NamespacedName
	webhooks    []string
	// nodes is what the mesh wants to run on nodes; nil for nothing.
	nodes    *render.Nodes
	problems []v1alpha1.Problem
	result   apply.Result
	// failure is the class of an error that is being retried, empty for none.
	failure string
	// held is how many proxies keep the mesh, which is being deleted.
	held int
}

// shared is how applying what meshes share went.
type shared struct {
	// of are the wishes that it was made of, by mesh.
	of      map[string]wish
	stuck   stuck
	result  apply.Result
	failure string
}

// wish is what a mesh wants of what meshes share.
type wish struct {
	uid        types.UID
	generation int64
	version    catalogue.Version
	revision   string
}

func (o *outcome) wish() wish { return wish{o.uid, o.generation, o.version, o.revision} }

// covers reports whether what was applied is what a mesh wants now.
func (s *shared) covers(mesh string, o *outcome) bool {
	return s != nil && s.of[mesh] == o.wish() && (s.result.Done() || s.result.Paused)
}

// stuck is a reason and what it means.
type stuck struct{ reason, message string }

// ledger is what is known of every mesh, and of what they share. It lives in memory: after a restart it fills as meshes
// are applied.
type ledger struct {
	mu      sync.Mutex
	records map[string]*record
	common  map[string]shared

	// changed is told the name of a mesh whose status may have to change, wanted that meshes may want other things of
	// what they share.
	changed func(mesh string)
	wanted  func()
}

type record struct {
	outcome outcome
	drift   drift.Log
}

func newLedger() *ledger {
	return &ledger{records: map[string]*record{}, common: map[string]shared{}, changed: func(string) {}, wanted: func() {}}
}

// applied notes how applying a mesh went.
func (l *ledger) applied(mesh string, now outcome) {
	l.mu.Lock()
	known := l.records[mesh]
	if known == nil || known.outcome.uid != now.uid {
		known = &record{}
		l.records[mesh] = known
	}
	before := known.outcome
	known.drift.Add(now.result.Drifts)
	now.result.Drifts = nil
	known.outcome = now
	l.mu.Unlock()
	l.changed(mesh)
	if before.wish() != now.wish() {
		l.wanted()
	}
}

// appliedShared notes how applying a set that meshes share went. Its drift is told of one of them.
func (l *ledger) appliedShared(set, teller string, now shared) {
	l.mu.Lock()
	if known := l.records[teller]; known != nil {
		known.drift.Add(now.result.Drifts)
	}
	now.result.Drifts = nil
	l.common[set] = now
	var meshes []string
	for mesh := range l.records {
		meshes = append(meshes, mesh)
	}
	l.mu.Unlock()
	for _, mesh := range meshes {
		l.changed(mesh)
	}
}

// read gives what is known of a mesh, and its last repairs; nil where nothing is.
func (l *ledger) read(mesh string, uid types.UID) (*outcome, []v1alpha1.RepairRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.records[mesh]
	if known == nil || known.outcome.uid != uid {
		return nil, nil
	}
	out := known.outcome
	return &out, known.drift.Recent()
}

// readShared gives what is known of a set that meshes share; nil where nothing is.
func (l *ledger) readShared(set string) *shared {
	l.mu.Lock()
	defer l.mu.Unlock()
	out, ok := l.common[set]
	if !ok {
		return nil
	}
	return &out
}

// takeUntold gives the first drift that no event has told, and how many more there are.
func (l *ledger) takeUntold(mesh string, uid types.UID) (first *apply.Drift, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.records[mesh]; known != nil && known.outcome.uid == uid {
		return known.drift.TakeUntold()
	}
	return nil, 0
}

func (l *ledger) forget(mesh string) {
	l.mu.Lock()
	_, was := l.records[mesh]
	delete(l.records, mesh)
	l.mu.Unlock()
	if was {
		l.wanted()
	}
}
