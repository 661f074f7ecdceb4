// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// world is a cluster as far as a rollout can tell: istiods that start or do not, pods that are injected by the label
// of their namespace, controllers that replace pods within maxUnavailable and maxSurge.
type world struct {
	random   *rand.Rand
	now      time.Time
	istiods  map[string]*istiod
	spaces   map[string]*space
	budgets  map[string]int // ready pods that have to stay
	bad      map[string]bool
	poison   map[string]bool // versions whose proxies some workloads cannot live with
	changed  bool
	problems []string
}

type istiod struct {
	applied, serving rollout.Release
	at, down         time.Time // when the applied release serves, until when it is down
	answersAt        time.Time
}

type space struct {
	name, label, contradiction string
	member                     bool
	labelledAt                 time.Time
	workloads                  []*workload
}

type workload struct {
	kind, name                   string
	replicas, surge, unavailable int
	budgets                      []string
	frail                        bool // dies of poison
	pods                         []*pod
	cause                        string
	restartedAt, sickUntil       time.Time
	restarts                     map[string]int
}

type pod struct {
	proxy rollout.Proxy
	cause string
	at    time.Time
	dead  bool
}

const tick = 10 * time.Second

var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) fault(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

func (w *world) soon(most time.Duration) time.Time {
	return w.now.Add(time.Duration(w.random.Int64N(int64(most) + 1)))
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.spaces)) }

func (w *world) revisions() []string { return slices.Sorted(maps.Keys(w.istiods)) }

func (i *istiod) injects(now time.Time) bool {
	return i != nil && !i.serving.IsZero() && !now.Before(i.down) && !now.Before(i.answersAt)
}

func (w *world) apply(release rollout.Release) {
	i := w.istiods[release.Revision]
	if i == nil {
		i = &istiod{answersAt: never}
		w.istiods[release.Revision] = i
	}
	if i.applied == release {
		return
	}
	i.applied, i.at, w.changed = release, w.soon(3*time.Minute), true
	if w.bad[release.Version] || w.bad[release.Source] {
		i.at = never
	}
	if i.serving == release {
		i.at = w.now
	}
}

func (w *world) inject(s *space) (rollout.Proxy, bool) {
	i := w.istiods[s.label]
	switch {
	case i == nil, s.contradiction != "":
		return rollout.Proxy{}, true
	case i.injects(w.now):
		return rollout.Proxy{Revision: s.label, Version: i.serving.Version}, true
	}
	return rollout.Proxy{}, i.serving.IsZero()
}

func (p *pod) ready(w *world, of *workload) bool {
	return !p.dead && !w.now.Before(p.at) && !w.now.Before(of.sickUntil)
}

func (w *world) ready(of *workload) int {
	n := 0
	for _, p := range of.pods {
		if p.ready(w, of) {
			n++
		}
	}
	return n
}

func (w *world) guarded(budget string) int {
	n := 0
	for _, s := range w.spaces {
		for _, of := range s.workloads {
			if slices.Contains(of.budgets, budget) {
				n += w.ready(of)
			}
		}
	}
	return n
}

// step lets the cluster's controllers do a little.
func (w *world) step() {
	for _, name := range w.revisions() {
		if i := w.istiods[name]; i.serving != i.applied && !w.now.Before(i.at) {
			if i.serving.IsZero() {
				i.answersAt = w.soon(time.Minute)
			}
			i.serving, w.changed = i.applied, true
		}
	}
	for _, name := range w.names() {
		for _, of := range w.spaces[name].workloads {
			if of.kind != "Job" {
				w.roll(w.spaces[name], of)
			}
		}
	}
}

// roll is what the controller of a Deployment does: what is not ready goes first, and never more than may.
func (w *world) roll(s *space, of *workload) {
	for slices.ContainsFunc(of.pods, func(p *pod) bool { return p.cause != of.cause }) || len(of.pods) < of.replicas {
		if i := slices.IndexFunc(of.pods, func(p *pod) bool { return p.cause != of.cause && !p.ready(w, of) }); i >= 0 {
			of.pods, w.changed = slices.Delete(of.pods, i, i+1), true
			continue
		}
		if len(of.pods) < of.replicas+of.surge {
			if !w.create(s, of) {
				return
			}
			continue
		}
		i := slices.IndexFunc(of.pods, func(p *pod) bool { return p.cause != of.cause })
		if i < 0 || w.ready(of) <= of.replicas-of.unavailable {
			return
		}
		of.pods, w.changed = slices.Delete(of.pods, i, i+1), true
		for _, budget := range of.budgets {
			if w.guarded(budget) < w.budgets[budget] {
				w.fault("budget %s has %d ready pods, less than %d, by %s/%s", budget, w.guarded(budget), w.budgets[budget], s.name, of.name)
			}
		}
	}
	for len(of.pods) > of.replicas {
		of.pods, w.changed = of.pods[1:], true
	}
}

func (w *world) create(s *space, of *workload) bool {
	proxy, ok := w.inject(s)
	if !ok {
		return false
	}
	of.pods = append(of.pods, &pod{
		proxy: proxy, cause: of.cause, at: w.soon(90 * time.Second), dead: of.frail && w.poison[proxy.Version],
	})
	w.changed = true
	return true
}

// observe is what a controller would see.
func (w *world) observe() rollout.State {
	s := rollout.State{Proxies: map[string]int{}, Budgets: map[string]int{}}
	for _, name := range w.revisions() {
		i := w.istiods[name]
		up := !w.now.Before(i.down)
		s.Revisions = append(s.Revisions, rollout.Revision{
			Release: i.applied, RolledOut: i.serving == i.applied && up, CABundle: !i.serving.IsZero(),
			Answers: up && !i.serving.IsZero(), Injects: i.injects(w.now),
		})
	}
	for budget, least := range w.budgets {
		s.Budgets[budget] = max(w.guarded(budget)-least, 0)
	}
	for _, name := range w.names() {
		from := w.spaces[name]
		ns := rollout.Namespace{
			Name: name, Member: from.member, Revision: from.label, LabelledAt: from.labelledAt, Contradiction: from.contradiction,
		}
		for _, of := range from.workloads {
			ns.Workloads = append(ns.Workloads, w.seen(of))
			for _, p := range of.pods {
				if p.proxy.Revision != "" {
					s.Proxies[p.proxy.Revision]++
				}
			}
		}
		s.Namespaces = append(s.Namespaces, ns)
	}
	return s
}

func (w *world) seen(of *workload) rollout.Workload {
	out := rollout.Workload{
		Kind: of.kind, Name: of.name, Replicas: of.replicas, Ready: w.ready(of), Disrupts: of.unavailable, Budgets: of.budgets,
		Proxies: map[rollout.Proxy]int{}, Cause: of.cause, RestartedAt: of.restartedAt,
		RolledOut: len(of.pods) == of.replicas && !slices.ContainsFunc(of.pods, func(p *pod) bool { return p.cause != of.cause }),
	}
	for _, p := range of.pods {
		out.Proxies[p.proxy]++
	}
	return out
}

// next is when something happens by itself after a time.
func (w *world) next(after time.Time) time.Time {
	out := never
	consider := func(t time.Time) {
		if t.After(after) && t.Before(out) {
			out = t
		}
	}
	for _, i := range w.istiods {
		consider(i.at)
		consider(i.down)
		consider(i.answersAt)
	}
	for _, s := range w.spaces {
		for _, of := range s.workloads {
			consider(of.sickUntil)
			for _, p := range of.pods {
				if !p.dead {
					consider(p.at)
				}
			}
		}
	}
	return out
}
