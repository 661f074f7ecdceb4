// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Consistent is nil exactly if the API server accepts a LimitRange that holds this one item, after the defaults
// that it gives it itself. Else it joins one error for each thing wrong, which names the rule and both values.
// What it cannot see is that a LimitRange may hold each type only once.
func Consistent(item corev1.LimitRangeItem) error {
	item = defaulted(&item)
	if problem := limitTypeProblem(item.Type); problem != "" {
		return fmt.Errorf("type %q: %s", item.Type, problem)
	}
	errs := shapeErrors(&item)
	for _, name := range boundedResources(&item, usedBounds(item.Type)) {
		b := bounds{item: &item, resource: name}
		errs = append(errs, b.errors()...)
	}
	return errors.Join(errs...)
}

// shapeErrors are those of the item as a whole.
func shapeErrors(item *corev1.LimitRangeItem) []error {
	var errs []error
	switch item.Type {
	case corev1.LimitTypePod:
		if len(item.Default) > 0 {
			errs = append(errs, errors.New("limits[Pod].default: may not be set for type Pod"))
		}
		if len(item.DefaultRequest) > 0 {
			errs = append(errs, errors.New("limits[Pod].defaultRequest: may not be set for type Pod"))
		}
	case corev1.LimitTypePersistentVolumeClaim:
		if !amountIn(item.Min, corev1.ResourceStorage).set && !amountIn(item.Max, corev1.ResourceStorage).set {
			errs = append(errs, errors.New("limits[PersistentVolumeClaim]: min or max must hold storage"))
		}
	}
	return errs
}

// usedBounds are the bounds that count for the type.
func usedBounds(limitType corev1.LimitType) []Bound {
	if limitType == corev1.LimitTypePod {
		return []Bound{Max, Min, MaxLimitRequestRatio}
	}
	return []Bound{Max, Min, Default, DefaultRequest, MaxLimitRequestRatio}
}

// bounds is what one item says about one resource.
type bounds struct {
	item     *corev1.LimitRangeItem
	resource corev1.ResourceName
}

func (b bounds) errors() []error {
	if problem := resourceNameProblem(b.item.Type, b.resource); problem != "" {
		return []error{fmt.Errorf("limits[%s], resource %q: %s", b.item.Type, b.resource, problem)}
	}
	var errs []error
	for _, order := range [][2]Bound{
		{Min, Max}, {Min, DefaultRequest}, {DefaultRequest, Max}, {DefaultRequest, Default}, {Min, Default}, {Default, Max},
	} {
		errs = append(errs, b.ordered(order[0], order[1]))
	}
	return slices.DeleteFunc(append(errs, b.ratio(), b.equal()), func(err error) bool { return err == nil })
}

// get is the item's value for a bound; one that does not count for the type is absent.
func (b bounds) get(bound Bound) amount {
	if !slices.Contains(usedBounds(b.item.Type), bound) {
		return amount{}
	}
	return amountIn(quantities(b.item, bound), b.resource)
}

func (b bounds) rule(bound Bound) Rule {
	return Rule{Type: b.item.Type, Bound: bound, Resource: b.resource}
}

func (b bounds) ordered(low, high Bound) error {
	l, h := b.get(low), b.get(high)
	if !l.exceeds(h) {
		return nil
	}
	return fmt.Errorf("%s: %s is greater than %s %s", b.rule(low), l.quantity.String(), high, h.quantity.String())
}

// ratio checks that the ratio is at least 1 and not more than max to min allow in any case.
func (b bounds) ratio() error {
	ratio, low, high := b.get(MaxLimitRequestRatio), b.get(Min), b.get(Max)
	if !ratio.set {
		return nil
	}
	if ratio.quantity.CmpInt64(1) < 0 {
		return fmt.Errorf("%s: %s is less than 1", b.rule(MaxLimitRequestRatio), ratio.quantity.String())
	}
	if !low.set || !high.set {
		return nil
	}
	// Cmp turns its receiver into an arbitrary-precision decimal if the other is one, and those round a negative
	// fraction towards zero. The API server divides by what its comparisons made of min.
	for _, bound := range []Bound{Max, DefaultRequest, Default} {
		if other := b.get(bound); other.set {
			low.quantity.Cmp(other.quantity)
		}
	}
	most := float64(high.quantity.Value()) / float64(low.quantity.Value())
	value := float64(ratio.quantity.Value())
	if fine(ratio) && fine(low) && fine(high) {
		most = float64(high.quantity.MilliValue()) / float64(low.quantity.MilliValue())
		value = float64(ratio.quantity.MilliValue()) / 1000
	}
	if value > most {
		return fmt.Errorf("%s: %s is greater than max %s divided by min %s, %f", b.rule(MaxLimitRequestRatio),
			ratio.quantity.String(), high.quantity.String(), low.quantity.String(), most)
	}
	return nil
}

// fine tells whether the amount can be compared in thousandths.
func fine(a amount) bool { return a.quantity.Value() < resource.MaxMilliValue }

// equal checks that default and defaultRequest agree for what cannot be overcommitted.
func (b bounds) equal() error {
	limit, request := b.get(Default), b.get(DefaultRequest)
	if overcommit(b.resource) || !limit.set || !request.set || limit.quantity.Cmp(request.quantity) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s must equal default %s, since %s cannot be overcommitted",
		b.rule(DefaultRequest), request.quantity.String(), limit.quantity.String(), b.resource)
}
