// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// boundOrder is the order in which bounds find their place. What caps comes first: where bounds of equal
// priority contradict each other, the cap stays and the floor goes.
var boundOrder = []check.Bound{check.Max, check.Min, check.Default, check.DefaultRequest, check.MaxLimitRequestRatio}

// claim is what one policy asks for one bound.
type claim struct {
	policy string
	value  resource.Quantity
}

// limits is a LimitRange in the making.
type limits struct {
	items  map[corev1.LimitType]*corev1.LimitRangeItem
	origin map[check.Rule]claim
	lost   []Lost
}

// mergeLimits takes policies in the order of their rank. A bound is accepted if nobody of higher rank has
// set it and the API server would take it beside what is accepted already; else it is lost, and said so.
func mergeLimits(policies []Policy) *limits {
	out := &limits{items: map[corev1.LimitType]*corev1.LimitRangeItem{}, origin: map[check.Rule]claim{}}
	for len(policies) > 0 {
		peers := 1
		for peers < len(policies) && policies[peers].Priority == policies[0].Priority {
			peers++
		}
		out.addPeers(policies[:peers])
		policies = policies[peers:]
	}
	return out
}

// addPeers adds the bounds of policies of equal priority, the strictest claim on each first.
func (l *limits) addPeers(peers []Policy) {
	claims := map[check.Rule][]claim{}
	for _, policy := range peers {
		for i := range policy.Limits {
			for rule, value := range bounds(&policy.Limits[i]) {
				claims[rule] = append(claims[rule], claim{policy: policy.Name, value: value})
			}
		}
	}
	for _, rule := range slices.SortedFunc(maps.Keys(claims), compareRules) {
		all := claims[rule]
		slices.SortStableFunc(all, func(a, b claim) int { return strictness(rule.Bound, a.value, b.value) })
		for _, c := range all {
			l.add(rule, c)
		}
	}
}

func (l *limits) add(rule check.Rule, c claim) {
	if holder, taken := l.origin[rule]; taken {
		if holder.value.Cmp(c.value) != 0 {
			l.lose(rule, c, holder.policy, holder.value.String())
		}
		return
	}
	item := l.items[rule.Type]
	if item == nil {
		item = &corev1.LimitRangeItem{Type: rule.Type}
	}
	candidate := item.DeepCopy()
	setBound(candidate, rule, c.value)
	if check.Consistent(*candidate) != nil {
		winner, winning := l.opponent(rule, c)
		l.lose(rule, c, winner, winning)
		return
	}
	l.items[rule.Type] = candidate
	l.origin[rule] = c
}

// opponent finds the accepted bound that leaves no room for the claim.
func (l *limits) opponent(rule check.Rule, c claim) (policy, winning string) {
	for _, bound := range boundOrder {
		other := check.Rule{Type: rule.Type, Bound: bound, Resource: rule.Resource}
		holder, ok := l.origin[other]
		if !ok {
			continue
		}
		policy, winning = holder.policy, string(bound)+"["+string(rule.Resource)+"]="+holder.value.String()
		pair := corev1.LimitRangeItem{Type: rule.Type}
		setBound(&pair, other, holder.value)
		setBound(&pair, rule, c.value)
		if check.Consistent(pair) != nil {
			return policy, winning
		}
	}
	return policy, winning
}

func (l *limits) lose(rule check.Rule, c claim, winner, winning string) {
	l.lost = append(l.lost, Lost{Policy: c.policy, Winner: winner, Field: rule.String(), Value: c.value.String(), Winning: winning})
}

func (l *limits) list() []corev1.LimitRangeItem {
	var out []corev1.LimitRangeItem
	for _, limitType := range slices.Sorted(maps.Keys(l.items)) {
		out = append(out, *l.items[limitType])
	}
	return out
}

// origins names the policy behind every bound, those included that the API server derives: default from
// max, defaultRequest from default, then from min.
func (l *limits) origins() map[check.Rule]string {
	out := make(map[check.Rule]string, len(l.origin))
	for rule, c := range l.origin {
		out[rule] = c.policy
	}
	derive := func(to, from check.Bound) {
		for rule := range maps.Clone(out) {
			derived := check.Rule{Type: rule.Type, Bound: to, Resource: rule.Resource}
			if _, set := out[derived]; !set && rule.Bound == from && rule.Type == corev1.LimitTypeContainer {
				out[derived] = out[rule]
			}
		}
	}
	derive(check.Default, check.Max)
	derive(check.DefaultRequest, check.Default)
	derive(check.DefaultRequest, check.Min)
	return out
}

// compareRules orders storage before other resources, since a claim's item must hold it to be valid.
func compareRules(a, b check.Rule) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type),
		-compareBool(a.Resource == corev1.ResourceStorage, b.Resource == corev1.ResourceStorage),
		cmp.Compare(a.Resource, b.Resource),
		cmp.Compare(slices.Index(boundOrder, a.Bound), slices.Index(boundOrder, b.Bound)),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// strictness orders the stricter value first: the larger floor, the smaller of everything else.
func strictness(bound check.Bound, a, b resource.Quantity) int {
	if bound == check.Min {
		return b.Cmp(a)
	}
	return a.Cmp(b)
}

func bounds(item *corev1.LimitRangeItem) map[check.Rule]resource.Quantity {
	out := map[check.Rule]resource.Quantity{}
	for _, bound := range boundOrder {
		for name, value := range *list(item, bound) {
			out[check.Rule{Type: item.Type, Bound: bound, Resource: name}] = value
		}
	}
	return out
}

func setBound(item *corev1.LimitRangeItem, rule check.Rule, value resource.Quantity) {
	at := list(item, rule.Bound)
	if *at == nil {
		*at = corev1.ResourceList{}
	}
	(*at)[rule.Resource] = value
}

func list(item *corev1.LimitRangeItem, bound check.Bound) *corev1.ResourceList {
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
