// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func yes(reason, format string, args ...any) Verdict {
	return Verdict{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) Verdict {
	return Verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func (m *machine) verdicts(d *Decision, v *view) {
	doing := m.doing(d, v)
	d.Reconciling = no(ReasonAtRest, "nothing is under way")
	if doing != "" {
		d.Reconciling = yes(ReasonProgressing, "%s", doing)
	}
	d.Stalled = m.stalled(d, v)
	d.Ready = m.ready(d, doing)
}

// doing says what is under way; empty is nothing.
func (m *machine) doing(d *Decision, v *view) string {
	p := &m.progress
	way := fmt.Sprintf("Istio %s", p.Target.Version)
	if !p.Good.IsZero() && p.Good.Version != p.Target.Version {
		way = fmt.Sprintf("Istio %s to %s", p.Good.Version, p.Target.Version)
	}
	switch p.Phase {
	case Installing:
		return fmt.Sprintf("%s: istiod of revision %s is being installed", way, p.Target.Revision)
	case Moving:
		return fmt.Sprintf("%s: batch %d of %d of the members", way, d.Batch, d.Batches)
	case RollingBack:
		return fmt.Sprintf("back to Istio %s (revision %s): %s", p.Target.Version, p.Target.Revision, p.Failure.Message)
	}
	if len(d.Restart) > 0 || len(v.rolling) > 0 {
		return "workloads restart"
	}
	for i := range m.namespaces {
		if want, ok := d.Labels[m.namespaces[i].Name]; ok && want != m.namespaces[i].Revision {
			return "namespaces are being labelled"
		}
	}
	if len(d.Remove) > 0 {
		return fmt.Sprintf("revision %s is being removed", d.Remove[0])
	}
	return ""
}

// stalled says what will not move until a person does something.
func (m *machine) stalled(d *Decision, v *view) Verdict {
	p := &m.progress
	due := m.due(v)
	late := !due.IsZero() && !m.Now.Before(due)
	switch {
	case late && (p.Phase == Idle || p.Phase == Held):
		return yes(ReasonRestartsStuck, "%s is not healthy since its restart; no other restarts before it is", v.busy)
	case late:
		return yes(ReasonDeadline, "%s", m.trouble(v))
	case m.chosen.refused != "":
		return yes(ReasonVersionRefused, "%s", m.chosen.refused)
	case p.Phase == Held:
		return yes(ReasonHeld, "%s; it stays where it stands until the spec changes", p.Failure.Message)
	case p.Phase == Idle && p.Failure != nil:
		return yes(ReasonRolledBack, "%s; %s runs until the spec changes", p.Failure.Message, p.Good.Version)
	}
	return no(d.Reconciling.Reason, "%s", d.Reconciling.Message)
}

func (m *machine) ready(d *Decision, doing string) Verdict {
	p := &m.progress
	switch {
	case d.Stalled.Status == metav1.ConditionTrue:
		return no(d.Stalled.Reason, "%s", d.Stalled.Message)
	case !p.Good.IsZero() && !m.revisions[p.Good.Revision].serves():
		return no(ReasonUnavailable, "istiod of revision %s does not inject", p.Good.Revision)
	case doing != "":
		return no(ReasonProgressing, "%s", doing)
	case p.Good.IsZero():
		return no(ReasonProgressing, "nothing is installed")
	}
	for i := range m.namespaces {
		if ns := &m.namespaces[i]; ns.Member && ns.Contradiction != "" {
			return no(ReasonContradiction, "namespace %s has %s, which keeps revision %s from injecting", ns.Name, ns.Contradiction, ns.Revision)
		}
	}
	text := fmt.Sprintf("Istio %s runs", p.Good.Version)
	if d.Upcoming != "" {
		text += fmt.Sprintf("; %s waits for a maintenance window", d.Upcoming)
	}
	if n := len(d.Waiting); n > 0 {
		w := d.Waiting[0]
		text += fmt.Sprintf("; %d to be restarted, first %s %s/%s: %s", n, w.Kind, w.Namespace, w.Name, w.Why)
	}
	return yes(ReasonInForce, "%s", text)
}
