// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// invalid collects the refusals that come not from the plugin but from the validation of the pod it changed:
// a filled-in limit below the request, for one. The pod is taken to be valid without the limits, as
// everything stored is, so that only filled-in values have to be looked at.
type invalid struct {
	spec     *corev1.PodSpec
	findings []Finding
}

func (v *invalid) add(rule Rule, container string, err *field.Error) {
	v.findings = append(v.findings, Finding{Rule: rule, Effect: Refused, Container: container, Message: err.Error()})
}

// appendInvalid adds the refusals of the pod's validation.
func (l *Limits) appendInvalid(findings []Finding, spec *corev1.PodSpec) []Finding {
	v := &invalid{spec: spec, findings: findings}
	path := field.NewPath("spec")
	for i := range spec.Containers {
		v.container(l.fills, &spec.Containers[i], path.Child("containers").Index(i).Child("resources"))
	}
	for i := range spec.InitContainers {
		v.container(l.fills, &spec.InitContainers[i], path.Child("initContainers").Index(i).Child("resources"))
	}
	for i := range l.fills {
		v.podLevel(&l.fills[i], path.Child("resources"))
	}
	return v.findings
}

func (v *invalid) container(fills []fill, c *corev1.Container, path *field.Path) {
	for i := range fills {
		f := &fills[i]
		limit, request := f.fillsLimit(&c.Resources), f.fillsRequest(&c.Resources)
		p := f.resolve(&c.Resources)
		if limit {
			v.quantity(f.rule(Default), c.Name, p.limit, path.Child("limits"))
		}
		if request {
			v.quantity(f.rule(DefaultRequest), c.Name, p.request, path.Child("requests"))
		}
		if limit {
			v.order(f.rule(Default), c.Name, p, path)
		} else if request {
			v.order(f.rule(DefaultRequest), c.Name, p, path)
		}
	}
	if rule, ok := loneHugePages(fills, c); ok {
		v.add(rule, c.Name, field.Forbidden(path, "HugePages require cpu or memory"))
	}
}

// quantity checks one filled-in value.
func (v *invalid) quantity(rule Rule, container string, a amount, list *field.Path) {
	path := list.Key(string(rule.Resource))
	if a.quantity.Sign() < 0 {
		v.add(rule, container, field.Invalid(path, a.quantity.String(), apivalidation.IsNegativeErrorMsg))
	}
	if a.quantity.MilliValue()%1000 != 0 && extended(rule.Resource) {
		v.add(rule, container, field.Invalid(path, a.quantity, "must be an integer"))
	}
	if hugePages(rule.Resource) && !wholePages(rule.Resource, a.quantity) {
		v.add(rule, container, field.Invalid(path, a.quantity.String(),
			fmt.Sprintf("%s is not positive integer multiple of %s", a.quantity.String(), rule.Resource)))
	}
}

// order checks a request against its limit.
func (v *invalid) order(rule Rule, container string, p pair, path *field.Path) {
	if !p.request.set {
		return
	}
	if !p.limit.set {
		if !overcommit(rule.Resource) {
			v.add(rule, container, field.Required(path.Child("limits"), "Limit must be set for non overcommitable resources"))
		}
		return
	}
	must := ""
	switch cmp := p.request.quantity.Cmp(p.limit.quantity); {
	case cmp != 0 && !overcommit(rule.Resource):
		must = "equal to"
	case cmp > 0:
		must = "less than or equal to"
	default:
		return
	}
	v.add(rule, container, field.Invalid(path.Child("requests"), p.request.quantity.String(),
		fmt.Sprintf("must be %s %s limit of %s", must, rule.Resource, p.limit.quantity.String())))
}

// podLevel checks one resource of spec.resources against the containers.
func (v *invalid) podLevel(f *fill, path *field.Path) {
	rule, ok := f.touches(v.spec)
	if !ok {
		return
	}
	total, limited := f.aggregate(v.spec)
	level := f.podLevel(v.spec, total, limited)
	v.derived(rule, level, path)
	v.order(rule, "", level, path)
	if total.request.exceeds(level.request) {
		v.add(rule, "", field.Invalid(path.Child("requests").Key(string(f.resource)), level.request.quantity.String(),
			"must be greater than or equal to aggregate container requests of "+total.request.quantity.String()))
	}
	if hugePages(f.resource) && total.limit.exceeds(level.limit) {
		v.add(f.rule(Default), "", field.Invalid(path.Child("limits").Key(string(f.resource)), level.limit.quantity.String(),
			"must be greater than or equal to aggregate container limits of "+total.limit.quantity.String()))
	}
	for i := range v.spec.Containers {
		c := &v.spec.Containers[i]
		if p := f.resolve(&c.Resources); p.limit.exceeds(level.limit) {
			path := path.Child("containers").Index(i).Key(string(f.resource)).Child("limits")
			v.add(f.rule(Default), c.Name, field.Invalid(path, p.limit.quantity.String(),
				"must be less than or equal to pod limits of "+level.limit.quantity.String()))
		}
	}
}

// derived checks the values at pod level that follow from the containers.
func (v *invalid) derived(rule Rule, level pair, path *field.Path) {
	r := v.spec.Resources
	if level.limit.set && !amountIn(r.Limits, rule.Resource).set {
		v.quantity(rule, "", level.limit, path.Child("limits"))
	}
	if level.request.set && !amountIn(r.Requests, rule.Resource).set {
		v.quantity(rule, "", level.request, path.Child("requests"))
	}
}

// touches tells whether any container gets a value from f, and blames the request's rule if one gets a
// request, since requests are what add up to a pod's own.
func (f *fill) touches(spec *corev1.PodSpec) (rule Rule, ok bool) {
	rule = f.rule(Default)
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			if f.fillsRequest(&list[i].Resources) {
				return f.rule(DefaultRequest), true
			}
			ok = ok || f.fillsLimit(&list[i].Resources)
		}
	}
	return rule, ok
}

// loneHugePages finds a rule that gives huge pages to a container with neither cpu nor memory.
func loneHugePages(fills []fill, c *corev1.Container) (rule Rule, ok bool) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if amountIn(c.Resources.Requests, name).set || amountIn(c.Resources.Limits, name).set {
			return Rule{}, false
		}
	}
	for i := range fills {
		f := &fills[i]
		switch {
		case f.resource == corev1.ResourceCPU || f.resource == corev1.ResourceMemory:
			return Rule{}, false
		case ok || !hugePages(f.resource):
		case f.fillsLimit(&c.Resources):
			rule, ok = f.rule(Default), true
		case f.fillsRequest(&c.Resources):
			rule, ok = f.rule(DefaultRequest), true
		}
	}
	return rule, ok
}

// wholePages tells whether a quantity of huge pages is a multiple of the page size in the resource's name.
func wholePages(name corev1.ResourceName, quantity resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err != nil || size.Sign() <= 0 || size.MilliValue()%1000 != 0 {
		return false
	}
	return quantity.Value()%size.Value() == 0
}
