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

// claim is one bound that a policy asks for.
type claim struct {
	rule     check.Rule
	value    resource.Quantity
	policy   string
	priority int32
}

// holding is a bound in force, with the policies that ask for this very value, the first in rank first.
type holding struct {
	value    resource.Quantity
	policies []string
}

// limits is a LimitRange in the making.
type limits struct {
	items map[corev1.LimitType]corev1.LimitRangeItem
	held  map[check.Rule]*holding
	lost  []Lost
}

// mergeLimits accepts the claims of all policies in the order of their rank. A claim is accepted if no claim
// to the same bound is, and the API server would take it beside what is accepted already. It is lost only if
// that still holds in the end: what is accepted after it may make room, as a default does for a max that
// must equal defaultRequest where none is set.
func mergeLimits(policies []Policy) *limits {
	out := &limits{items: map[corev1.LimitType]corev1.LimitRangeItem{}, held: map[check.Rule]*holding{}}
	pending := ranked(policies)
	for before := -1; len(pending) != before; {
		before = len(pending)
		pending = slices.DeleteFunc(pending, out.accept)
	}
	for _, c := range pending {
		out.lose(c)
	}
	return out
}

// ranked lists all claims: higher priority first, and of equal priority bound by bound, the stricter first.
func ranked(policies []Policy) []claim {
	var out []claim
	for _, policy := range policies {
		for i := range policy.Limits {
			item := &policy.Limits[i]
			for _, bound := range boundOrder {
				for name, value := range *list(item, bound) {
					rule := check.Rule{Type: item.Type, Bound: bound, Resource: name}
					out = append(out, claim{rule: rule, value: value, policy: policy.Name, priority: policy.Priority})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b claim) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), compareRules(a.rule, b.rule),
			strictness(a.rule.Bound, a.value, b.value), cmp.Compare(a.policy, b.policy))
	})
	return out
}

// accept reports whether what the claim asks for is in force.
func (l *limits) accept(c claim) bool {
	if holder := l.held[c.rule]; holder != nil {
		if holder.value.Cmp(c.value) != 0 {
			return false
		}
		holder.policies = append(holder.policies, c.policy)
		return true
	}
	item := l.with(c)
	if check.Consistent(item) != nil {
		return false
	}
	l.items[c.rule.Type] = item
	l.held[c.rule] = &holding{value: c.value, policies: []string{c.policy}}
	return true
}

// with is the claim's item with the claim in it.
func (l *limits) with(c claim) corev1.LimitRangeItem {
	held := l.items[c.rule.Type]
	item := *held.DeepCopy()
	item.Type = c.rule.Type
	at := list(&item, c.rule.Bound)
	if *at == nil {
		*at = corev1.ResourceList{}
	}
	(*at)[c.rule.Resource] = c.value
	return item
}

// lose says to whom the claim is lost.
func (l *limits) lose(c claim) {
	winner, winning := l.held[c.rule], ""
	if winner != nil {
		winning = winner.value.String()
	} else {
		bound := l.opponent(c)
		winner = l.held[bound]
		winning = string(bound.Bound) + "[" + string(bound.Resource) + "]=" + winner.value.String()
	}
	l.lost = append(l.lost, Lost{
		Policy: c.policy, Winner: winner.policies[0], Field: c.rule.String(), Value: c.value.String(), Winning: winning,
	})
}

// opponent finds a bound in force that leaves no room for the claim: it leaves out, one by one, all those
// that the contradiction does not need, and names one of the rest.
func (l *limits) opponent(c claim) check.Rule {
	item := l.with(c)
	var last, needed check.Rule
	for _, bound := range slices.Backward(boundOrder) {
		rule := check.Rule{Type: c.rule.Type, Bound: bound, Resource: c.rule.Resource}
		holder := l.held[rule]
		if holder == nil {
			continue
		}
		last = rule
		delete(*list(&item, bound), rule.Resource)
		if check.Consistent(item) == nil {
			(*list(&item, bound))[rule.Resource] = holder.value
			needed = rule
		}
	}
	// A claim's item is not valid without storage, so that its last bound never seems to be needed.
	return cmp.Or(needed, last)
}

func (l *limits) list() []corev1.LimitRangeItem {
	var out []corev1.LimitRangeItem
	for _, limitType := range slices.Sorted(maps.Keys(l.items)) {
		out = append(out, l.items[limitType])
	}
	return out
}

// origins names the policies behind every bound, those included that the API server derives: default from
// max, defaultRequest from default, then from min.
func (l *limits) origins() map[check.Rule][]string {
	out := make(map[check.Rule][]string, len(l.held))
	for rule, holder := range l.held {
		out[rule] = holder.policies
	}
	derive := func(to, from check.Bound) {
		for rule, policies := range maps.Clone(out) {
			derived := check.Rule{Type: rule.Type, Bound: to, Resource: rule.Resource}
			if _, set := out[derived]; !set && rule.Bound == from && rule.Type == corev1.LimitTypeContainer {
				out[derived] = policies
			}
		}
	}
	derive(check.Default, check.Max)
	derive(check.DefaultRequest, check.Default)
	derive(check.DefaultRequest, check.Min)
	return out
}

func compareRules(a, b check.Rule) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type),
		cmp.Compare(a.Resource, b.Resource),
		cmp.Compare(slices.Index(boundOrder, a.Bound), slices.Index(boundOrder, b.Bound)),
	)
}

// strictness orders the stricter value first: the larger floor, the smaller of everything else.
func strictness(bound check.Bound, a, b resource.Quantity) int {
	if bound == check.Min {
		return b.Cmp(a)
	}
	return a.Cmp(b)
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
