// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amount is a quantity that may be absent; absent it is zero.
type amount struct {
	quantity resource.Quantity
	set      bool
}

// pair is what a container, a pod or a claim asks of one resource.
type pair struct {
	request, limit amount
}

// amountIn looks a resource up in a list of the API.
func amountIn(list corev1.ResourceList, name corev1.ResourceName) amount {
	quantity, ok := list[name]
	if !ok {
		return amount{}
	}
	return amountOf(quantity)
}

// add sums up; the sum of nothing stays absent. The first addend is copied because
// Quantity.Add writes through the pointer of an arbitrary-precision value.
func (a *amount) add(b amount) {
	switch {
	case !b.set:
	case !a.set:
		*a = amount{quantity: b.quantity.DeepCopy(), set: true}
	default:
		a.quantity.Add(b.quantity)
	}
}

// raise makes a at least b.
func (a *amount) raise(b amount) {
	if b.set && (!a.set || b.quantity.Cmp(a.quantity) > 0) {
		*a = amount{quantity: b.quantity.DeepCopy(), set: true}
	}
}

// exceeds tells whether both are there and a is the greater.
func (a amount) exceeds(b amount) bool {
	return a.set && b.set && a.quantity.Cmp(b.quantity) > 0
}

// tally adds up one resource over a pod's containers: those that run side by side count together, an init
// container counts with the sidecars that started before it, and the pod needs the larger of the two.
type tally struct {
	together, sidecars, starting amount
}

func (t *tally) container(a amount) { t.together.add(a) }

func (t *tally) initContainer(a amount, sidecar bool) {
	if sidecar {
		t.together.add(a)
		t.sidecars.add(a)
		t.starting.raise(t.sidecars)
		return
	}
	var alone amount
	alone.add(a)
	alone.add(t.sidecars)
	t.starting.raise(alone)
}

func (t *tally) total() amount {
	t.together.raise(t.starting)
	return t.together
}

// sidecar tells whether an init container keeps running beside the containers.
func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
