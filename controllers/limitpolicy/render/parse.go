// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// maxAmount and amount are the CRD's own bounds. They hold for what was stored under an older CRD, too: the
// quantity parser would need hours for an exponent of nine digits.
const maxAmount = 24

var amount = regexp.MustCompile(`^[0-9]*([0-9]|[.][0-9]{1,3})([kMGTPE]|[KMGTPE]i)?$|^[0-9]+m$`)

// Parse reads the spec of a policy. The CRD refuses what cannot be parsed; an error here, which names the
// field, means that the object was stored under an older CRD.
func Parse(policy *v1alpha1.LimitPolicy) (Policy, error) {
	out := Policy{
		Name:     policy.Name,
		Priority: policy.Spec.Priority,
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(),
			Kind:       "LimitPolicy",
			Name:       policy.Name,
			UID:        policy.UID,
		},
	}
	for i := range policy.Spec.Limits {
		item, err := parseItem(&policy.Spec.Limits[i])
		if err != nil {
			return Policy{}, fmt.Errorf("spec.%w", err)
		}
		if slices.ContainsFunc(out.Limits, func(other corev1.LimitRangeItem) bool { return other.Type == item.Type }) {
			return Policy{}, fmt.Errorf("spec.limits[%s]: the type is there twice", item.Type)
		}
		out.Limits = append(out.Limits, item)
	}
	quota, err := parseQuota(policy.Spec.Quota)
	if err != nil {
		return Policy{}, fmt.Errorf("spec.quota.%w", err)
	}
	out.Quota = quota
	return out, nil
}

func parseItem(in *v1alpha1.LimitItem) (corev1.LimitRangeItem, error) {
	out := corev1.LimitRangeItem{Type: in.Type}
	for _, bound := range []struct {
		name check.Bound
		from v1alpha1.Amounts
	}{
		{check.Max, in.Max},
		{check.Min, in.Min},
		{check.Default, in.Default},
		{check.DefaultRequest, in.DefaultRequest},
		{check.MaxLimitRequestRatio, in.MaxLimitRequestRatio},
	} {
		parsed, err := parseAmounts(bound.from)
		if err != nil {
			return out, fmt.Errorf("limits[%s].%s%w", in.Type, bound.name, err)
		}
		*list(&out, bound.name) = parsed
	}
	if err := check.Consistent(out); err != nil {
		return out, inOneLine(err)
	}
	return out, nil
}

// inOneLine is for errors that were joined, one a line.
func inOneLine(err error) error {
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; spec."))
}

func parseAmounts(in map[corev1.ResourceName]v1alpha1.Amount) (corev1.ResourceList, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(corev1.ResourceList, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		text := string(in[name])
		if len(text) > maxAmount || !amount.MatchString(text) {
			return nil, fmt.Errorf("[%s]: %.*q is not an amount", name, maxAmount, text)
		}
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("[%s]: %q: %w", name, text, err)
		}
		out[name] = quantity
	}
	return out, nil
}

func parseQuota(in *v1alpha1.Quota) (*corev1.ResourceQuotaSpec, error) {
	if in == nil {
		return nil, nil
	}
	hard, err := parseAmounts(in.Hard)
	if err != nil {
		return nil, fmt.Errorf("hard%w", err)
	}
	out := &corev1.ResourceQuotaSpec{Hard: hard, Scopes: in.Scopes}
	if in.ScopeSelector != nil {
		out.ScopeSelector = &corev1.ScopeSelector{}
		for _, term := range in.ScopeSelector.MatchExpressions {
			out.ScopeSelector.MatchExpressions = append(out.ScopeSelector.MatchExpressions,
				corev1.ScopedResourceSelectorRequirement{ScopeName: term.ScopeName, Operator: term.Operator, Values: term.Values})
		}
	}
	return out, nil
}
