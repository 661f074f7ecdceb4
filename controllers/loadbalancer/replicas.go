// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/internal/drift"
)

const (
	// maxProblems and maxAddresses are how many a status holds.
	maxProblems  = 10
	maxAddresses = 16
)

// addresses are where clients reach it: what a Service of type LoadBalancer was given, else those of the cluster.
func (e *evidence) addresses() []string {
	if e.service == nil {
		return nil
	}
	var out []string
	if e.service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, ingress := range e.service.Status.LoadBalancer.Ingress {
			if address := cmp.Or(ingress.IP, ingress.Hostname); address != "" {
				out = append(out, address)
			}
		}
		return out[:min(len(out), maxAddresses)]
	}
	for _, address := range e.service.Spec.ClusterIPs {
		if address != corev1.ClusterIPNone {
			out = append(out, address)
		}
	}
	return out
}

// replicas counts them.
func (e *evidence) replicas() *v1alpha1.ReplicaCounts {
	out := &v1alpha1.ReplicaCounts{}
	if e.deployment != nil {
		out.Ready = e.deployment.Status.ReadyReplicas
		if e.deployment.Spec.Replicas != nil {
			out.Desired = *e.deployment.Spec.Replicas
		}
	}
	for _, report := range e.reports {
		if e.current(&report) {
			out.Current++
		}
	}
	return out
}

// current reports whether a replica has the newest model in force, as a whole.
func (e *evidence) current(report *v1alpha1.ReplicaReport) bool {
	return e.outcome != nil && e.outcome.hash != "" && report.Model == e.outcome.hash && report.Refused == ""
}

// problems brings together those that the operator found and those of replicas that have the newest model.
func (e *evidence) problems() *v1alpha1.Problems {
	all := slices.Clone(e.outcome.problems)
	told := 0
	for i := range e.reports {
		report := &e.reports[i]
		if report.Problems == nil || report.Model != e.outcome.hash {
			continue
		}
		told = max(told, int(report.Problems.Count))
		all = append(all, report.Problems.Top...)
	}
	for i := range all {
		all[i] = v1alpha1.Problem{
			Field: conditions.Cut(all[i].Field), Reason: conditions.Cut(all[i].Reason), Message: conditions.Cut(all[i].Message),
		}
	}
	slices.SortFunc(all, func(a, b v1alpha1.Problem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
	all = slices.Compact(all)
	// A replica tells of its first few only; the others cannot be told apart from those of other replicas.
	count := max(len(all), len(e.outcome.problems)+told)
	if count == 0 {
		return nil
	}
	return &v1alpha1.Problems{Count: int32(count), Top: all[:min(len(all), maxProblems)]}
}

func problemsText(problems *v1alpha1.Problems) string {
	if len(problems.Top) == 0 {
		return fmt.Sprintf("%d parts of the spec are not in force", problems.Count)
	}
	first := problems.Top[0]
	text := first.Field + ": " + first.Message
	if problems.Count > 1 {
		text += fmt.Sprintf(" (and %d more)", problems.Count-1)
	}
	return text
}

// mergedRepairs are those of objects and those of HAProxy that replicas tell, the newest first.
func (e *evidence) mergedRepairs(before []v1alpha1.RepairRecord) []v1alpha1.RepairRecord {
	recent := slices.Clone(e.repairs)
	for i := range e.reports {
		recent = append(recent, e.reports[i].Repairs...)
	}
	all := drift.Join(recent, before)
	slices.SortStableFunc(all, func(a, b v1alpha1.RepairRecord) int { return b.Time.Compare(a.Time.Time) })
	return all[:min(len(all), drift.MaxRepairs)]
}
