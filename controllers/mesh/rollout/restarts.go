// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"fmt"
	"slices"
)

// never says why a workload with a wrong proxy will not be restarted, whatever its health.
func (m *machine) never(ns *Namespace, w *Workload, e expectation) string {
	switch {
	case ns.Contradiction != "" && e.mode != leave:
		return ns.Contradiction + " of its namespace keeps the proxy away"
	case w.Untouchable != "":
		return w.Untouchable
	case w.Cause == e.cause:
		return "it restarted for this and came back the same"
	case w.Cause == "" && m.Now.Sub(w.RestartedAt) < takenBack:
		return "somebody took its last restart out of its pod template again"
	case w.Kind != Deployment && w.Kind != StatefulSet && w.Kind != DaemonSet:
		return "a " + w.Kind + " is not restarted"
	case !m.spec.RestartWorkloads:
		return "members.restartWorkloads is off"
	}
	return ""
}

// notNow says why a workload cannot restart at present.
func (m *machine) notNow(w *Workload, heals bool) string {
	if !w.healthy() && !heals {
		return "it was not healthy before a restart"
	}
	// What is down already is not taken down by a restart: a rolling update begins with it.
	cost := w.Disrupts - max(w.Replicas-w.Ready, 0)
	if cost <= 0 {
		return ""
	}
	for _, budget := range w.Budgets {
		allowed, known := m.Budgets[budget]
		others := m.budgetsRolling[budget]
		if !w.RolledOut {
			others--
		}
		switch {
		case !known:
		case allowed < cost:
			return fmt.Sprintf("PodDisruptionBudget %s allows too few disruptions", budget)
		case others > 0:
			return fmt.Sprintf("PodDisruptionBudget %s is for another workload that is being rolled out", budget)
		}
	}
	return ""
}

// restarts takes the next workloads: of the batch that is under way, or the next batch if none is.
func (m *machine) restarts(d *Decision, v *view) {
	d.Waiting = v.waiting
	namespaces := m.turn(v)
	count, budgets := map[string]int{}, map[string]bool{}
	for _, c := range v.candidates {
		w := c.workload
		shared := slices.ContainsFunc(w.Budgets, func(b string) bool { return budgets[b] })
		if !slices.Contains(namespaces, c.namespace) || shared || v.rolling[c.namespace]+count[c.namespace] >= atOnce {
			d.Waiting = append(d.Waiting, Waiting{c.namespace, w.Kind, w.Name, "others restart before it"})
			continue
		}
		count[c.namespace]++
		for _, budget := range w.Budgets {
			budgets[budget] = true
		}
		d.Restart = append(d.Restart, Restart{c.namespace, w.Kind, w.Name, c.cause})
	}
	slices.SortFunc(d.Waiting, func(a, b Waiting) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// turn is the namespaces whose workloads may restart now. What has nothing to lose does not wait.
func (m *machine) turn(v *view) []string {
	var busy, next []string
	for _, c := range v.candidates {
		switch {
		case v.rolling[c.namespace] > 0 || c.heals:
			busy = append(busy, c.namespace)
		case !slices.Contains(next, c.namespace) && len(next) < m.spec.batch():
			next = append(next, c.namespace)
		}
	}
	if len(v.rolling) > 0 || len(busy) > 0 {
		return busy
	}
	return next
}
