// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// maxFindings is the number of findings and of rules that a status holds.
const maxFindings = 10

// report is what the limits of one policy would refuse or change in one namespace.
type report struct {
	refused, changed int
	rules            map[string]tally
	top              []v1alpha1.Finding
}

type tally struct{ refused, changed int }

func (r report) equal(other report) bool { return reflect.DeepEqual(r, other) }

// subject is one existing object that is held against the limits.
type subject struct {
	kind, name string
	findings   func(*check.Limits) []check.Finding
}

// findings computes the report of every policy of a namespace: that of a policy in force by the limits in
// force, that of a dry run by the limits as they would be with it.
func findings(seen *observed, subjects []subject) map[types.UID]report {
	out := map[types.UID]report{}
	if len(subjects) == 0 {
		for _, policy := range seen.policies {
			out[policy.uid] = report{}
		}
		return out
	}
	inForce := seen.inForce()
	effective := render.Namespace(seen.name, inForce)
	for _, policy := range seen.policies {
		limits := effective
		if !policy.enforced {
			limits = render.Namespace(seen.name, append(slices.Clone(inForce), policy.parsed))
		}
		out[policy.uid] = hold(subjects, limits, policy.name, seen.name)
	}
	return out
}

// hold checks the subjects and keeps the findings that come from one policy's bounds.
func hold(subjects []subject, limits render.Effective, policy, namespace string) report {
	if limits.LimitRange == nil {
		return report{}
	}
	compiled := check.Compile(check.Defaulted(limits.LimitRange.Spec.Limits))
	out := report{}
	for _, s := range subjects {
		all := s.findings(compiled)
		refused := check.AnyRefused(all)
		own := slices.DeleteFunc(all, func(f check.Finding) bool {
			// A refused object is not changed: it does not come into being.
			return limits.Origin[f.Rule] != policy || refused && f.Effect == check.Changed
		})
		out.add(s, namespace, own)
	}
	slices.SortFunc(out.top, compareFindings)
	out.top = out.top[:min(len(out.top), maxFindings)]
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

// compareFindings puts refusals first, then the order of kind, namespace and name.
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
	r.top = append(r.top, other.top...)
}

// status writes the report as the API has it.
func (r *report) status() *v1alpha1.LimitReport {
	out := &v1alpha1.LimitReport{Refused: int32(r.refused), Changed: int32(r.changed)}
	for _, rule := range slices.Sorted(maps.Keys(r.rules)) {
		t := r.rules[rule]
		out.Rules = append(out.Rules, v1alpha1.RuleCount{Rule: rule, Refused: int32(t.refused), Changed: int32(t.changed)})
	}
	slices.SortStableFunc(out.Rules, func(a, b v1alpha1.RuleCount) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Changed, a.Changed))
	})
	out.Rules = out.Rules[:min(len(out.Rules), maxFindings)]
	slices.SortFunc(r.top, compareFindings)
	out.Top = r.top[:min(len(r.top), maxFindings)]
	return out
}
