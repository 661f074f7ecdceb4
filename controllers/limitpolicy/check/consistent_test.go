// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

func TestConsistent(t *testing.T) {
	const (
		c     = corev1.LimitTypeContainer
		p     = corev1.LimitTypePod
		claim = corev1.LimitTypePersistentVolumeClaim
	)
	for name, tc := range map[string]struct {
		item corev1.LimitRangeItem
		want []string // the lines of the error
	}{
		"usual":             {item(c, bounds{check.Max: "cpu=2 memory=1Gi", check.Min: "cpu=100m", check.Default: "cpu=1", check.DefaultRequest: "cpu=500m", check.MaxLimitRequestRatio: "cpu=4"}), nil},
		"empty":             {item(c, nil), nil},
		"min above max":     {item(p, bounds{check.Min: "memory=2Gi", check.Max: "memory=1Gi"}), []string{"limits[Pod].min[memory]: 2Gi is greater than max 1Gi"}},
		"default above max": {item(c, bounds{check.Default: "cpu=2", check.DefaultRequest: "cpu=1", check.Max: "cpu=1"}), []string{"limits[Container].default[cpu]: 2 is greater than max 1"}},
		"implied defaultRequest above max": {item(c, bounds{check.Default: "cpu=2", check.Max: "cpu=1"}), []string{
			"limits[Container].defaultRequest[cpu]: 2 is greater than max 1",
			"limits[Container].default[cpu]: 2 is greater than max 1",
		}},
		"defaultRequest above default": {item(c, bounds{check.Default: "cpu=1", check.DefaultRequest: "cpu=2"}), []string{"limits[Container].defaultRequest[cpu]: 2 is greater than default 1"}},
		"ratio below 1":                {item(c, bounds{check.MaxLimitRequestRatio: "cpu=900m"}), []string{"limits[Container].maxLimitRequestRatio[cpu]: 900m is less than 1"}},
		"ratio rounds up to 1":         {item(c, bounds{check.MaxLimitRequestRatio: "cpu=0.9999"}), nil},
		"ratio that min and max imply": {item(p, bounds{check.Min: "cpu=1", check.Max: "cpu=2", check.MaxLimitRequestRatio: "cpu=3"}), []string{
			"limits[Pod].maxLimitRequestRatio[cpu]: 3 is greater than max 2 divided by min 1, 2.000000",
		}},
		"ratio with a min of 0": {item(p, bounds{check.Min: "cpu=0", check.Max: "cpu=2", check.MaxLimitRequestRatio: "cpu=3"}), nil},
		"defaults of a pod": {item(p, bounds{check.Default: "cpu=1", check.DefaultRequest: "cpu=1"}), []string{
			"limits[Pod].default: may not be set for type Pod", "limits[Pod].defaultRequest: may not be set for type Pod",
		}},
		"claim without storage":        {item(claim, bounds{check.Max: "memory=1Gi"}), []string{"limits[PersistentVolumeClaim]: min or max must hold storage"}},
		"claim":                        {item(claim, bounds{check.Max: "storage=1Gi"}), nil},
		"storage of a container":       {item(c, bounds{check.Max: "storage=1Gi"}), []string{`limits[Container], resource "storage": must be a standard resource for containers`}},
		"unknown resource":             {item(c, bounds{check.Max: "gpus=1"}), []string{`limits[Container], resource "gpus": must be a standard resource type or fully qualified`}},
		"devices whose defaults agree": {item(c, bounds{check.Max: "nvidia.com/gpu=2", check.Min: "nvidia.com/gpu=1"}), nil},
		"devices whose defaults differ": {item(c, bounds{check.Default: "nvidia.com/gpu=2", check.DefaultRequest: "nvidia.com/gpu=1"}), []string{
			"limits[Container].defaultRequest[nvidia.com/gpu]: 1 must equal default 2, since nvidia.com/gpu cannot be overcommitted",
		}},
		"quota's name":  {item(c, bounds{check.Max: "requests.example.com/gpu=2"}), []string{`limits[Container], resource "requests.example.com/gpu": doesn't follow extended resource name standard`}},
		"unknown type":  {item("Box", nil), []string{`type "Box": must be a standard limit type or fully qualified`}},
		"somebody's":    {item("example.com/Box", bounds{check.Max: "cpu=1"}), nil},
		"malformed key": {item(c, bounds{check.Max: "a/b/c=1"}), []string{`limits[Container], resource "a/b/c": a valid label key must`}},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.item.DeepCopy()
			var got []string
			if err := check.Consistent(tc.item); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tc.want) {
				t.Fatalf("errors: %q, want %q", got, tc.want)
			}
			for i := range got {
				if got[i] != tc.want[i] && name != "malformed key" {
					t.Errorf("error %q, want %q", got[i], tc.want[i])
				}
			}
			equal(t, "the input changed", before, &tc.item)
		})
	}
}

func TestDefaulted(t *testing.T) {
	in := []corev1.LimitRangeItem{
		item(corev1.LimitTypeContainer, bounds{check.Max: "cpu=2 memory=1Gi", check.Min: "cpu=100m nvidia.com/gpu=1", check.Default: "memory=512Mi"}),
		item(corev1.LimitTypePod, bounds{check.Max: "cpu=4", check.Min: "cpu=100u"}),
	}
	want := []corev1.LimitRangeItem{
		item(corev1.LimitTypeContainer, bounds{
			check.Max: "cpu=2 memory=1Gi", check.Min: "cpu=100m nvidia.com/gpu=1", check.Default: "cpu=2 memory=512Mi",
			check.DefaultRequest: "cpu=2 memory=512Mi nvidia.com/gpu=1",
		}),
		item(corev1.LimitTypePod, bounds{check.Max: "cpu=4", check.Min: "cpu=1m"}),
	}
	got := check.Defaulted(in)
	equal(t, "items", want, got)
	equal(t, "defaults are not stable", got, check.Defaulted(got))
	if _, ok := in[0].Default[corev1.ResourceCPU]; ok {
		t.Error("the input changed")
	}
}
