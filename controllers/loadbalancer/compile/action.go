// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

const (
	maintenanceType = "text/html; charset=utf-8"
	maintenanceBody = "<!doctype html><title>Maintenance</title><p>This service is under maintenance. Please come back later.</p>\n"
)

func (c *compiler) action(field string, r *v1alpha1.Route, out *model.Route) model.Action {
	a := &r.Action
	switch {
	case a.Pool != "":
		return c.toPools(field, []v1alpha1.WeightedPool{{Pool: a.Pool}}, out.Listeners, func(int) string { return field + ".pool" })
	case len(a.Pools) > 0:
		return c.toPools(field, a.Pools, out.Listeners, func(i int) string { return fmt.Sprintf("%s.pools[%s].pool", field, a.Pools[i].Pool) })
	case a.Redirect != nil:
		return model.Action{Redirect: redirect(a.Redirect)}
	case a.Respond != nil:
		return model.Action{Respond: c.respond(field+".respond", a.Respond)}
	case a.Maintenance != nil:
		return model.Action{Respond: c.maintenance(field+".maintenance", a.Maintenance)}
	default:
		c.problem(field, v1alpha1.ProblemInvalid, "an action has exactly one of pool, pools, redirect, respond and maintenance; the route answers 503")
		return c.unavailable(out.Listeners)
	}
}

// toPools leaves out pools that do not exist; without one that does, the route answers 503.
func (c *compiler) toPools(field string, pools []v1alpha1.WeightedPool, listeners []string, at func(int) string) model.Action {
	var out model.Action
	for i, p := range pools {
		if !c.inSpec(p.Pool) {
			effect := "the other pools share its part"
			if len(pools) == 1 {
				effect = "the route answers 503"
			}
			c.problem(at(i), v1alpha1.ProblemNotFound, "there is no pool %s; %s", p.Pool, effect)
			continue
		}
		out.Pools = append(out.Pools, model.WeightedPool{Pool: string(p.Pool), Weight: ptr.Deref(p.Weight, 1)})
	}
	if len(out.Pools) > 0 {
		return out
	}
	if len(pools) > 1 {
		c.problem(field+".pools", v1alpha1.ProblemNotFound, "none of the pools exists; the route answers 503")
	}
	return c.unavailable(listeners)
}

func (c *compiler) inSpec(name v1alpha1.Name) bool {
	for i := range c.spec.Pools {
		if c.spec.Pools[i].Name == name {
			return true
		}
	}
	return false
}

func (c *compiler) respond(field string, r *v1alpha1.Respond) *model.Respond {
	out := &model.Respond{Status: cmp.Or(r.Status, 200), ContentType: string(r.ContentType), Body: c.body(field, r.Body), Headers: headers(r.Headers)}
	if out.Body != "" && out.ContentType == "" {
		out.ContentType = "text/plain"
	}
	return out
}

func (c *compiler) maintenance(field string, m *v1alpha1.Maintenance) *model.Respond {
	out := &model.Respond{Status: 503, ContentType: cmp.Or(string(m.ContentType), maintenanceType), Body: c.body(field, m.Body)}
	if out.Body == "" {
		out.ContentType, out.Body = maintenanceType, maintenanceBody
	}
	if after := c.duration(field+".retryAfter", m.RetryAfter, 0, timeoutBounds); after > 0 {
		// The header has whole seconds; too late is better than too early.
		seconds := (after.Std() + time.Second - 1) / time.Second
		out.Headers = []model.Header{{Name: "Retry-After", Value: strconv.Itoa(int(seconds))}}
	}
	return out
}

// body leaves out one that is longer than an answer may be.
func (c *compiler) body(field, body string) string {
	if len(body) > model.MaxBody {
		c.problem(field+".body", v1alpha1.ProblemTooLarge, "it has %d bytes, and an answer has room for %d; it is left out", len(body), model.MaxBody)
		return ""
	}
	return body
}
