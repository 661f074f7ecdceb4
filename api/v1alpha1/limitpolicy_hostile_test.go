// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// hostile are strings that no field takes, each of which has broken a parser somewhere.
var hostile = map[string]string{
	"control characters":           "1\x00\x1b[31m\r\n\t\x7f",
	"a line break":                 "cpu\n",
	"an injection":                 `1"}},"spec":{"enforcement":"DryRun"`,
	"CEL":                          `' + self + '`,
	"a format":                     "%s%d%n%!",
	"an emoji":                     "\U0001f4a9",
	"right to left":                "\u202eupc",
	"a combining mark":             "cpu\u0301",
	"digits of other scripts":      "\u0661\u0662",
	"full width":                   "\uff11\uff10",
	"no character":                 "\ufffd",
	"two megabytes":                strings.Repeat("a", 2<<20),
	"two megabytes of slashes":     strings.Repeat("a/", 1<<20),
	"a regular expression's worst": strings.Repeat("a-", 100) + "!",
}

// hostileAmounts keep the API server busy for hours where they reach the quantity parser or a comparison.
var hostileAmounts = map[string]string{
	"a billion":              "1e999999999",
	"a billionth":            "1e-999999999",
	"the smallest exponent":  "1e-2147483648",
	"an exponent that wraps": "1E+9223372036854775808",
	"a long number":          strings.Repeat("9", 1000),
	"dots":                   strings.Repeat(".", 24),
	"two signs":              "--1",
}

// places put a string in each kind of field that takes one.
var places = map[string]func(string) spec{
	"amounts": func(s string) spec {
		return spec{"limits": []any{map[string]any{"type": "Container", "max": map[string]any{"cpu": s}, "min": map[string]any{"cpu": s}, "maxLimitRequestRatio": map[string]any{"cpu": s}}}}
	},
	"amount of a device": func(s string) spec {
		return spec{"limits": []any{map[string]any{"type": "Container", "default": map[string]any{"a.com/b": s}, "defaultRequest": map[string]any{"a.com/b": "1"}}}}
	},
	"amount of a count": func(s string) spec { return spec{"quota": map[string]any{"hard": map[string]any{"pods": s}}} },
	"a limit's resource": func(s string) spec {
		one := map[string]any{s: "1"}
		return spec{"limits": []any{map[string]any{"type": "Pod", "max": one, "min": one, "default": one, "defaultRequest": one, "maxLimitRequestRatio": one}}}
	},
	"a quota's resource": func(s string) spec {
		return spec{"quota": map[string]any{"hard": map[string]any{s: "1"}, "scopes": []any{"BestEffort", "PriorityClass"}}}
	},
	"a type": func(s string) spec {
		return spec{"limits": []any{map[string]any{"type": s, "max": map[string]any{"cpu": "1"}}}}
	},
	"a scope": func(s string) spec {
		return spec{"quota": map[string]any{"hard": map[string]any{"pods": "1"}, "scopes": []any{s}}}
	},
	"a value":     func(s string) spec { return scopeTerm("PriorityClass", "In", s) },
	"an operator": func(s string) spec { return scopeTerm("PriorityClass", s, "a") },
	"a label": func(s string) spec {
		return spec{"namespaceSelector": map[string]any{"matchLabels": map[string]any{s: s}}}
	},
	"a term": func(s string) spec {
		term := map[string]any{"key": s, "operator": "In", "values": []any{s}}
		return spec{"namespaceSelector": map[string]any{"matchExpressions": []any{term}}}
	},
	"a mode": func(s string) spec { return spec{"limits": []any{}, "enforcement": s, "drift": s} },
}

func scopeTerm(scope, operator string, values ...any) spec {
	term := map[string]any{"scopeName": scope, "operator": operator, "values": values}
	return spec{"quota": map[string]any{"hard": map[string]any{"pods": "1"}, "scopeSelector": map[string]any{"matchExpressions": []any{term}}}}
}

// TestHostileInputIsRefused shows that the API server refuses what no person writes, quickly and by a rule, instead of
// failing or being kept busy by it.
func TestHostileInputIsRefused(t *testing.T) {
	for place, put := range places {
		texts := maps.Clone(hostile)
		if strings.HasPrefix(place, "amount") {
			maps.Copy(texts, hostileAmounts)
		}
		for name, text := range texts {
			t.Run(place+" of "+name, func(t *testing.T) {
				s := put(text)
				s.fill()
				refusedQuickly(t, s)
			})
		}
	}
}

// TestHostileSizeIsRefused does the same for numbers of fields and bytes beyond every bound.
func TestHostileSizeIsRefused(t *testing.T) {
	many := func(n int, size int) map[string]any {
		all := map[string]any{}
		for i := range n {
			all[fmt.Sprintf("%s%06d/b", strings.Repeat("a", size), i)] = "1"
		}
		return all
	}
	items := func(n int, item any) []any {
		all := make([]any, n)
		for i := range all {
			all[i] = item
		}
		return all
	}
	for name, s := range map[string]spec{
		"resources of a limit":          {"limits": []any{map[string]any{"type": "Pod", "max": many(1000, 0)}}},
		"long resources of a limit":     {"limits": []any{map[string]any{"type": "Pod", "max": many(16, 50_000), "min": many(16, 50_000)}}},
		"resources of a quota":          {"quota": map[string]any{"hard": many(10_000, 0)}},
		"long resources of a quota":     {"quota": map[string]any{"hard": many(64, 40_000), "scopes": []any{"BestEffort", "Terminating", "PriorityClass"}}},
		"items":                         {"limits": items(10_000, map[string]any{"type": "Pod", "max": map[string]any{"cpu": "1"}})},
		"scopes":                        {"quota": map[string]any{"hard": many(1, 0), "scopes": items(10_000, "BestEffort")}},
		"labels":                        {"namespaceSelector": map[string]any{"matchLabels": many(10_000, 0)}},
		"long labels":                   {"namespaceSelector": map[string]any{"matchLabels": many(32, 80_000)}},
		"terms":                         {"namespaceSelector": map[string]any{"matchExpressions": items(5_000, map[string]any{"key": "a", "operator": "Exists"})}},
		"values":                        {"namespaceSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "In", "values": items(10_000, "a")}}}},
		"more bytes than a request has": {"quota": map[string]any{"hard": many(64, 80_000)}},
		"a list for a map":              {"limits": []any{map[string]any{"type": "Pod", "max": []any{"1"}}}},
		"a map for a list":              {"limits": map[string]any{"type": "Pod"}},
		"a number for a map":            {"quota": 1.5},
		"a map for an amount":           {"quota": map[string]any{"hard": map[string]any{"pods": map[string]any{"a": "b"}}}},
		"a null for a type":             {"limits": []any{map[string]any{"type": nil}}},
		"a null for an item":            {"limits": []any{nil}},
		"an empty policy":               {},
	} {
		t.Run(name, func(t *testing.T) {
			s := maps.Clone(s)
			s.fill()
			refusedQuickly(t, s)
		})
	}
}

// refusedQuickly leaves time for a busy machine: what it is about takes hours.
func refusedQuickly(t *testing.T, s spec) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	switch refused, err := refused(s.create(ctx)); {
	case err != nil:
		t.Errorf("%.300v", err)
	case !refused:
		t.Errorf("accepted %.300s", s)
	}
}
