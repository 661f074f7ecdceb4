// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// outcome is what was decided for a mesh, and how applying it went.
type outcome struct {
	uid        types.UID
	generation int64
	// stuck is why not all of the spec is followed and a person has to move; the zero value where it is.
	stuck stuck
	// decision is what is to be done, where decided says that there is one.
	decision rollout.Decision
	decided  bool
	// refusal is why the spec is refused, where the decision says that it is.
	refusal string
	// lacks is what keeps the control plane from injecting that members use, or that is being installed.
	lacks string
	// told is what the status says of all this, but for the conditions.
	told told
	// version is the newest that was applied, revision the one that has what a mesh has one of; zero where nothing was.
	version  catalogue.Version
	revision string
	// nodes is what the mesh wants to run on nodes; nil for nothing, and where unknown says that it cannot be made.
	nodes   *render.Nodes
	unknown bool
	result  apply.Result
	// failure is the class of an error that is being retried, empty for none.
	failure string
	// concerned are the namespaces that the decision looked at.
	concerned map[string]bool
	// paused is that nothing could be done because of a pause.
	paused bool
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
	// nodes is another one when it was rendered anew.
	nodes   *render.Nodes
	unknown bool
}

func (o *outcome) wish() wish {
	return wish{o.uid, o.generation, o.version, o.revision, o.nodes, o.unknown}
}

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

	// gone are the meshes whose removal has begun, by name.
	gone map[string]types.UID
	// written are the times at which the labels of namespaces were last written.
	written map[string]time.Time

	// changed is told the name of a mesh whose status may have to change, wanted that meshes may want other things of
	// what they share, relabel a namespace that may have to name another revision.
	changed func(mesh string)
	wanted  func()
	relabel func(namespace string)
}

type record struct {
	outcome outcome
	drift   drift.Log
}

func newLedger() *ledger {
	return &ledger{
		records: map[string]*record{}, common: map[string]shared{}, written: map[string]time.Time{}, gone: map[string]types.UID{},
		changed: func(string) {}, wanted: func() {}, relabel: func(string) {},
	}
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
	if now.unknown && before.uid == now.uid && !before.unknown {
		// What it wants of what meshes share is what it wanted.
		now.unknown, now.nodes, now.version, now.revision = false, before.nodes, before.version, before.revision
	}
	known.drift.Add(now.result.Drifts)
	now.result.Drifts = nil
	known.outcome = now
	l.mu.Unlock()
	l.changed(mesh)
	if before.wish() != now.wish() {
		l.wanted()
	}
	for namespace, revision := range now.decision.Labels {
		if last, known := before.decision.Labels[namespace]; !known || last != revision {
			l.relabel(namespace)
		}
	}
}

// label is the revision that a namespace has to name by the last decision of a mesh, empty for none. It is false where there
// was no decision about it.
func (l *ledger) label(mesh string, uid types.UID, namespace string) (revision string, decided bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.records[mesh]; known != nil && known.outcome.uid == uid {
		revision, decided = known.outcome.decision.Labels[namespace]
	}
	return revision, decided
}

// labelled notes when the labels of a namespace were written; the zero time forgets it.
func (l *ledger) labelled(namespace string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.IsZero() {
		delete(l.written, namespace)
		return
	}
	l.written[namespace] = at
}

// labelledAt is when the labels of a namespace were last written since the start; zero for not.
func (l *ledger) labelledAt(namespace string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written[namespace]
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

// forget drops what is known of a mesh that is being removed; the UID is empty for one that is no more.
func (l *ledger) forget(mesh string, uid types.UID) {
	l.mu.Lock()
	_, was := l.records[mesh]
	delete(l.records, mesh)
	if delete(l.gone, mesh); uid != "" {
		l.gone[mesh] = uid
	}
	l.mu.Unlock()
	if was {
		l.wanted()
	}
}

// removing reports whether the removal of exactly this mesh has begun. One that was not looked at yet may still keep what it has.
func (l *ledger) removing(mesh string, uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone[mesh] == uid
}

// concerns reports whether the last decision of a mesh looked at a namespace.
func (l *ledger) concerns(mesh string, uid types.UID, namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.records[mesh]
	return known != nil && known.outcome.uid == uid && known.outcome.concerned[namespace]
}

// wasPaused reports whether a mesh was last found paused.
func (l *ledger) wasPaused(mesh string, uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.records[mesh]
	return known != nil && known.outcome.uid == uid && known.outcome.paused
}
