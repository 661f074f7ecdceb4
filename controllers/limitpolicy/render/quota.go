// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// scopeSet is what makes two quotas one: the scopes and the selector, in a canonical order.
type scopeSet struct {
	Scopes   []corev1.ResourceQuotaScope                `json:"scopes,omitempty"`
	Selector []corev1.ScopedResourceSelectorRequirement `json:"selector,omitempty"`
}

func scopesOf(spec *corev1.ResourceQuotaSpec) scopeSet {
	out := scopeSet{Scopes: slices.Sorted(slices.Values(spec.Scopes))}
	if spec.ScopeSelector == nil {
		return out
	}
	for _, term := range spec.ScopeSelector.MatchExpressions {
		term.Values = slices.Sorted(slices.Values(term.Values))
		out.Selector = append(out.Selector, term)
	}
	slices.SortFunc(out.Selector, func(a, b corev1.ScopedResourceSelectorRequirement) int {
		return cmp.Or(cmp.Compare(a.ScopeName, b.ScopeName), cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
	})
	return out
}

// name is Name for a quota without scopes; one with scopes adds a hash of them.
func (s scopeSet) name() string {
	if len(s.Scopes) == 0 && len(s.Selector) == 0 {
		return Name
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("scopes are plain strings, yet: %v", err))
	}
	sum := sha256.Sum256(text)
	return Name + "-" + hex.EncodeToString(sum[:4])
}

func (s scopeSet) spec() corev1.ResourceQuotaSpec {
	out := corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{}, Scopes: s.Scopes}
	if len(s.Selector) > 0 {
		out.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: s.Selector}
	}
	return out
}

// QuotaName is the name of the ResourceQuota that the policy has a part in; empty where it sets none.
func (p *Policy) QuotaName() string {
	if p.Quota == nil {
		return ""
	}
	return scopesOf(p.Quota).name()
}

// mergeQuotas merges per distinct scope set. Quantities of a quota do not depend on each other, so the
// first in rank wins each; of equal priority the smaller.
func mergeQuotas(namespace string, policies []Policy) ([]*corev1.ResourceQuota, []Lost) {
	sharing := map[string][]Policy{}
	for _, policy := range policies {
		if name := policy.QuotaName(); name != "" {
			sharing[name] = append(sharing[name], policy)
		}
	}
	var quotas []*corev1.ResourceQuota
	var lost []Lost
	for _, name := range slices.Sorted(maps.Keys(sharing)) {
		spec := scopesOf(sharing[name][0].Quota).spec()
		lost = append(lost, mergeHard(sharing[name], spec.Hard)...)
		quotas = append(quotas, &corev1.ResourceQuota{ObjectMeta: meta(namespace, name, sharing[name]), Spec: spec})
	}
	return quotas, lost
}

// mergeHard fills hard from policies of one scope set, in the order of their rank.
func mergeHard(policies []Policy, hard corev1.ResourceList) []Lost {
	winners := map[corev1.ResourceName]Policy{}
	for _, policy := range policies {
		for name, value := range policy.Quota.Hard {
			holder, taken := winners[name]
			if held := hard[name]; !taken || holder.Priority == policy.Priority && value.Cmp(held) < 0 {
				hard[name] = value
				winners[name] = policy
			}
		}
	}
	var lost []Lost
	for _, policy := range policies {
		for name, value := range policy.Quota.Hard {
			if held := hard[name]; held.Cmp(value) != 0 {
				lost = append(lost, Lost{
					Policy: policy.Name, Winner: winners[name].Name,
					Field: "quota.hard[" + string(name) + "]", Value: value.String(), Winning: held.String(),
				})
			}
		}
	}
	return lost
}
