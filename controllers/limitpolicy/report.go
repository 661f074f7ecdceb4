// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"cmp"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// maxFindings is the number of findings and of rules that a status holds.
const maxFindings = 10

// report is what the limits of one policy would refuse or change in one namespace, or in several. Once it
// is noted it does not change.
type report struct {
	refused, changed int
	rules            map[string]tally
	// top holds the first maxFindings findings, in their order.
	top []v1alpha1.Finding
}

type tally struct{ refused, changed int }

func (r report) equal(other report) bool { return reflect.DeepEqual(r, other) }

// findings computes the report of every policy of a namespace: that of a policy in force by the limits in
// force, that of a dry run by the limits as they would be with it.
func findings(seen *observed, subjects []subject) map[types.UID]report {
	out := map[types.UID]report{}
	inForce := seen.inForce()
	var together *verdict
	for _, policy := range seen.policies {
		switch {
		case len(subjects) == 0:
			out[policy.uid] = report{}
		case policy.enforced:
			if together == nil {
				together = hold(subjects, render.Namespace(seen.name, inForce))
			}
			out[policy.uid] = together.of(policy.name, seen.name)
		default:
			alone := hold(subjects, render.Namespace(seen.name, append(slices.Clone(inForce), policy.parsed)))
			out[policy.uid] = alone.of(policy.name, seen.name)
		}
	}
	return out
}

// verdict is what some limits would do to what exists.
type verdict struct {
	origin  map[check.Rule][]string
	charges []charge
}

// charge is one subject with findings.
type charge struct {
	subject
	found []check.Finding
}

// hold holds the subjects against limits.
func hold(subjects []subject, limits render.Effective) *verdict {
	out := &verdict{origin: limits.Origin}
	if limits.LimitRange == nil {
		return out
	}
	compiled := check.Compile(check.Defaulted(limits.LimitRange.Spec.Limits))
	for _, s := range subjects {
		if found := s.findings(compiled); len(found) > 0 {
			out.charges = append(out.charges, charge{subject: s, found: found})
		}
	}
	return out
}

// of is the part of the verdict that comes from one policy's bounds.
func (v *verdict) of(policy, namespace string) report {
	out := report{}
	for _, c := range v.charges {
		refused := check.AnyRefused(c.found)
		var own []check.Finding
		for _, f := range c.found {
			// A refused object is not changed: it does not come into being.
			if slices.Contains(v.origin[f.Rule], policy) && (f.Effect == check.Refused || !refused) {
				own = append(own, f)
			}
		}
		out.add(c.subject, namespace, own)
	}
	out.top = firstFindings(out.top)
	return out
}

func (r *report) add(s subject, namespace string, found []check.Finding) {
	if len(found) == 0 {
		return
	}
	if check.AnyRefused(found) {
		r.refused++
	} else {
		r.changed++
	}
	if r.rules == nil {
		r.rules = map[string]tally{}
	}
	counted := map[check.Rule]bool{}
	for _, f := range found {
		if counted[f.Rule] {
			continue
		}
		counted[f.Rule] = true
		t := r.rules[f.Rule.String()]
		if f.Effect == check.Refused {
			t.refused++
		} else {
			t.changed++
		}
		r.rules[f.Rule.String()] = t
	}
	r.top = append(r.top, v1alpha1.Finding{
		Kind: s.kind, Namespace: namespace, Name: s.name,
		Rule: found[0].Rule.String(), Effect: v1alpha1.FindingEffect(found[0].Effect), Message: found[0].Message,
	})
}

// firstFindings sorts findings and keeps the first.
func firstFindings(all []v1alpha1.Finding) []v1alpha1.Finding {
	slices.SortFunc(all, compareFindings)
	return slices.Clone(all[:min(len(all), maxFindings)])
}

// compareFindings puts refusals before changes, then goes by kind, namespace and name.
func compareFindings(a, b v1alpha1.Finding) int {
	return cmp.Or(
		-cmp.Compare(a.Effect, b.Effect),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
	)
}

// merge adds the report of another namespace.
func (r *report) merge(other report) {
	r.refused += other.refused
	r.changed += other.changed
	if len(other.rules) > 0 && r.rules == nil {
		r.rules = map[string]tally{}
	}
	for rule, t := range other.rules {
		sum := r.rules[rule]
		r.rules[rule] = tally{refused: sum.refused + t.refused, changed: sum.changed + t.changed}
	}
	full := len(r.top) == maxFindings
	if len(other.top) > 0 && !(full && compareFindings(other.top[0], r.top[maxFindings-1]) > 0) {
		r.top = firstFindings(slices.Concat(r.top, other.top))
	}
}

// status writes the report as the API has it.
func (r *report) status() *v1alpha1.LimitReport {
	out := &v1alpha1.LimitReport{Refused: int32(r.refused), Changed: int32(r.changed), Top: r.top}
	for rule, t := range r.rules {
		out.Rules = append(out.Rules, v1alpha1.RuleCount{Rule: rule, Refused: int32(t.refused), Changed: int32(t.changed)})
	}
	slices.SortFunc(out.Rules, func(a, b v1alpha1.RuleCount) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Changed, a.Changed), cmp.Compare(a.Rule, b.Rule))
	})
	out.Rules = out.Rules[:min(len(out.Rules), maxFindings)]
	return out
}
