// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

const notThere = "the route is not in force there"

// routeListeners are the listeners of the model that a route belongs to.
func (c *compiler) routeListeners(field string, r *v1alpha1.Route) []string {
	if len(r.Listeners) == 0 {
		return c.fitting(field, r)
	}
	var out []string
	for i, name := range r.Listeners {
		at := fmt.Sprintf("%s.listeners[%d]", field, i)
		l := c.specListener(name)
		switch {
		case l == nil:
			c.problem(at, v1alpha1.ProblemNotFound, "there is no listener %s; %s", name, notThere)
		case l.Redirect != nil:
			c.problem(at, v1alpha1.ProblemUnsupported, "listener %s redirects every request, so no route gets one; %s", name, notThere)
		case unfit(r, l) != "":
			c.problem(at, v1alpha1.ProblemUnsupported, "%s; %s", unfit(r, l), notThere)
		case !overlap(r.Hostnames, l.Hostnames):
			c.problem(at, v1alpha1.ProblemUnsupported, "listener %s takes none of the route's hostnames; %s", name, notThere)
		case c.listens(name) && !slices.Contains(out, string(name)):
			// One that is left out has a problem of its own.
			out = append(out, string(name))
		}
	}
	return out
}

// fitting are the listeners of a route that names none: those of requests. One that is meant for requests must not take
// a stream by surprise.
func (c *compiler) fitting(field string, r *v1alpha1.Route) []string {
	var out []string
	why := ": it names none, and none takes requests"
	for i := range c.spec.Listeners {
		l := &c.spec.Listeners[i]
		switch {
		case l.Redirect != nil || streams(l.Protocol):
		case unfit(r, l) != "":
			why = ": " + unfit(r, l)
		case !overlap(r.Hostnames, l.Hostnames):
			why = fmt.Sprintf(": listener %s takes none of the route's hostnames", l.Name)
		case c.listens(l.Name):
			out = append(out, string(l.Name))
		default:
			why = "-"
		}
	}
	if len(out) == 0 && why != "-" {
		c.problem(field+".listeners", v1alpha1.ProblemNotFound, "no listener fits the route%s; it is not in force", why)
	}
	return out
}

func streams(p v1alpha1.Protocol) bool { return p == v1alpha1.ProtocolTCP || p == v1alpha1.ProtocolTLS }

// unfit says why a listener cannot carry out a route; empty where it can.
func unfit(r *v1alpha1.Route, l *v1alpha1.Listener) string {
	switch {
	case l.Protocol == v1alpha1.ProtocolTCP && len(r.Hostnames) > 0:
		return fmt.Sprintf("listener %s takes TCP, where a connection has no hostname", l.Name)
	case streams(l.Protocol) && forRequests(r):
		return fmt.Sprintf("listener %s takes %s, where a route has nothing but hostnames, allowCIDRs, denyCIDRs and pools", l.Name, l.Protocol)
	default:
		return ""
	}
}

// forRequests reports whether a route has what only requests have.
func forRequests(r *v1alpha1.Route) bool {
	return len(r.Matches) > 0 || r.RateLimit != nil || r.CORS != nil || r.BasicAuth != nil || r.RequestHeaders != nil || r.ResponseHeaders != nil ||
		r.Rewrite != nil || r.Retries != nil || r.Timeouts != nil || r.Action.Redirect != nil || r.Action.Respond != nil || r.Action.Maintenance != nil
}

func overlap(a, b []v1alpha1.Hostname) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(x v1alpha1.Hostname) bool {
		return slices.ContainsFunc(b, func(y v1alpha1.Hostname) bool {
			return model.Covers(string(x), string(y)) || model.Covers(string(y), string(x))
		})
	})
}

func (c *compiler) specListener(name v1alpha1.Name) *v1alpha1.Listener {
	for i := range c.spec.Listeners {
		if c.spec.Listeners[i].Name == name {
			return &c.spec.Listeners[i]
		}
	}
	return nil
}

// listens reports whether a listener made it into the model.
func (c *compiler) listens(name v1alpha1.Name) bool {
	return slices.ContainsFunc(c.config.Listeners, func(l model.Listener) bool { return l.Name == string(name) })
}
