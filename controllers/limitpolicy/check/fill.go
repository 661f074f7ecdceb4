// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	corev1 "k8s.io/api/core/v1"
)

// fill is what a LimitRange gives a container that leaves a resource open; either may be absent.
type fill struct {
	resource       corev1.ResourceName
	limit, request amount
}

// resolve is what the container asks for after all defaults. A request follows the container's own limit,
// never the limit that is filled in: that core/v1 default comes before admission, and only for pods,
// so a workload's template does not show it.
func (f *fill) resolve(r *corev1.ResourceRequirements) pair {
	p := pair{request: amountIn(r.Requests, f.resource), limit: amountIn(r.Limits, f.resource)}
	if !p.request.set {
		p.request = p.limit
	}
	if !p.limit.set {
		p.limit = f.limit
	}
	if !p.request.set {
		p.request = f.request
	}
	return p
}

// fillsLimit tells whether resolve took the limit from the LimitRange.
func (f *fill) fillsLimit(r *corev1.ResourceRequirements) bool {
	_, ok := r.Limits[f.resource]
	return f.limit.set && !ok
}

// fillsRequest tells whether resolve took the request from the LimitRange.
func (f *fill) fillsRequest(r *corev1.ResourceRequirements) bool {
	if !f.request.set {
		return false
	}
	if _, ok := r.Requests[f.resource]; ok {
		return false
	}
	_, ok := r.Limits[f.resource]
	return !ok
}

// aggregate adds the resolved pairs of all containers up; limited tells whether each of them has a limit.
func (f *fill) aggregate(spec *corev1.PodSpec) (total pair, limited bool) {
	var requests, limits tally
	limited = true
	for i := range spec.Containers {
		p := f.resolve(&spec.Containers[i].Resources)
		requests.container(p.request)
		limits.container(p.limit)
		limited = limited && p.limit.set
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		p := f.resolve(&c.Resources)
		requests.initContainer(p.request, sidecar(c))
		limits.initContainer(p.limit, sidecar(c))
		limited = limited && p.limit.set
	}
	return pair{request: requests.total(), limit: limits.total()}, limited
}

// pod is what a bound of type Pod is held against.
func (f *fill) pod(spec *corev1.PodSpec) pair {
	total, limited := f.aggregate(spec)
	// The plugin lets pod-level resources count for these two only, not for huge pages.
	if f.resource != corev1.ResourceCPU && f.resource != corev1.ResourceMemory {
		return total
	}
	level := f.podLevel(spec, total, limited)
	if level.request.set {
		total.request = level.request
	}
	if level.limit.set {
		total.limit = level.limit
	}
	return total
}

// podLevel is spec.resources after its defaults, which Kubernetes 1.37 sets between the plugin's defaults
// and its checks: once the pod sets any resource at its own level, the rest follows from the containers.
func (f *fill) podLevel(spec *corev1.PodSpec, total pair, limited bool) pair {
	r := spec.Resources
	if r == nil || len(r.Requests) == 0 && len(r.Limits) == 0 || !podLevel(f.resource) {
		return pair{}
	}
	p := pair{request: amountIn(r.Requests, f.resource), limit: amountIn(r.Limits, f.resource)}
	if hugePages(f.resource) {
		if !p.limit.set && !p.request.set {
			p.limit = total.limit
		}
	} else if !p.request.set {
		p.request = total.request
	}
	if !p.request.set {
		p.request = p.limit
	}
	if p.request.set && !p.limit.set && limited && total.limit.set {
		p.limit = total.limit
		p.limit.raise(p.request)
	}
	return p
}
