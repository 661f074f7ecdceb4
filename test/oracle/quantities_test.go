// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	hugePages2Mi = corev1.ResourceName(corev1.ResourceHugePagesPrefix + "2Mi")
	hugePages1Gi = corev1.ResourceName(corev1.ResourceHugePagesPrefix + "1Gi")
	gpu          = corev1.ResourceName("nvidia.com/gpu")
	dongle       = corev1.ResourceName("example.com/dongle")
	nodeLocal    = corev1.ResourceName("example.kubernetes.io/local")
)

// usual are the values that people write, in the ways they write them.
var usual = map[corev1.ResourceName][]string{
	corev1.ResourceCPU:              {"100m", "0.1", "250m", "333m", "500m", "1", "1500m", "2", "2000m", "16", "1e-1"},
	corev1.ResourceMemory:           {"64Mi", "128Mi", "256Mi", "262144Ki", "512Mi", "0.5Gi", "1Gi", "2Gi", "500M", "1e9", "1.5Gi", "128974848"},
	corev1.ResourceEphemeralStorage: {"500Mi", "1Gi", "2G", "10Gi", "1T"},
	corev1.ResourceStorage:          {"1Gi", "5Gi", "8Gi", "10Gi", "10G", "100Gi", "1Ti", "1.5Ti"},
	hugePages2Mi:                    {"2Mi", "4Mi", "6Mi", "1Gi", "3Mi", "2097152"},
	hugePages1Gi:                    {"1Gi", "2Gi", "4Gi", "1024Mi", "512Mi"},
	gpu:                             {"1", "2", "4", "8", "500m"},
	dongle:                          {"1", "3", "1k", "1.5"},
	nodeLocal:                       {"1", "250m", "1Gi"},
}

// edges are around zero, the API's precision, and the largest value that is compared in thousandths.
var edges = []string{
	"0", "0", "1m", "1", "100u", "1n", "0.0001", "1.0005", "999999999999n", "-1", "-500m", "-0.0005",
	"9223372036854774", "9223372036854775", "9223372036854775.807", "9223372036854776", "9223372036854775807",
	"9223372036854775808", "1E", "8Ei", "7Ei", "10E", "1e30", "4611686018427387904", "123456789012345678.9",
}

// quantity draws a value for the resource: a usual one, one next to it, or an edge.
func quantity(c chooser, name corev1.ResourceName) resource.Quantity {
	q := resource.MustParse(pick(c, usual[name]...))
	switch n := c.below(100); {
	case n < 72:
	case n < 78:
		q.Add(*resource.NewQuantity(1, q.Format))
	case n < 84:
		q.Sub(*resource.NewQuantity(1, q.Format))
	case n < 88:
		q.Add(*resource.NewMilliQuantity(1, resource.DecimalSI))
	case n < 90:
		q.Add(resource.MustParse("1u"))
	case n < 92:
		q.ToDec()
	default:
		q = resource.MustParse(pick(c, edges...))
	}
	return q
}

// pools holds a few sorted values for each resource, so that one case meets the same value in many places.
type pools map[corev1.ResourceName][]resource.Quantity

const poolSize = 4

// of is the pool of the resource, drawn when it is first asked for.
func (p pools) of(c chooser, name corev1.ResourceName) []resource.Quantity {
	if values, ok := p[name]; ok {
		return values
	}
	values := make([]resource.Quantity, poolSize)
	for i := range values {
		values[i] = quantity(c, name)
	}
	slices.SortStableFunc(values, func(a, b resource.Quantity) int { return a.Cmp(b) })
	p[name] = values
	return values
}

// draw takes a value from the pool, or now and then a fresh one.
func (p pools) draw(c chooser, name corev1.ResourceName) resource.Quantity {
	if chance(c, 8) {
		return quantity(c, name)
	}
	return pick(c, p.of(c, name)...).DeepCopy()
}

// ascending takes n values that do not decrease.
func (p pools) ascending(c chooser, name corev1.ResourceName, n int) []resource.Quantity {
	pool := p.of(c, name)
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = c.below(poolSize)
	}
	slices.Sort(indexes)
	out := make([]resource.Quantity, n)
	for i, index := range indexes {
		out[i] = pool[index].DeepCopy()
	}
	return out
}

var (
	// boundResources are weighted to what limits are mostly about.
	boundResources = []corev1.ResourceName{
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceMemory,
		corev1.ResourceEphemeralStorage, hugePages2Mi, hugePages1Gi, gpu, dongle, nodeLocal,
	}
	podLevelResources = []corev1.ResourceName{
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceMemory, hugePages2Mi, hugePages1Gi,
	}
)
