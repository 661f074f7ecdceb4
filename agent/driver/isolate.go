// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
)

// maxCulprits is how many parts are left out at most. A model with more is refused as a whole: each takes about ten
// questions to find.
const maxCulprits = 20

// isolate finds the parts of a model that HAProxy does not take, such that it takes all others. It gives nil where
// HAProxy takes not even what is left without any part, or too many are bad.
func isolate(ctx context.Context, c *candidates, cfg *model.Config) (map[string]bool, []haproxy.Refusal, error) {
	without := map[string]bool{}
	var refusals []haproxy.Refusal
	for range maxCulprits {
		field, output, err := culprit(ctx, c.check, fieldsOf(cfg), without)
		if err != nil || field == "" {
			return nil, nil, err
		}
		if field, err = narrow(ctx, c, cfg, field, without); err != nil {
			return nil, nil, err
		}
		without[field] = true
		refusals = append(refusals, haproxy.Refusal{
			Field: field, Reason: "RefusedByHAProxy", Message: "HAProxy does not take it: " + clean(output, c.input.Secrets),
		})
		ok, _, err := c.check(ctx, without)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			return without, refusals, nil
		}
	}
	return nil, nil, nil
}

// fieldsOf are the parts that can be left out, those that others refer to first.
func fieldsOf(cfg *model.Config) []string {
	var fields []string
	for i := range cfg.Pools {
		fields = append(fields, "pools["+cfg.Pools[i].Name+"]")
	}
	for i := range cfg.Listeners {
		fields = append(fields, "listeners["+cfg.Listeners[i].Name+"]")
	}
	for i := range cfg.Routes {
		fields = append(fields, "routes["+cfg.Routes[i].Name+"]")
	}
	return fields
}

// culprit finds one part beside those that are left out already, by halves: the last of the fewest parts, from the first
// on, that HAProxy does not take together. It is empty if HAProxy refuses what has none of them.
func culprit(ctx context.Context, check func(context.Context, map[string]bool) (bool, string, error),
	fields []string, without map[string]bool,
) (field, output string, err error) {
	// with gives what HAProxy says about the first n fields.
	with := func(n int) (bool, string, error) {
		leave := maps.Clone(without)
		for _, field := range fields[n:] {
			leave[field] = true
		}
		return check(ctx, leave)
	}
	ok, _, err := with(0)
	if err != nil || !ok {
		return "", "", err
	}
	n := sort.Search(len(fields), func(n int) bool {
		if err != nil {
			return true
		}
		var taken bool
		var said string
		if taken, said, err = with(n + 1); !taken {
			output = said
		}
		return !taken
	})
	if err != nil {
		return "", "", err
	}
	if n == len(fields) {
		return "", "", fmt.Errorf("HAProxy refuses the configuration now and then: %w", errUnsteady)
	}
	return fields[n], output, nil
}

// narrow tries to leave out one certificate of a listener rather than the listener.
func narrow(ctx context.Context, c *candidates, cfg *model.Config, field string, without map[string]bool) (string, error) {
	at := slices.IndexFunc(cfg.Listeners, func(l model.Listener) bool { return "listeners["+l.Name+"]" == field })
	if at < 0 || cfg.Listeners[at].TLS == nil || len(cfg.Listeners[at].TLS.Certificates) < 2 {
		return field, nil
	}
	// Only the listener in question, so that others cannot be the reason for a no.
	leave := maps.Clone(without)
	for _, other := range fieldsOf(cfg) {
		leave[other] = other != field
	}
	for i := range cfg.Listeners[at].TLS.Certificates {
		certificate := fmt.Sprintf("%s.tls.certificates[%d]", field, i)
		leave[certificate] = true
		ok, _, err := c.check(ctx, leave)
		if err != nil {
			return "", err
		}
		if ok {
			return certificate, nil
		}
		delete(leave, certificate)
	}
	return field, nil
}
