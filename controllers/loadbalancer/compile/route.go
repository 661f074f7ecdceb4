// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

func (c *compiler) routes() {
	for i := range c.spec.Routes {
		if out, ok := c.route(&c.spec.Routes[i]); ok {
			c.config.Routes = append(c.config.Routes, out)
		}
	}
}

func (c *compiler) route(r *v1alpha1.Route) (model.Route, bool) {
	field := part("routes", r.Name)
	out := model.Route{Name: string(r.Name), Hostnames: texts(r.Hostnames), Matches: matches(r.Matches)}
	out.Listeners = c.routeListeners(field, r)
	if len(out.Listeners) == 0 {
		return out, false
	}
	closed := false
	var ok bool
	if out.AllowCIDRs, ok = c.cidrs(field+".allowCIDRs", r.AllowCIDRs, routeClosed); !ok {
		closed = true
	}
	if out.DenyCIDRs, ok = c.cidrs(field+".denyCIDRs", r.DenyCIDRs, routeClosed); !ok {
		closed = true
	}
	if r.BasicAuth != nil {
		users, ok := c.secret(field+".basicAuth.users", r.BasicAuth.Users, routeClosed)
		if ok {
			out.BasicAuth = &model.BasicAuth{Realm: cmp.Or(r.BasicAuth.Realm, "restricted"), Users: users}
		} else {
			closed = true
		}
	}
	c.extras(field, r, &out)
	out.Action = c.action(field+".action", r, &out)
	if closed {
		c.close(&out)
	}
	return out, true
}

const routeClosed = "the route answers 503, since without it everybody could come in"

// close makes a route answer 503, or close streams. It keeps its matches, so that nothing else takes what it would.
func (c *compiler) close(r *model.Route) {
	*r = model.Route{Name: r.Name, Listeners: r.Listeners, Hostnames: r.Hostnames, Matches: r.Matches, Action: c.unavailable(r.Listeners)}
}

// unavailable is the action of a route that cannot be carried out.
func (c *compiler) unavailable(listeners []string) model.Action {
	if !c.streams(listeners) {
		return model.Action{Respond: &model.Respond{Status: 503}}
	}
	if !c.hasPool(nobody) {
		c.config.Pools = append(c.config.Pools, emptyPool(nobody))
	}
	return model.Action{Pools: []model.WeightedPool{{Pool: nobody, Weight: 1}}}
}

// nobody is a pool without members. No pool of a spec has a name as long.
const nobody = "nobody-serves-this-because-a-part-of-its-route-is-not-in-force"

// streams reports whether one of the listeners takes streams.
func (c *compiler) streams(names []string) bool {
	return slices.ContainsFunc(c.config.Listeners, func(l model.Listener) bool {
		return slices.Contains(names, l.Name) && (l.Protocol == model.TCP || l.Protocol == model.TLS)
	})
}

// extras are what is done to a request before and after the action.
func (c *compiler) extras(field string, r *v1alpha1.Route, out *model.Route) {
	if r.RateLimit != nil {
		out.RateLimit = &model.RateLimit{
			Key: model.RateKey(cmp.Or(r.RateLimit.Key, v1alpha1.RateBySource)), Header: string(r.RateLimit.Header), Requests: r.RateLimit.Requests,
			Per: c.duration(field+".rateLimit.per", r.RateLimit.Per, time.Second, periodBounds),
		}
	}
	if r.CORS != nil {
		out.CORS = &model.CORS{
			AllowOrigins: slices.Clone(r.CORS.AllowOrigins), AllowMethods: slices.Clone(r.CORS.AllowMethods),
			AllowHeaders: texts(r.CORS.AllowHeaders), ExposeHeaders: texts(r.CORS.ExposeHeaders),
			AllowCredentials: r.CORS.AllowCredentials, MaxAge: c.duration(field+".cors.maxAge", r.CORS.MaxAge, 0, periodBounds),
		}
	}
	out.RequestHeaders, out.ResponseHeaders = headerChanges(r.RequestHeaders), headerChanges(r.ResponseHeaders)
	if r.Rewrite != nil {
		out.Rewrite = &model.Rewrite{Host: string(r.Rewrite.Host), Path: string(r.Rewrite.Path), PathPrefix: pathPrefix(r.Rewrite.PathPrefix)}
	}
	if r.Retries != nil {
		out.Retries = &model.Retries{Attempts: r.Retries.Attempts}
		for _, on := range r.Retries.RetryOn {
			out.Retries.On = append(out.Retries.On, model.RetryOn(on))
		}
		if len(out.Retries.On) == 0 {
			out.Retries.On = []model.RetryOn{model.RetryConnectFailure}
		}
	}
	if r.Timeouts != nil {
		out.Timeouts = model.RouteTimeouts{
			Response: c.duration(field+".timeouts.response", r.Timeouts.Response, 0, timeoutBounds),
			Tunnel:   c.duration(field+".timeouts.tunnel", r.Timeouts.Tunnel, 0, timeoutBounds),
		}
	}
}

func headerChanges(h *v1alpha1.HeaderChanges) model.HeaderChanges {
	if h == nil {
		return model.HeaderChanges{}
	}
	return model.HeaderChanges{Set: headers(h.Set), Add: headers(h.Add), Remove: texts(h.Remove)}
}

func matches(list []v1alpha1.Match) []model.Match {
	var out []model.Match
	for i := range list {
		m := model.Match{Methods: slices.Clone(list[i].Methods)}
		if path := list[i].Path; path != nil {
			m.Path = &model.PathMatch{Type: model.PathType(cmp.Or(path.Type, v1alpha1.PathPrefix)), Value: path.Value}
		}
		for _, h := range list[i].Headers {
			m.Headers = append(m.Headers, valueMatch(string(h.Name), h.Type, h.Value))
		}
		for _, q := range list[i].Query {
			m.Query = append(m.Query, valueMatch(q.Name, q.Type, q.Value))
		}
		out = append(out, m)
	}
	return out
}

func valueMatch(name string, kind v1alpha1.ValueMatchType, value *string) model.ValueMatch {
	out := model.ValueMatch{Name: name, Type: model.ValueType(cmp.Or(kind, v1alpha1.ValueExact))}
	if value != nil {
		out.Value = *value
	}
	return out
}
