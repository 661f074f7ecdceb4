// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// FuzzPod checks what holds without an oracle: no panic, the input as it was, one answer, and that a pod which got
// what the findings say gets nothing more and is refused by the same limits.
func FuzzPod(f *testing.F) {
	f.Add("memory", "256Mi", "", "", "512Mi", "", "2Gi", "", "1", uint8(0))
	f.Add("cpu", "100m", "200m", "500m", "1", "4", "", "50m", "", uint8(3))
	f.Add("nvidia.com/gpu", "1", "", "", "", "", "", "", "", uint8(7))
	f.Add("hugepages-2Mi", "", "", "3Mi", "1e30", "1", "1n", "", "-1", uint8(15))
	f.Fuzz(func(t *testing.T, name, low, defaultRequest, defaultLimit, high, ratio, limit, request, level string, shape uint8) {
		put := func(text string) corev1.ResourceList {
			q, err := resource.ParseQuantity(text)
			if err != nil {
				return nil
			}
			return corev1.ResourceList{corev1.ResourceName(name): q}
		}
		items := []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Min: put(low), Max: put(high), Default: put(defaultLimit),
			DefaultRequest: put(defaultRequest), MaxLimitRequestRatio: put(ratio),
		}, {Type: corev1.LimitTypePod, Min: put(low), Max: put(high), MaxLimitRequestRatio: put(ratio)}}
		set := corev1.ResourceRequirements{Requests: put(request), Limits: put(limit)}
		spec := shaped(shape, set)
		if shape&8 != 0 {
			spec.Resources = &corev1.ResourceRequirements{Limits: put(level)}
		}
		checkProperties(t, items, spec)
	})
}

// shaped puts the resources into one container or several, one of them open.
func shaped(shape uint8, set corev1.ResourceRequirements) *corev1.PodSpec {
	spec := pod(corev1.Container{Name: "a", Resources: *set.DeepCopy()})
	if shape&1 != 0 {
		spec.Containers = append(spec.Containers, corev1.Container{Name: "b"})
	}
	if shape&2 != 0 {
		side := sidecar("c", "", "")
		side.Resources = *set.DeepCopy()
		spec.InitContainers = append(spec.InitContainers, side)
	}
	if shape&4 != 0 {
		spec.InitContainers = append(spec.InitContainers, corev1.Container{Name: "d", Resources: *set.DeepCopy()})
	}
	return spec
}

func checkProperties(t *testing.T, items []corev1.LimitRangeItem, spec *corev1.PodSpec) {
	t.Helper()
	stored := check.Defaulted(items)
	equal(t, "defaults are not stable", stored, check.Defaulted(stored))
	for i := range items {
		if raw, ready := check.Consistent(items[i]), check.Consistent(stored[i]); (raw == nil) != (ready == nil) {
			t.Errorf("%v before defaults, %v after", raw, ready)
		}
	}
	before := spec.DeepCopy()
	limits := check.Compile(stored)
	first := limits.Pod(spec)
	equal(t, "the input changed", before, spec)
	equal(t, "two answers", lines(first), lines(limits.Pod(spec)))
	fillIn(spec, first)
	again := limits.Pod(spec)
	if slices.ContainsFunc(again, func(f check.Finding) bool { return f.Effect == check.Changed }) {
		t.Errorf("changed twice: %v, then %v", lines(first), lines(again))
	}
	equal(t, "refused otherwise once the defaults are set", byLimits(first), byLimits(again))
}

// fillIn does what the Changed findings say.
func fillIn(spec *corev1.PodSpec, findings []check.Finding) {
	for _, containers := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range containers {
			r := &containers[i].Resources
			// The request follows the container's own limit before the LimitRange has a say.
			r.Requests = merged(r.Requests, r.Limits)
			for _, f := range findings {
				if f.Effect != check.Changed || f.Container != containers[i].Name {
					continue
				}
				value := corev1.ResourceList{f.Rule.Resource: f.Value}
				if f.Rule.Bound == check.Default {
					r.Limits = merged(r.Limits, value)
				} else {
					r.Requests = merged(r.Requests, value)
				}
			}
		}
	}
}

func merged(list, missing corev1.ResourceList) corev1.ResourceList {
	out := missing.DeepCopy()
	for name, q := range list {
		if out == nil {
			out = corev1.ResourceList{}
		}
		out[name] = q
	}
	return out
}

// byLimits are the refusals that come from the plugin's own limits.
func byLimits(findings []check.Finding) []string {
	return lines(slices.DeleteFunc(slices.Clone(findings), func(f check.Finding) bool {
		return f.Effect != check.Refused || f.Rule.Bound == check.Default || f.Rule.Bound == check.DefaultRequest
	}))
}
