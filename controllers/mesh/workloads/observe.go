// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// sight is what there is in a namespace.
type sight struct {
	pods        []*pod
	workloads   []*workload
	replicaSets map[string]*replicaSet
	budgets     []*budget
}

// group is the pods of one workload that do not terminate.
type group struct {
	live, ready int
	// wanting are those that want a proxy; only they, and their readiness, are told of where no template speaks for all.
	wanting, wantingReady int
	// templates are what they were made from.
	templates map[string]struct{}
	proxies   map[rollout.Proxy]int
}

// observe makes of what there is what a rollout is told.
func (s *sight) observe() []rollout.Workload {
	groups := s.groups()
	var out []rollout.Workload
	for _, w := range s.workloads {
		id := owner{w.kind, w.name}
		g := groups[id]
		delete(groups, id)
		if g == nil {
			g = &group{}
		}
		if w.listed(g) {
			out = append(out, s.known(w, g))
		}
	}
	for id, g := range groups {
		if g.wanting > 0 && !controlled(id.kind) {
			out = append(out, rollout.Workload{
				Kind: id.kind, Name: id.name, Replicas: g.wanting, Ready: g.wantingReady, RolledOut: true, Proxies: g.proxies,
			})
		}
	}
	slices.SortFunc(out, func(a, b rollout.Workload) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// controlled are the kinds that stand for themselves: pods of one that is not known were seen before it.
func controlled(kind string) bool {
	return kind == rollout.Deployment || kind == rollout.StatefulSet || kind == rollout.DaemonSet
}

// groups gathers pods by what owns them.
func (s *sight) groups() map[owner]*group {
	out := map[owner]*group{}
	for _, p := range s.pods {
		id, template, known := s.ownerOf(p)
		if p.terminates || p.ours || !known {
			continue
		}
		g := out[id]
		if g == nil {
			g = &group{templates: map[string]struct{}{}, proxies: map[rollout.Proxy]int{}}
			out[id] = g
		}
		g.templates[template] = struct{}{}
		g.live++
		if p.ready {
			g.ready++
		}
		if !p.wants {
			continue
		}
		g.wanting++
		g.proxies[p.proxy.Value()]++
		if p.ready {
			g.wantingReady++
		}
	}
	return out
}

// ownerOf finds the workload of a pod, and what names the template that the pod was made from. It is not known while the
// ReplicaSet of the pod was not seen.
func (s *sight) ownerOf(p *pod) (id owner, template string, known bool) {
	id, template = p.owner.Value(), p.template.Value()
	switch id.kind {
	case "":
		return owner{kindPod, p.name}, "", true
	case kindReplicaSet:
		set, ok := s.replicaSets[id.name]
		if !ok {
			return owner{}, "", false
		}
		if above := set.owner.Value(); above != (owner{}) {
			return above, set.template.Value(), true
		}
	}
	return id, template, true
}

// listed: a rollout hears of workloads that want a proxy and have something to restart, or were restarted.
func (w *workload) listed(g *group) bool {
	if w.ours {
		return false
	}
	return g.wanting > 0 || w.wants && (w.replicas > 0 || g.live > 0 || w.cause != "")
}

// known is a workload with a template.
func (s *sight) known(w *workload, g *group) rollout.Workload {
	out := rollout.Workload{
		Kind: w.kind, Name: w.name, Replicas: w.replicas, Ready: g.ready, RolledOut: w.rolledOut(g), Proxies: g.proxies,
		Disrupts: w.disrupts, Untouchable: w.untouchable, Cause: w.cause,
	}
	// Somebody may have written anything there. What is no time is long ago.
	if at, err := time.Parse(time.RFC3339Nano, w.restartedAt); err == nil {
		out.RestartedAt = at
	}
	for _, b := range s.budgets {
		if b.selector.Matches(labels.Set(w.labels)) {
			out.Budgets = append(out.Budgets, b.key())
		}
	}
	slices.Sort(out.Budgets)
	return out
}

// rolledOut holds what the controller says against the pods, of which news may come later: all are there, and all are
// made from the present template. Where that has no name (DaemonSet), they are at least made from the same one.
func (w *workload) rolledOut(g *group) bool {
	if !w.settled || w.still {
		return w.settled
	}
	if g.live < w.replicas || len(g.templates) > 1 {
		return false
	}
	for template := range g.templates {
		if w.template != "" && template != w.template {
			return false
		}
	}
	return true
}
