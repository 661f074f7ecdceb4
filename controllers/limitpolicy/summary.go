// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
)

// maxOverridden is the number of lost fields that a status holds.
const maxOverridden = 10

// summary is the state of one policy over all its namespaces.
type summary struct {
	selected int
	// covered are those in which what the policy has a part in is as wanted; for a dry run, those in which
	// nothing is made for it. failed are those in which that could not be had.
	covered, failed int
	// unseen are those of which nothing is known for this spec. working are those and all others in which the
	// operator has something left to do.
	unseen, working int
	// unreported are those whose report is not there yet.
	unreported int

	// What stands in the way, with the first in the order of the alphabet. Of failures and holds there is one per
	// namespace, of the others one per object.
	failures, holds, refused, conflicts, contested, drifted, terminating conditions.Sample
	// foreign are LimitRanges of others.
	foreign conditions.Sample

	overridden []v1alpha1.OverriddenField
	report     report
}

// summarize looks at the namespaces that a policy selects now.
func (l *ledger) summarize(policy selected, namespaces []*metav1.PartialObjectMetadata) summary {
	out := summary{selected: len(namespaces)}
	lost := map[v1alpha1.OverriddenField]int{}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, namespace := range namespaces {
		known := l.namespaces[namespace.Name]
		if known == nil || known.cover.namespace != namespace.UID || !known.speaksOf(policy) {
			out.unseen++
			continue
		}
		out.add(namespace.Name, policy, known)
		for _, field := range known.cover.lost {
			if field.Policy == policy.name {
				lost[v1alpha1.OverriddenField{Field: field.Field, Value: field.Value, Winner: field.Winner, Winning: field.Winning}]++
			}
		}
	}
	out.unreported += out.unseen
	out.working += out.unseen
	for field, count := range lost {
		field.Namespaces = int32(count)
		out.overridden = append(out.overridden, field)
	}
	slices.SortFunc(out.overridden, func(a, b v1alpha1.OverriddenField) int {
		return cmp.Or(cmp.Compare(b.Namespaces, a.Namespaces), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Winner, b.Winner), cmp.Compare(a.Winning, b.Winning))
	})
	return out
}

func (r *record) speaksOf(policy selected) bool {
	part := r.has(policy.uid)
	return part != nil && part.generation == policy.generation
}

func (s *summary) add(namespace string, policy selected, known *record) {
	if reported, ok := known.reports[policy.uid]; ok {
		s.report.merge(reported)
	} else {
		s.unreported++
	}
	cover := &known.cover
	stuck, left, waiting := s.obstacles(policy, &cover.result)
	for _, ref := range cover.foreign {
		if policy.bounds() {
			s.foreign.Add(ref.Namespace + "/" + ref.Name)
		}
	}
	switch {
	case cover.hold != "":
		s.holds.Add(namespace + ", " + cover.hold)
	case cover.failure != "":
		s.failed++
		s.working++
		s.failures.Add(namespace + ": " + cover.failure)
	case stuck > 0:
		s.failed++
	case cover.result.Paused: // The namespace is going.
		s.working++
	case left+waiting == 0 || cover.result.Done() && len(cover.result.Terminating)+len(cover.result.Going) == 0:
		s.covered++
	case waiting > 0:
		s.working++
	}
}

// obstacles notes what stands in the way of the objects that the policy has a part in; others are other
// policies' concern. What is stuck needs a person, what is left was found changed and is to stay so, what
// waits goes on by itself.
func (s *summary) obstacles(policy selected, result *apply.Result) (stuck, left, waiting int) {
	for _, conflict := range result.Conflicts {
		if policy.makes(conflict.Ref) {
			s.conflicts.Add(conflict.Ref.String())
			stuck++
		}
	}
	for _, refusal := range result.Refused {
		if policy.makes(refusal.Ref) {
			s.refused.Add(refusal.Ref.String() + ": " + refusal.Message)
			stuck++
		}
	}
	for _, ref := range result.Drifted {
		if policy.makes(ref) {
			s.drifted.Add(ref.String())
			left++
		}
	}
	for _, contest := range result.Contested {
		if policy.makes(contest.Ref) {
			s.contested.Add(conditions.ContestText(contest))
			waiting++
		}
	}
	for _, ref := range result.Going {
		if policy.makes(ref) {
			waiting++
		}
	}
	for _, ref := range result.Terminating {
		// It may be one that the policy had a part in until now.
		s.terminating.Add(ref.String())
		waiting++
	}
	return stuck, left, waiting
}
