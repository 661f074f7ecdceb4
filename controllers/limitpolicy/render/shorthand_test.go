// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// policies reads a shorthand, one bound a line:
//
//	<policy>/<priority> <type> <bound> <resource>=<amount>
//	<policy>/<priority> quota[<scope>,<scope>] <resource>=<amount>
func policies(t testing.TB, text string) []render.Policy {
	t.Helper()
	found := map[string]*v1alpha1.LimitPolicy{}
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name, priority, _ := strings.Cut(words[0], "/")
		if found[name] == nil {
			number, err := strconv.ParseInt(priority, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = policy(name, int32(number))
			names = append(names, name)
		}
		bound(&found[name].Spec, words[1:])
	}
	var out []render.Policy
	for _, name := range names {
		out = append(out, parsed(t, found[name]))
	}
	return out
}

func policy(name string, priority int32) *v1alpha1.LimitPolicy {
	return &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Spec:       v1alpha1.LimitPolicySpec{Priority: priority},
	}
}

func parsed(t testing.TB, in *v1alpha1.LimitPolicy) render.Policy {
	t.Helper()
	out, err := render.Parse(in)
	if err != nil {
		t.Fatalf("policy %s: %v", in.Name, err)
	}
	return out
}

func bound(spec *v1alpha1.LimitPolicySpec, words []string) {
	name, amount, _ := strings.Cut(words[len(words)-1], "=")
	if scopes, ok := strings.CutPrefix(words[0], "quota["); ok {
		if spec.Quota == nil {
			spec.Quota = &v1alpha1.Quota{Hard: v1alpha1.Amounts{}}
			for scope := range strings.SplitSeq(strings.TrimSuffix(scopes, "]"), ",") {
				if scope != "" {
					spec.Quota.Scopes = append(spec.Quota.Scopes, corev1.ResourceQuotaScope(scope))
				}
			}
		}
		spec.Quota.Hard[corev1.ResourceName(name)] = v1alpha1.Amount(amount)
		return
	}
	at := slices.IndexFunc(spec.Limits, func(item v1alpha1.LimitItem) bool { return string(item.Type) == words[0] })
	if at < 0 {
		spec.Limits = append(spec.Limits, v1alpha1.LimitItem{Type: corev1.LimitType(words[0])})
		at = len(spec.Limits) - 1
	}
	amounts := amountsOf(&spec.Limits[at], check.Bound(words[1]))
	if *amounts == nil {
		*amounts = v1alpha1.Amounts{}
	}
	(*amounts)[corev1.ResourceName(name)] = v1alpha1.Amount(amount)
}

func amountsOf(item *v1alpha1.LimitItem, bound check.Bound) *v1alpha1.Amounts {
	switch bound {
	case check.Max:
		return &item.Max
	case check.Min:
		return &item.Min
	case check.Default:
		return &item.Default
	case check.DefaultRequest:
		return &item.DefaultRequest
	default:
		return &item.MaxLimitRequestRatio
	}
}

// inForce lists the bounds of a LimitRange with the policies that ask for them.
func inForce(e render.Effective) []string {
	var out []string
	if e.LimitRange == nil {
		return nil
	}
	for _, item := range e.LimitRange.Spec.Limits {
		for rule, value := range rules(item) {
			out = append(out, fmt.Sprintf("%s=%s %s", strings.TrimPrefix(rule.String(), "limits"), value, strings.Join(e.Origin[rule], "+")))
		}
	}
	return out
}

// rules gives every bound of an item with its amount.
func rules(item corev1.LimitRangeItem) map[check.Rule]string {
	out := map[check.Rule]string{}
	for bound, list := range map[check.Bound]corev1.ResourceList{
		check.Max: item.Max, check.Min: item.Min, check.Default: item.Default,
		check.DefaultRequest: item.DefaultRequest, check.MaxLimitRequestRatio: item.MaxLimitRequestRatio,
	} {
		for name, value := range list {
			out[check.Rule{Type: item.Type, Bound: bound, Resource: name}] = value.String()
		}
	}
	return out
}

func hard(e render.Effective) []string {
	var out []string
	for _, quota := range e.Quotas {
		for name, value := range quota.Spec.Hard {
			out = append(out, fmt.Sprintf("%v %s=%s", quota.Spec.Scopes, name, value.String()))
		}
	}
	return out
}

func lost(e render.Effective) []string {
	var out []string
	for _, l := range e.Lost {
		out = append(out, fmt.Sprintf("%s: %s=%s lost to %s: %s", l.Policy, strings.TrimPrefix(l.Field, "limits"), l.Value, l.Winner, l.Winning))
	}
	return out
}
