// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

func TestParseRefuses(t *testing.T) {
	item := func(item v1alpha1.LimitItem) v1alpha1.LimitPolicySpec {
		return v1alpha1.LimitPolicySpec{Limits: []v1alpha1.LimitItem{item}}
	}
	for name, test := range map[string]struct {
		spec v1alpha1.LimitPolicySpec
		want string
	}{
		"not a quantity": {
			spec: item(v1alpha1.LimitItem{Type: "Container", Max: v1alpha1.Amounts{"memory": "lots"}}),
			want: `spec.limits[Container].max[memory]: "lots" is not an amount`,
		},
		"negative": {
			spec: item(v1alpha1.LimitItem{Type: "Pod", Min: v1alpha1.Amounts{"cpu": "-1"}}),
			want: `spec.limits[Pod].min[cpu]: "-1" is not an amount`,
		},
		"an exponent that the quantity parser would never come back from": {
			spec: item(v1alpha1.LimitItem{Type: "Container", Default: v1alpha1.Amounts{"cpu": "1e999999999"}}),
			want: `spec.limits[Container].default[cpu]: "1e999999999" is not an amount`,
		},
		"endless": {
			spec: item(v1alpha1.LimitItem{Type: "Container", DefaultRequest: v1alpha1.Amounts{"cpu": v1alpha1.Amount(strings.Repeat("9", 1<<20))}}),
			want: `spec.limits[Container].defaultRequest[cpu]: "999999999999999999999999" is not an amount`,
		},
		"empty": {
			spec: item(v1alpha1.LimitItem{Type: "Container", MaxLimitRequestRatio: v1alpha1.Amounts{"cpu": ""}}),
			want: `spec.limits[Container].maxLimitRequestRatio[cpu]: "" is not an amount`,
		},
		"the first of several, by name": {
			spec: item(v1alpha1.LimitItem{Type: "Container", Max: v1alpha1.Amounts{"memory": "x", "cpu": "y"}}),
			want: `spec.limits[Container].max[cpu]: "y" is not an amount`,
		},
		"min above max": {
			spec: item(v1alpha1.LimitItem{Type: "Container", Max: v1alpha1.Amounts{"memory": "1Gi"}, Min: v1alpha1.Amounts{"memory": "2Gi"}}),
			want: "spec.limits[Container].min[memory]: 2Gi is greater than max 1Gi",
		},
		"defaults of a pod": {
			spec: item(v1alpha1.LimitItem{Type: "Pod", Default: v1alpha1.Amounts{"memory": "1Gi"}}),
			want: "spec.limits[Pod].default: may not be set for type Pod",
		},
		"claims without storage": {
			spec: item(v1alpha1.LimitItem{Type: "PersistentVolumeClaim", Max: v1alpha1.Amounts{"cpu": "1"}}),
			want: "spec.limits[PersistentVolumeClaim]: min or max must hold storage",
		},
		"a type twice": {
			spec: v1alpha1.LimitPolicySpec{Limits: []v1alpha1.LimitItem{
				{Type: "Pod", Max: v1alpha1.Amounts{"cpu": "1"}}, {Type: "Pod", Max: v1alpha1.Amounts{"cpu": "2"}},
			}},
			want: "spec.limits[Pod]: the type is there twice",
		},
		"a quota": {
			spec: v1alpha1.LimitPolicySpec{Quota: &v1alpha1.Quota{Hard: v1alpha1.Amounts{"pods": "1,5"}}},
			want: `spec.quota.hard[pods]: "1,5" is not an amount`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := policy("bad", 0)
			in.Spec = test.spec
			began := time.Now()
			_, err := render.Parse(in)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("Parse says %v, want %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the message is of several lines: %q", err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("Parse took %v", took)
			}
		})
	}
}

func TestParseJoinsProblems(t *testing.T) {
	in := policy("bad", 0)
	in.Spec.Limits = []v1alpha1.LimitItem{{
		Type: "Container",
		Max:  v1alpha1.Amounts{"cpu": "1", "memory": "1Gi"},
		Min:  v1alpha1.Amounts{"cpu": "2", "memory": "2Gi"},
	}}
	_, err := render.Parse(in)
	for _, want := range []string{"spec.limits[Container].min[cpu]: 2 is greater than max 1", "; spec.limits[Container].min[memory]: 2Gi is greater than max 1Gi"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse says %v; %q is missing", err, want)
		}
	}
}

func TestParseOwner(t *testing.T) {
	got := parsed(t, policy("team", 7))
	if o := got.Owner; o.APIVersion != "fleet.fairlead.io/v1alpha1" || o.Kind != "LimitPolicy" || o.Name != "team" || o.UID != "uid-team" {
		t.Errorf("the owner reference is %+v", o)
	}
	if got.Owner.Controller != nil || got.Owner.BlockOwnerDeletion != nil {
		t.Errorf("one of several owners claims more than it may: %+v", got.Owner)
	}
	if got.Priority != 7 || got.Quota != nil || got.Limits != nil {
		t.Errorf("parsed is %+v", got)
	}
}

// BenchmarkNamespace is what one namespace costs where 20 policies pick it, and where 2 do.
func BenchmarkNamespace(b *testing.B) {
	for _, count := range []int{2, 20} {
		var all []render.Policy
		for i := range count {
			in := policy(fmt.Sprintf("p%02d", i), int32(i%4))
			for _, limitType := range []corev1.LimitType{"Container", "Pod"} {
				in.Spec.Limits = append(in.Spec.Limits, v1alpha1.LimitItem{
					Type: limitType,
					Max:  v1alpha1.Amounts{"cpu": v1alpha1.Amount(fmt.Sprint(4 + i)), "memory": "8Gi"},
					Min:  v1alpha1.Amounts{"cpu": "100m", "memory": "64Mi"},
				})
			}
			in.Spec.Quota = &v1alpha1.Quota{Hard: v1alpha1.Amounts{"pods": v1alpha1.Amount(fmt.Sprint(10 + i))}}
			all = append(all, parsed(b, in))
		}
		b.Run(fmt.Sprintf("policies=%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				render.Namespace("shop", all)
			}
		})
	}
}
