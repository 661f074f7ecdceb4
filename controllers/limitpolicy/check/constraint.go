// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// constraint is one min, max or ratio of a LimitRange.
type constraint struct {
	rule Rule
	fill fill
	// value and milli are the bound in units and in thousandths, both rounded up.
	// milli has no meaning for a value above resource.MaxMilliValue.
	value, milli int64
	text         string
}

// append adds a finding if the pair breaks the constraint.
func (c *constraint) append(findings []Finding, p *pair, container string) []Finding {
	message := c.violation(p)
	if message == "" {
		return findings
	}
	return append(findings, Finding{Rule: c.rule, Effect: Refused, Container: container, Message: message})
}

// violation is the plugin's message if the pair breaks the constraint, else empty.
func (c *constraint) violation(p *pair) string {
	switch c.rule.Bound {
	case Min:
		return c.belowMin(p)
	case Max:
		return c.aboveMax(p)
	default:
		return c.aboveRatio(p)
	}
}

func (c *constraint) belowMin(p *pair) string {
	request, limit, enforced := c.observed(p)
	switch {
	case !p.request.set:
		return fmt.Sprintf("minimum %s usage per %s is %s.  No request is specified", c.rule.Resource, c.rule.Type, c.text)
	case request < enforced:
		return c.usage("minimum", "request", &p.request)
	case p.limit.set && limit < enforced:
		return c.usage("minimum", "limit", &p.limit)
	}
	return ""
}

func (c *constraint) aboveMax(p *pair) string {
	request, limit, enforced := c.observed(p)
	switch {
	case !p.limit.set:
		return fmt.Sprintf("maximum %s usage per %s is %s.  No limit is specified", c.rule.Resource, c.rule.Type, c.text)
	case limit > enforced:
		return c.usage("maximum", "limit", &p.limit)
	case p.request.set && request > enforced:
		return c.usage("maximum", "request", &p.request)
	}
	return ""
}

// claimViolation is violation for a claim, of which only the request counts.
func (c *constraint) claimViolation(p *pair) string {
	if c.rule.Bound == Min {
		return c.belowMin(p)
	}
	request, _, enforced := c.observed(p)
	switch {
	case !p.request.set:
		return fmt.Sprintf("maximum %s usage per %s is %s.  No request is specified", c.rule.Resource, c.rule.Type, c.text)
	case request > enforced:
		return c.usage("maximum", "request", &p.request)
	}
	return ""
}

func (c *constraint) aboveRatio(p *pair) string {
	request, limit, _ := c.observed(p)
	if !p.request.set || request == 0 {
		return c.noRatio("request")
	}
	if !p.limit.set || limit == 0 {
		return c.noRatio("limit")
	}
	shown := float64(limit) / float64(request)
	ratio, most := shown, float64(c.value)
	if c.value <= resource.MaxMilliValue {
		ratio, most = shown*1000, float64(c.milli)
	}
	if ratio > most {
		return fmt.Sprintf("%s max limit to request ratio per %s is %s, but provided ratio is %f",
			c.rule.Resource, c.rule.Type, c.text, shown)
	}
	return ""
}

func (c *constraint) usage(bound, what string, a *amount) string {
	return fmt.Sprintf("%s %s usage per %s is %s, but %s is %s",
		bound, c.rule.Resource, c.rule.Type, c.text, what, a.quantity.String())
}

func (c *constraint) noRatio(what string) string {
	return fmt.Sprintf("%s max limit to request ratio per %s is %s, but no %s is specified or %s is 0",
		c.rule.Resource, c.rule.Type, c.text, what, what)
}

// observed gives the pair and the bound on one scale: thousandths if all three fit, else whole units.
// One large value therefore coarsens the comparison of the others, in the plugin as well.
func (c *constraint) observed(p *pair) (request, limit, enforced int64) {
	request, limit, enforced = p.request.quantity.Value(), p.limit.quantity.Value(), c.value
	if request <= resource.MaxMilliValue && limit <= resource.MaxMilliValue && enforced <= resource.MaxMilliValue {
		return p.request.quantity.MilliValue(), p.limit.quantity.MilliValue(), c.milli
	}
	return request, limit, enforced
}
