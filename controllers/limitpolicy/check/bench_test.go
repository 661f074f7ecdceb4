// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// usualItems bound cpu and memory of containers and pods, and the storage of claims.
func usualItems() []corev1.LimitRangeItem {
	return []corev1.LimitRangeItem{
		item(corev1.LimitTypeContainer, bounds{check.Max: "cpu=2 memory=2Gi", check.Min: "cpu=10m memory=16Mi", check.MaxLimitRequestRatio: "cpu=10"}),
		item(corev1.LimitTypePod, bounds{check.Max: "cpu=4 memory=8Gi"}),
		item(corev1.LimitTypePersistentVolumeClaim, bounds{check.Max: "storage=100Gi", check.Min: "storage=1Gi"}),
	}
}

// usualPod has a sidecar, an init container and two containers, and passes.
func usualPod() *corev1.PodSpec {
	return &corev1.PodSpec{
		InitContainers: []corev1.Container{sidecar("proxy", "cpu=100m memory=64Mi", "cpu=500m memory=128Mi"), container("setup", "cpu=100m memory=64Mi", "cpu=1 memory=1Gi")},
		Containers:     []corev1.Container{container("app", "cpu=500m memory=1Gi", "cpu=2 memory=2Gi"), container("log", "cpu=50m memory=64Mi", "cpu=100m memory=128Mi")},
	}
}

func TestNoAllocationWhenNothingIsFound(t *testing.T) {
	limits, spec := compile(usualItems()...), usualPod()
	claim := &corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: list("storage=8Gi")}}
	allocations := testing.AllocsPerRun(100, func() {
		if limits.Pod(spec) != nil || limits.Claim(claim) != nil {
			t.Fatal("found something")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkCompile(b *testing.B) {
	items := check.Defaulted(usualItems())
	b.ReportAllocs()
	for b.Loop() {
		check.Compile(items)
	}
}

func BenchmarkPodPasses(b *testing.B) {
	limits, spec := compile(usualItems()...), usualPod()
	b.ReportAllocs()
	for b.Loop() {
		limits.Pod(spec)
	}
}

func BenchmarkPodRefused(b *testing.B) {
	limits, spec := compile(usualItems()...), usualPod()
	spec.Containers[0].Resources.Limits[corev1.ResourceMemory] = list("memory=4Gi")[corev1.ResourceMemory]
	b.ReportAllocs()
	for b.Loop() {
		limits.Pod(spec)
	}
}

func BenchmarkPodChanged(b *testing.B) {
	limits, spec := compile(usualItems()...), pod(container("app", "", ""), container("log", "", ""))
	b.ReportAllocs()
	for b.Loop() {
		limits.Pod(spec)
	}
}

func BenchmarkClaimPasses(b *testing.B) {
	limits := compile(usualItems()...)
	claim := &corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: list("storage=8Gi")}}
	b.ReportAllocs()
	for b.Loop() {
		limits.Claim(claim)
	}
}

func BenchmarkConsistent(b *testing.B) {
	items := usualItems()
	b.ReportAllocs()
	for b.Loop() {
		if err := check.Consistent(items[0]); err != nil {
			b.Fatal(err)
		}
	}
}
