// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grants are the rules that roles among objects give, each right once, sorted: those of ClusterRoles, and those of Roles. Whoever makes
// these roles has to hold the same rights, or the verb escalate.
func Grants(all []Object) (cluster, namespaced []rbacv1.PolicyRule) {
	var wide, narrow rights
	for _, o := range all {
		switch role := o.(type) {
		case *rbacv1.ClusterRole:
			wide.add(role.Rules)
		case *rbacv1.Role:
			narrow.add(role.Rules)
		}
	}
	return wide.rules(), narrow.rules()
}

// target is what verbs are granted on: a resource of a group, of some names only, or a path.
type target struct{ group, resource, names, path string }

// rights are the verbs of each target.
type rights map[target]map[string]bool

func (r *rights) add(rules []rbacv1.PolicyRule) {
	if *r == nil {
		*r = rights{}
	}
	for _, rule := range rules {
		names := strings.Join(slices.Sorted(slices.Values(rule.ResourceNames)), ",")
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				r.allow(target{group: group, resource: resource, names: names}, rule.Verbs)
			}
		}
		for _, path := range rule.NonResourceURLs {
			r.allow(target{path: path}, rule.Verbs)
		}
	}
}

func (r *rights) allow(at target, verbs []string) {
	if (*r)[at] == nil {
		(*r)[at] = map[string]bool{}
	}
	for _, verb := range verbs {
		(*r)[at][verb] = true
	}
}

// verbs of a target without those that all resources of its group, or all names, are granted.
func (r rights) verbs(at target) []string {
	if r[at]["*"] {
		return []string{"*"}
	}
	wider := []target{
		{group: at.group, resource: at.resource}, {group: at.group, resource: "*"}, {group: at.group, resource: "*", names: at.names},
	}
	var out []string
	for verb := range r[at] {
		covered := slices.ContainsFunc(wider, func(t target) bool { return t != at && at.path == "" && (r[t][verb] || r[t]["*"]) })
		if !covered {
			out = append(out, verb)
		}
	}
	slices.Sort(out)
	return out
}

// rules joins the resources of a group that have the same verbs.
func (r rights) rules() []rbacv1.PolicyRule {
	type shape struct{ group, names, verbs, path string }
	joined := map[shape][]string{}
	for at := range r {
		verbs := r.verbs(at)
		if len(verbs) > 0 {
			key := shape{at.group, at.names, strings.Join(verbs, ","), at.path}
			joined[key] = append(joined[key], at.resource)
		}
	}
	order := slices.SortedFunc(maps.Keys(joined), func(a, b shape) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.group, b.group), cmp.Compare(slices.Min(joined[a]), slices.Min(joined[b])),
			cmp.Compare(a.names, b.names), cmp.Compare(a.verbs, b.verbs))
	})
	out := make([]rbacv1.PolicyRule, 0, len(order))
	for _, key := range order {
		rule := rbacv1.PolicyRule{Verbs: strings.Split(key.verbs, ",")}
		if key.path != "" {
			rule.NonResourceURLs = []string{key.path}
		} else {
			slices.Sort(joined[key])
			rule.APIGroups, rule.Resources = []string{key.group}, joined[key]
		}
		if key.names != "" {
			rule.ResourceNames = strings.Split(key.names, ",")
		}
		out = append(out, rule)
	}
	return out
}
