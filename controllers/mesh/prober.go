// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/mesh/probe"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

const (
	// probeTimeout bounds one dry run: an API server waits up to 10 s for a webhook.
	probeTimeout = 12 * time.Second
	// probeAgain is how soon a control plane that does not inject is asked again, which doubles up to probeSeldom; probeFresh
	// is how long an answer stands while members move, probeStale how long otherwise.
	probeAgain  = 2 * time.Second
	probeSeldom = 30 * time.Second
	probeFresh  = 10 * time.Second
	probeStale  = 5 * time.Minute
)

// inject asks whether a revision injects a pod of a namespace.
type inject func(ctx context.Context, namespace, revision string) (probe.Result, error)

// prober asks control planes whether they inject, beside the work: a webhook that hangs holds up no repair. It is safe
// for concurrent use.
type prober struct {
	ask inject
	// changed is told the mesh whose answer is another one.
	changed func(mesh string)

	mu    sync.Mutex
	known map[string]*answer
}

// answer is what a revision answered last.
type answer struct {
	probe.Result
	mesh string
	// subject is what was asked, and the state that it was in.
	subject subject
	at      time.Time
	asked   bool
	// again is how soon one that does not inject is asked again; it doubles.
	again time.Duration
}

// subject is a control plane that is asked. Another release has to answer for itself; one whose state changed is asked again.
type subject struct {
	namespace string
	release   rollout.Release
	state     string
}

func newProber(ask inject, changed func(mesh string)) *prober {
	return &prober{ask: ask, changed: changed, known: map[string]*answer{}}
}

// look gives the last answer of a control plane, and has it asked again where that is older than the patience. Without
// an answer it does not inject.
func (p *prober) look(mesh string, of subject, patience time.Duration) probe.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	revision := of.release.Revision
	a := p.known[revision]
	if a == nil || a.subject.release != of.release || a.subject.namespace != of.namespace {
		a = &answer{mesh: mesh}
		p.known[revision] = a
	}
	if a.subject != of {
		a.subject, a.at = of, time.Time{}
	}
	if !a.Injects {
		patience = min(patience, max(a.again, probeAgain))
	}
	if !a.asked && time.Since(a.at) >= patience {
		a.asked = true
		go p.run(a, of)
	}
	return a.Result
}

// run asks once.
func (p *prober) run(a *answer, of subject) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	result, err := p.ask(ctx, of.namespace, of.release.Revision)
	if err != nil {
		log.FromContext(ctx).V(1).Info("cannot try an injection", "mesh", a.mesh, "revision", of.release.Revision, "error", err.Error())
		result = probe.Result{Why: "a pod could not be tried"}
	}
	p.mu.Lock()
	a.asked = false
	news := a.Result != result || a.subject != of
	a.Result = result
	again := probeAgain
	if a.subject == of {
		a.at = time.Now()
		again = min(max(2*a.again, probeAgain), probeSeldom)
	}
	a.again = again
	current := p.known[of.release.Revision] == a
	p.mu.Unlock()
	if news {
		p.changed(a.mesh)
	}
	if !result.Injects && current {
		time.AfterFunc(again, func() { p.changed(a.mesh) })
	}
}

// keep drops the answers of revisions of a mesh that are not there any more.
func (p *prober) keep(mesh string, there func(revision string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for revision, a := range p.known {
		if a.mesh == mesh && !there(revision) {
			delete(p.known, revision)
		}
	}
}
