// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

// clean takes out of the model what it may not hold. The custom resource's own rules keep most of that away; a
// definition of another version might not.
func (c *compiler) clean() {
	for _, again := range []bool{false, true} {
		problems := model.Validate(&c.config)
		if len(problems) == 0 {
			return
		}
		for _, p := range problems {
			if !again {
				c.problem(p.Field, v1alpha1.ProblemInvalid, "%s; %s", p.Message, effectOn(p.Part()))
			}
		}
		c.takeOut(problems, again)
	}
	if len(model.Validate(&c.config)) > 0 {
		// What is taken out twice and is still bad has a name that cannot be told: nothing is left to keep.
		c.config = model.Config{Version: model.Version, Name: c.in.Namespace + "/" + c.in.Name, Generation: c.in.Generation, DrainTimeout: model.Duration(DrainTimeout)}
		c.problem("spec", v1alpha1.ProblemInvalid, "it has parts that cannot be told apart; nothing of it is in force")
	}
}

func effectOn(part string) string {
	switch kind, _, _ := strings.Cut(part, "["); kind {
	case "listeners":
		return listenerLeftOut
	case "routes":
		return "the route answers 503"
	case "pools":
		return "the pool has no members"
	default:
		return "it is left out"
	}
}

// takeOut removes bad listeners, closes bad routes and empties bad pools; what was bad before is removed as a whole.
func (c *compiler) takeOut(problems []model.Problem, again bool) {
	bad := map[string]bool{}
	for _, p := range problems {
		bad[p.Part()] = true
		if strings.HasPrefix(p.Field, "drain.") {
			c.config.Drain = model.Drain{}
		}
	}
	if bad[""] {
		c.config.MaxConnections = max(c.config.MaxConnections, 0)
	}
	fields := c.config.ListenerFields()
	var listeners []model.Listener
	for i := range c.config.Listeners {
		if !bad[fields[i]] {
			listeners = append(listeners, c.config.Listeners[i])
		}
	}
	c.config.Listeners = listeners
	fields = c.config.PoolFields()
	var pools []model.Pool
	for i := range c.config.Pools {
		switch pool := c.config.Pools[i]; {
		case !bad[fields[i]]:
			pools = append(pools, pool)
		case !again:
			pools = append(pools, emptyPool(pool.Name))
		}
	}
	fields = c.config.RouteFields()
	c.config.Pools = pools
	c.takeOutRoutes(fields, bad, again)
}

func (c *compiler) takeOutRoutes(fields []string, bad map[string]bool, again bool) {
	var routes []model.Route
	for i := range c.config.Routes {
		r := c.config.Routes[i]
		r.Listeners = slices.DeleteFunc(slices.Clone(r.Listeners), func(name string) bool { return !c.listens(v1alpha1.Name(name)) })
		if bad[fields[i]] {
			c.close(&r)
		}
		if len(r.Listeners) > 0 && !(again && bad[fields[i]]) {
			routes = append(routes, r)
		}
	}
	c.config.Routes = routes
}

// room is the most bytes of a model: a ConfigMap holds 1 MiB, with its metadata and the marks on it.
const room = 1000 << 10

// Encode gives the bytes of the model. Where there is no room for all, the longest bodies are left out, then the
// last routes; it fails where that is not enough.
func (o *Output) Encode() ([]byte, error) {
	for {
		text, err := json.Marshal(&o.Config)
		if err != nil {
			return nil, fmt.Errorf("encode the model: %w", err)
		}
		if len(text) <= room {
			return text, nil
		}
		if !o.shrink() {
			return nil, fmt.Errorf("the model has %d bytes and may have %d", len(text), room)
		}
	}
}

// shrink leaves the longest body out, or else the last route.
func (o *Output) shrink() bool {
	longest, size := -1, 1<<10
	for i := range o.Config.Routes {
		if respond := o.Config.Routes[i].Action.Respond; respond != nil && len(respond.Body) > size {
			longest, size = i, len(respond.Body)
		}
	}
	last := len(o.Config.Routes) - 1
	switch {
	case longest >= 0:
		o.tooLarge("routes["+o.Config.Routes[longest].Name+"].action", "the body is left out")
		o.Config.Routes[longest].Action.Respond.Body = ""
	case last >= 0:
		o.tooLarge("routes["+o.Config.Routes[last].Name+"]", "the route is left out")
		o.Config.Routes = o.Config.Routes[:last]
	default:
		return false
	}
	return true
}

func (o *Output) tooLarge(field, effect string) {
	o.Problems = append(o.Problems, v1alpha1.Problem{
		Field: field, Reason: v1alpha1.ProblemTooLarge,
		Message: fmt.Sprintf("all parts together take more than %d KiB; %s", room>>10, effect),
	})
	slices.SortStableFunc(o.Problems, func(a, b v1alpha1.Problem) int { return strings.Compare(a.Field, b.Field) })
}
