// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Limits is a LimitRange prepared for many checks. It does not change and is safe for concurrent use;
// a nil Limits finds nothing.
type Limits struct {
	fills     []fill
	container []constraint
	pod       []constraint
	claim     []constraint
}

// Compile prepares the items of one LimitRange as the API server stores them, with its defaults
// (see [Defaulted]). Items of a type other than Container, Pod and PersistentVolumeClaim have no effect.
func Compile(items []corev1.LimitRangeItem) *Limits {
	fills := compileFills(items)
	l := &Limits{}
	for i := range items {
		switch item := &items[i]; item.Type {
		case corev1.LimitTypeContainer:
			l.container = append(l.container, constraints(item, fills, Min, Max, MaxLimitRequestRatio)...)
		case corev1.LimitTypePod:
			l.pod = append(l.pod, constraints(item, fills, Min, Max, MaxLimitRequestRatio)...)
		case corev1.LimitTypePersistentVolumeClaim:
			// The plugin does not look at a claim's limits, so it holds no ratio against it.
			l.claim = append(l.claim, constraints(item, nil, Min, Max)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fills)) {
		l.fills = append(l.fills, fills[name])
	}
	return l
}

// compileFills gathers what a container gets that sets nothing. A later item wins, as in the plugin.
func compileFills(items []corev1.LimitRangeItem) map[corev1.ResourceName]fill {
	fills := map[corev1.ResourceName]fill{}
	for i := range items {
		if items[i].Type != corev1.LimitTypeContainer {
			continue
		}
		for name, quantity := range items[i].Default {
			f := fills[name]
			f.resource, f.limit = name, amountOf(quantity)
			fills[name] = f
		}
		for name, quantity := range items[i].DefaultRequest {
			f := fills[name]
			f.resource, f.request = name, amountOf(quantity)
			fills[name] = f
		}
	}
	return fills
}

// constraints compiles the given bounds of an item, sorted by resource: findings have one order, and what an
// object asks of a resource is worked out once for all bounds on it.
func constraints(item *corev1.LimitRangeItem, fills map[corev1.ResourceName]fill, bounds ...Bound) []constraint {
	var out []constraint
	for _, name := range boundedResources(item, bounds) {
		for _, bound := range bounds {
			a := amountIn(quantities(item, bound), name)
			if !a.set {
				continue
			}
			f := fills[name]
			f.resource = name
			out = append(out, constraint{
				rule:  Rule{Type: item.Type, Bound: bound, Resource: name},
				fill:  f,
				value: a.quantity.Value(),
				milli: a.quantity.MilliValue(),
				text:  a.quantity.String(),
			})
		}
	}
	return out
}

// boundedResources are the resources that the item holds under any of the bounds, sorted.
func boundedResources(item *corev1.LimitRangeItem, bounds []Bound) []corev1.ResourceName {
	names := map[corev1.ResourceName]struct{}{}
	for _, bound := range bounds {
		for name := range quantities(item, bound) {
			names[name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// quantities is the field of the item that the bound names.
func quantities(item *corev1.LimitRangeItem, bound Bound) corev1.ResourceList {
	switch bound {
	case Max:
		return item.Max
	case Min:
		return item.Min
	case Default:
		return item.Default
	case DefaultRequest:
		return item.DefaultRequest
	default:
		return item.MaxLimitRequestRatio
	}
}

// Defaulted is a copy of the items with the defaults that the API server gives a LimitRange, Container items
// only: default from max, then defaultRequest from default, then from min; and every quantity rounded up to milli.
func Defaulted(items []corev1.LimitRangeItem) []corev1.LimitRangeItem {
	out := make([]corev1.LimitRangeItem, len(items))
	for i := range items {
		out[i] = defaulted(&items[i])
	}
	return out
}

func defaulted(item *corev1.LimitRangeItem) corev1.LimitRangeItem {
	out := corev1.LimitRangeItem{
		Type:                 item.Type,
		Max:                  rounded(item.Max),
		Min:                  rounded(item.Min),
		Default:              rounded(item.Default),
		DefaultRequest:       rounded(item.DefaultRequest),
		MaxLimitRequestRatio: rounded(item.MaxLimitRequestRatio),
	}
	if out.Type == corev1.LimitTypeContainer {
		out.Default = withMissing(out.Default, out.Max)
		out.DefaultRequest = withMissing(out.DefaultRequest, out.Default)
		out.DefaultRequest = withMissing(out.DefaultRequest, out.Min)
	}
	return out
}

// rounded copies a list at the API server's precision; a nil list stays nil.
func rounded(list corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		return nil
	}
	out := make(corev1.ResourceList, len(list))
	for name, quantity := range list {
		out[name] = amountOf(quantity).quantity
	}
	return out
}

// withMissing adds to list what only the other list holds.
func withMissing(list, other corev1.ResourceList) corev1.ResourceList {
	for name, quantity := range other {
		if _, ok := list[name]; ok {
			continue
		}
		if list == nil {
			list = corev1.ResourceList{}
		}
		list[name] = quantity.DeepCopy()
	}
	return list
}

// amountOf takes a quantity at the API server's precision, milli. Rounding works on a copy, also where
// the quantity is an arbitrary-precision decimal behind a pointer.
func amountOf(quantity resource.Quantity) amount {
	quantity.RoundUp(resource.Milli)
	return amount{quantity: quantity, set: true}
}
