// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scenario is one case: the items of a LimitRange and what is created under them.
type scenario struct {
	items []corev1.LimitRangeItem
	pod   *corev1.Pod
	claim *corev1.PersistentVolumeClaim
}

// newPodScenario is a pod under items of all types.
func newPodScenario(c chooser) *scenario {
	p := pools{}
	s := &scenario{}
	if chance(c, 88) {
		s.items = append(s.items, containerItem(c, p))
	}
	if chance(c, 45) {
		s.items = append(s.items, aggregateItem(c, p, corev1.LimitTypePod, boundResources))
	}
	if chance(c, 3) {
		s.items = append(s.items, aggregateItem(c, p, "example.com/Box", boundResources))
	}
	if chance(c, 3) {
		s.items = append(s.items, claimItem(c, p))
	}
	s.pod = newPod(c, p)
	return s
}

// newClaimScenario is a claim under an item for claims, at times with one for containers beside it.
func newClaimScenario(c chooser) *scenario {
	p := pools{}
	s := &scenario{}
	if chance(c, 5) {
		s.items = append(s.items, containerItem(c, p))
	}
	if chance(c, 95) {
		s.items = append(s.items, claimItem(c, p))
	}
	s.claim = newClaim(c, p)
	return s
}

// someOf draws up to most different resources.
func someOf(c chooser, from []corev1.ResourceName, most int) []corev1.ResourceName {
	var out []corev1.ResourceName
	seen := map[corev1.ResourceName]bool{}
	for range 1 + c.below(most) {
		if name := pick(c, from...); !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func put(list *corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = q
}

func containerItem(c chooser, p pools) corev1.LimitRangeItem {
	item := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer}
	for _, name := range someOf(c, boundResources, 4) {
		// Mostly min ≤ defaultRequest ≤ default ≤ max, which the API server asks for.
		v := p.ascending(c, name, 4)
		if chance(c, 8) {
			v = []resource.Quantity{p.draw(c, name), p.draw(c, name), p.draw(c, name), p.draw(c, name)}
		}
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory && chance(c, 80) {
			v[1] = v[2]
		}
		for i, list := range []*corev1.ResourceList{&item.Min, &item.DefaultRequest, &item.Default, &item.Max} {
			if chance(c, 45) {
				put(list, name, v[i].DeepCopy())
			}
		}
		if chance(c, 20) {
			put(&item.MaxLimitRequestRatio, name, ratio(c, v[0], v[3]))
		}
	}
	return item
}

func aggregateItem(c chooser, p pools, limitType corev1.LimitType, from []corev1.ResourceName) corev1.LimitRangeItem {
	item := corev1.LimitRangeItem{Type: limitType}
	for _, name := range someOf(c, from, 3) {
		v := p.ascending(c, name, 2)
		if limitType == corev1.LimitTypePod && chance(c, 50) {
			// A pod's bound is met by sums.
			v[1].Add(p.draw(c, name))
		}
		if chance(c, 60) {
			put(&item.Min, name, v[0].DeepCopy())
		}
		if chance(c, 65) {
			put(&item.Max, name, v[1].DeepCopy())
		}
		if chance(c, 20) {
			put(&item.MaxLimitRequestRatio, name, ratio(c, v[0], v[1]))
		}
	}
	return item
}

func claimItem(c chooser, p pools) corev1.LimitRangeItem {
	resources := []corev1.ResourceName{corev1.ResourceStorage}
	if chance(c, 5) {
		resources = append(resources, corev1.ResourceMemory)
	}
	return aggregateItem(c, p, corev1.LimitTypePersistentVolumeClaim, resources)
}

// ratio is a usual one, or just the one between the two values.
func ratio(c chooser, low, high resource.Quantity) resource.Quantity {
	if l := low.MilliValue(); chance(c, 30) && l > 0 {
		return *resource.NewMilliQuantity(high.MilliValue()/l*1000, resource.DecimalSI)
	}
	return resource.MustParse(pick(c, "1", "2", "2", "3", "4", "10", "1.5", "1.1", "2500m", "1e3", "1.0001", "0.9999", "9223372036854776"))
}

func newPod(c chooser, p pools) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "team"}}
	asked := someOf(c, boundResources, 3)
	tidy := chance(c, 80)
	for i := range pick(c, 1, 1, 1, 2, 2, 3) {
		pod.Spec.Containers = append(pod.Spec.Containers, newContainer(c, p, fmt.Sprintf("c%d", i), asked, tidy))
	}
	for i := range pick(c, 0, 0, 0, 1, 1, 2, 3) {
		init := newContainer(c, p, fmt.Sprintf("i%d", i), asked, tidy)
		if chance(c, 45) {
			always := corev1.ContainerRestartPolicyAlways
			init.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, init)
	}
	if chance(c, 25) {
		pod.Spec.Resources = podLevel(c, p, tidy)
	}
	return pod
}

func newContainer(c chooser, p pools, name string, asked []corev1.ResourceName, tidy bool) corev1.Container {
	container := corev1.Container{Name: name, Image: "example.com/app:1"}
	if chance(c, 12) {
		return container
	}
	for _, resourceName := range asked {
		setResources(c, p, &container.Resources, resourceName, tidy)
	}
	return container
}

// setResources sets request, limit, both or neither; if tidy, so that the pod's validation accepts it.
func setResources(c chooser, p pools, r *corev1.ResourceRequirements, name corev1.ResourceName, tidy bool) {
	v := p.ascending(c, name, 2)
	if !tidy {
		v = []resource.Quantity{p.draw(c, name), p.draw(c, name)}
	}
	open := name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || name == nodeLocal
	if tidy && !open {
		v[0] = v[1].DeepCopy()
	}
	switch n := c.below(100); {
	case n < 40:
		put(&r.Requests, name, v[0])
		put(&r.Limits, name, v[1])
	case n < 62:
		put(&r.Limits, name, v[1])
	case n < 82 && (open || !tidy):
		put(&r.Requests, name, v[0])
	}
}

func podLevel(c chooser, p pools, tidy bool) *corev1.ResourceRequirements {
	r := &corev1.ResourceRequirements{}
	for _, name := range someOf(c, podLevelResources, 3) {
		one := &corev1.ResourceRequirements{}
		setResources(c, p, one, name, tidy)
		// Sums need room.
		for _, list := range []struct{ from, to *corev1.ResourceList }{{&one.Requests, &r.Requests}, {&one.Limits, &r.Limits}} {
			if q, ok := (*list.from)[name]; ok {
				if tidy {
					q.Add(p.of(c, name)[poolSize-1])
					q.Add(p.of(c, name)[poolSize-2])
				}
				put(list.to, name, q)
			}
		}
	}
	if chance(c, 5) {
		put(&r.Requests, gpu, p.draw(c, gpu))
	}
	return r
}

func newClaim(c chooser, p pools) *corev1.PersistentVolumeClaim {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "team"}}
	if chance(c, 92) {
		put(&claim.Spec.Resources.Requests, corev1.ResourceStorage, p.draw(c, corev1.ResourceStorage))
	}
	if chance(c, 20) {
		put(&claim.Spec.Resources.Limits, corev1.ResourceStorage, p.draw(c, corev1.ResourceStorage))
	}
	return claim
}
