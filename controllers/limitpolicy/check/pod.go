// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	corev1 "k8s.io/api/core/v1"
)

// Pod is what the limits would do to a pod of this spec, or to the pods that a workload makes from a template
// of this spec. It returns nil, without allocating, if they would let it pass as it is. Claims that
// the pod's ephemeral volumes would make are for [Limits.Claim].
func (l *Limits) Pod(spec *corev1.PodSpec) []Finding {
	if l == nil || spec == nil {
		return nil
	}
	var findings []Finding
	for i := range spec.Containers {
		findings = l.appendContainer(findings, &spec.Containers[i], "container")
	}
	for i := range spec.InitContainers {
		findings = l.appendContainer(findings, &spec.InitContainers[i], "init container")
	}
	if len(findings) > 0 {
		// Only a value that is filled in can make a stored pod or template invalid.
		findings = l.appendInvalid(findings, spec)
	}
	var p pair
	for i := range l.pod {
		if i == 0 || l.pod[i].rule.Resource != l.pod[i-1].rule.Resource {
			p = l.pod[i].fill.pod(spec)
		}
		findings = l.pod[i].append(findings, &p, "")
	}
	return findings
}

// appendContainer adds what the Container items do to one container.
func (l *Limits) appendContainer(findings []Finding, c *corev1.Container, kind string) []Finding {
	for i := range l.fills {
		findings = l.fills[i].appendChanges(findings, c, kind)
	}
	var p pair
	for i := range l.container {
		if i == 0 || l.container[i].rule.Resource != l.container[i-1].rule.Resource {
			p = l.container[i].fill.resolve(&c.Resources)
		}
		findings = l.container[i].append(findings, &p, c.Name)
	}
	return findings
}

// appendChanges adds the values that the container gets.
func (f *fill) appendChanges(findings []Finding, c *corev1.Container, kind string) []Finding {
	if f.fillsLimit(&c.Resources) {
		findings = append(findings, f.change(Default, "limit", kind, c.Name, f.limit))
	}
	if f.fillsRequest(&c.Resources) {
		findings = append(findings, f.change(DefaultRequest, "request", kind, c.Name, f.request))
	}
	return findings
}

func (f *fill) change(bound Bound, what, kind, name string, a amount) Finding {
	value := a.quantity.DeepCopy()
	return Finding{
		Rule:      f.rule(bound),
		Effect:    Changed,
		Container: name,
		Message:   string(f.resource) + " " + what + " for " + kind + " " + name + " set to " + value.String(),
		Value:     value,
	}
}

func (f *fill) rule(bound Bound) Rule {
	return Rule{Type: corev1.LimitTypeContainer, Bound: bound, Resource: f.resource}
}

// Claim is what the limits would do to a PersistentVolumeClaim of this spec. A claim is never changed, and its
// resources.limits do not count. It returns nil, without allocating, if the claim passes.
func (l *Limits) Claim(spec *corev1.PersistentVolumeClaimSpec) []Finding {
	if l == nil || spec == nil {
		return nil
	}
	var findings []Finding
	for i := range l.claim {
		c := &l.claim[i]
		p := pair{request: amountIn(spec.Resources.Requests, c.rule.Resource)}
		if message := c.claimViolation(&p); message != "" {
			findings = append(findings, Finding{Rule: c.rule, Effect: Refused, Message: message})
		}
	}
	return findings
}
