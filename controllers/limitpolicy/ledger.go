// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// ledger is what is known of every namespace, kept by the namespace and report reconcilers and read by the
// policy reconciler. It lives in memory: after a restart it fills as the namespaces are looked at.
type ledger struct {
	mu         sync.RWMutex
	namespaces map[string]*record
	drifts     map[types.UID]*drift.Log

	// changed is told the name of a policy whose status may have to change.
	changed func(policy string)
}

// record is what is known of one namespace.
type record struct {
	cover outcome
	// reports are the findings by policy; nil until they are there for the policies of cover.
	reports map[types.UID]report
}

// outcome is how covering a namespace went.
type outcome struct {
	// namespace tells one namespace from a later one of the same name.
	namespace types.UID
	policies  []selected
	// hold is why nothing was touched, empty where everything might be.
	hold   string
	result apply.Result
	// failure is the class of an error that is being retried, empty for none.
	failure string
	lost    []render.Lost
	foreign []apply.Ref
}

// sameSpecs reports whether two outcomes stand on the same policies with the same specs.
func (o *outcome) sameSpecs(policies []selected) bool {
	return slices.EqualFunc(o.policies, policies, func(a, b selected) bool {
		return a.uid == b.uid && a.generation == b.generation
	})
}

func newLedger() *ledger {
	return &ledger{
		namespaces: map[string]*record{},
		drifts:     map[types.UID]*drift.Log{},
		changed:    func(string) {},
	}
}

// covered notes how covering a namespace went, and tells the policies that it concerns or concerned.
func (l *ledger) covered(namespace string, now outcome) {
	concerned := map[string]struct{}{}
	l.mu.Lock()
	known := l.namespaces[namespace]
	if known != nil {
		for _, policy := range known.cover.policies {
			concerned[policy.name] = struct{}{}
		}
	}
	for _, policy := range now.policies {
		concerned[policy.name] = struct{}{}
		if policy.enforced {
			l.log(policy.uid, now.result.Drifts)
		}
	}
	if len(now.policies) == 0 {
		delete(l.namespaces, namespace)
	} else {
		if known == nil {
			known = &record{}
			l.namespaces[namespace] = known
		}
		if known.cover.namespace != now.namespace || !known.cover.sameSpecs(now.policies) {
			known.reports = nil
		}
		known.cover = now
		known.cover.result.Drifts = nil
	}
	l.mu.Unlock()
	for name := range concerned {
		l.changed(name)
	}
}

func (l *ledger) log(policy types.UID, drifts []apply.Drift) {
	if len(drifts) == 0 {
		return
	}
	if l.drifts[policy] == nil {
		l.drifts[policy] = &drift.Log{}
	}
	l.drifts[policy].Add(drifts)
}

// reported notes the findings of a namespace. What was found for other specs than those on record is not
// worth noting: when they are put in force, or it is known that they are not, another report is asked for.
func (l *ledger) reported(seen *observed, reports map[types.UID]report) {
	var concerned []string
	l.mu.Lock()
	if known := l.namespaces[seen.name]; known != nil && known.cover.namespace == seen.uid && known.cover.sameSpecs(seen.policies) {
		for _, policy := range known.cover.policies {
			before, had := known.reports[policy.uid]
			if after, has := reports[policy.uid]; has != had || !after.equal(before) {
				concerned = append(concerned, policy.name)
			}
		}
		known.reports = reports
	}
	l.mu.Unlock()
	for _, name := range concerned {
		l.changed(name)
	}
}

// replaced reports whether what is on record is of an earlier namespace of the name.
func (l *ledger) replaced(namespace string, uid types.UID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	known := l.namespaces[namespace]
	return known != nil && uid != "" && known.cover.namespace != uid
}

// each calls do for every namespace on record, under the lock: do must not keep the record.
func (l *ledger) each(do func(namespace string, known *record)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for name, known := range l.namespaces {
		do(name, known)
	}
}

// concerns lists the namespaces on record that a policy picked when they were last looked at.
func (l *ledger) concerns(policy types.UID) []string {
	var out []string
	l.each(func(namespace string, known *record) {
		if known.has(policy) != nil {
			out = append(out, namespace)
		}
	})
	return out
}

// recent is the drift told in a policy's status.
func (l *ledger) recent(policy types.UID) []v1alpha1.RepairRecord {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if log := l.drifts[policy]; log != nil {
		return log.Recent()
	}
	return nil
}

// takeUntold gives the first drift that no event has told, and how many more there are.
func (l *ledger) takeUntold(policy types.UID) (first *apply.Drift, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.drifts[policy]
	if log == nil {
		return nil, 0
	}
	return log.TakeUntold()
}

func (l *ledger) forget(policy types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.drifts, policy)
}

func (r *record) has(policy types.UID) *selected {
	for i := range r.cover.policies {
		if r.cover.policies[i].uid == policy {
			return &r.cover.policies[i]
		}
	}
	return nil
}
