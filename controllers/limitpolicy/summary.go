// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

// maxOverridden is the number of lost fields that a status holds.
const maxOverridden = 10

// summary is the state of one policy over all its namespaces.
type summary struct {
	selected, covered, failed int
	// unseen are selected namespaces of which nothing is known for this generation.
	unseen int
	// unreported are selected namespaces whose report is not there yet.
	unreported int
	paused     int

	// The first of each in the order of the namespaces' names, with their number, for the conditions.
	failures, refused, conflicts, contested, drifted, foreign, terminating sample

	overridden []v1alpha1.OverriddenField
	report     report
}

// sample is a number and the first thing counted.
type sample struct {
	count int
	first string
}

func (s *sample) add(text string) {
	s.count++
	if s.first == "" || text < s.first {
		s.first = text
	}
}

// String tells the first, and how many more there are.
func (s *sample) String() string {
	if s.count <= 1 {
		return s.first
	}
	return fmt.Sprintf("%s (and %d more)", s.first, s.count-1)
}

// summarize looks at every namespace that the policy selects now.
func (l *ledger) summarize(policy *v1alpha1.LimitPolicy, page page, namespaces []metav1.PartialObjectMetadata, selects func(*metav1.PartialObjectMetadata) bool) summary {
	out := summary{}
	lost := map[v1alpha1.OverriddenField]int{}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := range namespaces {
		namespace := &namespaces[i]
		if namespace.DeletionTimestamp != nil || !selects(namespace) {
			continue
		}
		out.selected++
		known := l.namespaces[namespace.Name]
		if known == nil || !known.speaksOf(policy.UID, page.generation) {
			out.unseen++
			continue
		}
		out.add(namespace.Name, policy.UID, page.enforced, known)
		for _, field := range known.cover.lost {
			if field.Policy == policy.Name {
				lost[v1alpha1.OverriddenField{Field: field.Field, Value: field.Value, Winner: field.Winner, Winning: field.Winning}]++
			}
		}
	}
	for field, count := range lost {
		field.Namespaces = int32(count)
		out.overridden = append(out.overridden, field)
	}
	slices.SortFunc(out.overridden, func(a, b v1alpha1.OverriddenField) int {
		return cmp.Or(cmp.Compare(b.Namespaces, a.Namespaces), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Winner, b.Winner), cmp.Compare(a.Winning, b.Winning))
	})
	return out
}

func (r *record) speaksOf(policy types.UID, generation int64) bool {
	part := r.has(policy)
	return part != nil && part.generation == generation
}

func (s *summary) add(namespace string, policy types.UID, enforced bool, known *record) {
	if reported, ok := known.reports[policy]; ok {
		s.report.merge(reported)
	} else {
		s.unreported++
	}
	for _, name := range known.cover.foreign {
		s.foreign.add(name)
	}
	if !enforced {
		s.covered++
		return
	}
	cover := &known.cover
	for _, conflict := range cover.result.Conflicts {
		s.conflicts.add(conflict.Ref.String())
	}
	for _, contest := range cover.result.Contested {
		s.contested.add(contestText(contest))
	}
	for _, refusal := range cover.result.Refused {
		s.refused.add(refusal.Ref.String() + ": " + refusal.Message)
	}
	for _, ref := range cover.result.Drifted {
		s.drifted.add(ref.String())
	}
	for _, ref := range cover.result.Terminating {
		s.terminating.add(ref.String())
	}
	switch {
	case cover.result.Paused:
		s.paused++
	case cover.failure != "":
		s.failed++
		s.failures.add(namespace + ": " + cover.failure)
	case len(cover.result.Conflicts)+len(cover.result.Refused) > 0:
		s.failed++
	case cover.result.Done():
		s.covered++
	}
}

func contestText(contest apply.Contest) string {
	field := contest.Field
	if field == "" {
		field = "the object as a whole"
	}
	return fmt.Sprintf("%s: %s by %s", contest.Ref, field, contest.Manager)
}
