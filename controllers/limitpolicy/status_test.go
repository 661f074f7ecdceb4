// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

func encodedSize(t *testing.T, object runtime.Object) int {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

// told are the conditions as type=status/reason, in a fixed order.
func conditionsOf(status v1alpha1.LimitPolicyStatus) []string {
	var out []string
	for _, c := range status.Conditions {
		out = append(out, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
	}
	slices.Sort(out)
	return out
}

// TestConditions derives the conditions of a policy from how covering its namespaces went.
func TestConditions(t *testing.T) {
	quotaOf := func(namespace string) apply.Ref {
		ref := limitRangeIn(namespace)
		ref.GroupVersionKind = resourceQuotas
		return ref
	}
	done := outcome{result: apply.Result{Desired: 1, InForce: 1}}
	result := func(r apply.Result) outcome { r.Desired = 1; return outcome{result: r} }
	for name, test := range map[string]struct {
		// outcomes are by namespace; the policy selects a, b and c, and what is not there is unseen.
		outcomes   map[string]outcome
		enforce    v1alpha1.Enforcement
		unreported bool
		paused     bool
		invalid    error
		// unknown: the spec could never be read.
		unknown bool
		want    []string
		message string
	}{
		"all covered": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done},
			want:     []string{"Ready=True/Enforced"}, message: "in force in 3 namespaces",
		},
		"one not looked at yet": {
			outcomes: map[string]outcome{"a": done, "b": done},
			want:     []string{"Ready=False/Progressing", "Reconciling=True/Progressing"}, message: "2 of 3 namespaces covered",
		},
		"covered, and not reported on yet": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done}, unreported: true,
			want: []string{"Ready=True/Enforced"},
		},
		"one being retried": {
			outcomes: map[string]outcome{"a": done, "b": {failure: "Timeout"}, "c": {failure: "Timeout"}},
			want:     []string{"Ready=False/ApplyFailed", "Reconciling=True/ApplyFailed"}, message: "being retried: b: Timeout (and 1 more)",
		},
		"refused": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Refused: []apply.Refusal{{Ref: limitRangeIn("b"), Message: "no"}}}), "c": done},
			want:     []string{"Ready=False/RefusedByAPIServer", "Stalled=True/RefusedByAPIServer"},
			message:  "LimitRange b/fairlead: no; what was in force stays in force",
		},
		"refused, while others are under way": {
			outcomes: map[string]outcome{"b": result(apply.Result{Refused: []apply.Refusal{{Ref: limitRangeIn("b"), Message: "no"}}})},
			want:     []string{"Ready=False/RefusedByAPIServer", "Reconciling=True/Progressing"},
		},
		"refused, of another policy's quota": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Refused: []apply.Refusal{{Ref: quotaOf("b"), Message: "no"}}}), "c": done},
			want:     []string{"Ready=True/Enforced"},
		},
		"a name is taken": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Conflicts: []apply.Conflict{{Ref: limitRangeIn("b")}}}), "c": done},
			want:     []string{"Conflicted=True/NameTaken", "Ready=False/NameTaken", "Stalled=True/NameTaken"},
			message:  `LimitRange b/fairlead was not made by Fairlead; delete it, or set its annotation fleet.fairlead.io/adopt to "true"`,
		},
		"a name is taken that another policy's quota wants": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Conflicts: []apply.Conflict{{Ref: quotaOf("b")}}}), "c": done},
			want:     []string{"Ready=True/Enforced"},
		},
		"a foreign LimitRange beside ours": {
			outcomes: map[string]outcome{"a": done, "b": {result: done.result, foreign: []apply.Ref{limitRangeIn("b")}}, "c": done},
			want:     []string{"Conflicted=True/ForeignLimits", "Ready=True/Enforced"},
		},
		"contested and not in force": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Contested: []apply.Contest{{Ref: limitRangeIn("b"), Field: "spec.x", Manager: "m"}}}), "c": done},
			want:     []string{"Contested=True/RepeatedEdits", "Ready=False/RepeatedEdits", "Reconciling=True/Progressing"},
			message:  "LimitRange b/fairlead: spec.x by m",
		},
		"contested and in force": {
			outcomes: map[string]outcome{"a": done, "b": {result: apply.Result{Desired: 1, InForce: 1, Contested: []apply.Contest{{Ref: limitRangeIn("b"), Manager: "m"}}}}, "c": done},
			want:     []string{"Contested=True/RepeatedEdits", "Ready=True/Enforced"},
		},
		"drifted and left": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Drifted: []apply.Ref{limitRangeIn("b")}}), "c": done},
			want:     []string{"Drifted=True/ForeignEdits", "Ready=False/ForeignEdits"}, message: "left as found: LimitRange b/fairlead",
		},
		"being deleted by somebody": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Terminating: []apply.Ref{limitRangeIn("b")}}), "c": done},
			want:     []string{"Ready=False/Progressing", "Reconciling=True/Progressing"},
			message:  "2 of 3 namespaces covered; waiting for what somebody is deleting: LimitRange b/fairlead",
		},
		"not made, since the namespace is said to go": {
			outcomes: map[string]outcome{"a": done, "b": {result: apply.Result{Going: []apply.Ref{limitRangeIn("b")}}}, "c": done},
			want:     []string{"Ready=False/Progressing", "Reconciling=True/Progressing"}, message: "2 of 3 namespaces covered",
		},
		"another policy's quota is not made, since the namespace is said to go": {
			outcomes: map[string]outcome{"a": done, "b": {result: apply.Result{Going: []apply.Ref{quotaOf("b")}}}, "c": done},
			want:     []string{"Ready=True/Enforced"},
		},
		"a remainder that will not go": {
			outcomes: map[string]outcome{"a": done, "b": {result: apply.Result{Terminating: []apply.Ref{quotaOf("b")}}}, "c": done},
			want:     []string{"Ready=False/Progressing", "Reconciling=True/Progressing"},
		},
		"another policy is paused": {
			outcomes: map[string]outcome{"a": done, "b": {hold: "policy x is paused", result: apply.Result{Paused: true}}, "c": done},
			want:     []string{"Ready=Unknown/Paused"}, message: "nothing is written or verified: b, policy x is paused",
		},
		"the policy is paused and picks nothing that is held": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done}, paused: true,
			want: []string{"Ready=Unknown/Paused"},
		},
		"the namespace is going": {
			outcomes: map[string]outcome{"a": done, "b": {result: apply.Result{Paused: true}}, "c": done},
			want:     []string{"Ready=False/Progressing", "Reconciling=True/Progressing"},
		},
		"a spec that cannot be read any more": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done}, invalid: errors.New("spec.x: bad"),
			want: []string{"Ready=False/InvalidSpec", "Stalled=True/InvalidSpec"}, message: "spec.x: bad; what was in force stays in force",
		},
		"a spec that could never be read": {
			invalid: errors.New("spec.x: bad"), unknown: true,
			want: []string{"Ready=False/InvalidSpec", "Stalled=True/InvalidSpec"},
		},
		"dry run": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done}, enforce: v1alpha1.DryRun,
			want: []string{"Ready=True/DryRun"}, message: "3 namespaces examined, nothing written",
		},
		"dry run, not examined yet": {
			outcomes: map[string]outcome{"a": done, "b": done, "c": done}, enforce: v1alpha1.DryRun, unreported: true,
			want: []string{"Ready=False/Progressing", "Reconciling=True/Progressing"}, message: "0 of 3 namespaces examined",
		},
		"dry run, and what was in force cannot be removed": {
			outcomes: map[string]outcome{"a": done, "b": {failure: "Forbidden"}, "c": done}, enforce: v1alpha1.DryRun,
			want: []string{"Ready=False/ApplyFailed", "Reconciling=True/ApplyFailed"},
		},
		"dry run, and another policy's name is taken": {
			outcomes: map[string]outcome{"a": done, "b": result(apply.Result{Conflicts: []apply.Conflict{{Ref: limitRangeIn("b")}}}), "c": done}, enforce: v1alpha1.DryRun,
			want: []string{"Ready=True/DryRun"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi"), Enforcement: test.enforce})
			if test.paused {
				policy.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
			}
			part := selected{page: mustRead(t, policy), name: policy.Name, uid: policy.UID}
			e := &evidence{invalid: test.invalid, known: !test.unknown}
			if e.known {
				e.summary = recorded(test.outcomes, part, !test.unreported).summarize(part, namespacesNamed("a", "b", "c"))
			}
			got := status(policy, e)
			if now := conditionsOf(got); !slices.Equal(now, test.want) {
				t.Errorf("conditions are %v, want %v", now, test.want)
			}
			for _, c := range got.Conditions {
				if c.ObservedGeneration != policy.Generation || c.Message == "" || c.Reason == "" {
					t.Errorf("condition %+v lacks something", c)
				}
				if c.Type == v1alpha1.ConditionReady && test.message != "" && c.Message != test.message {
					t.Errorf("Ready says %q, want %q", c.Message, test.message)
				}
			}
			if (got.Namespaces == nil) != test.unknown {
				t.Errorf("the counts are %+v", got.Namespaces)
			}
			policy.Status = got
			if again := status(policy, e); !equality.Semantic.DeepEqual(again, got) {
				t.Errorf("computed again the status differs:\n%+v\n%+v", got, again)
			}
		})
	}
}

// recorded is a ledger in which the namespaces were covered for one policy.
func recorded(outcomes map[string]outcome, part selected, withReports bool) *ledger {
	l := newLedger()
	for name, o := range outcomes {
		o.namespace, o.policies = types.UID("uid-"+name), []selected{part}
		l.covered(name, o)
		if withReports {
			l.reported(&observed{name: name, uid: o.namespace, policies: o.policies}, map[types.UID]report{part.uid: {}})
		}
	}
	return l
}

func namespacesNamed(names ...string) []*metav1.PartialObjectMetadata {
	var out []*metav1.PartialObjectMetadata
	for _, name := range names {
		out = append(out, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}})
	}
	return out
}

func TestConditionsThatDoNotApplyAnyMoreGo(t *testing.T) {
	policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	policy.Status = status(policy, &evidence{invalid: errors.New("bad")})
	policy.Status = status(policy, &evidence{known: true})
	if now := conditionsOf(policy.Status); !slices.Equal(now, []string{"Ready=True/Enforced"}) {
		t.Errorf("conditions are %v", now)
	}
}

func TestSummaryDoesNotTakeOldNewsForNew(t *testing.T) {
	policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	part := selected{page: mustRead(t, policy), name: policy.Name, uid: policy.UID}
	l := recorded(map[string]outcome{"a": {result: apply.Result{Desired: 1, InForce: 1}}}, part, true)
	if s := l.summarize(part, namespacesNamed("a")); s.covered != 1 || s.unseen+s.unreported != 0 {
		t.Fatalf("the summary is %+v", s)
	}

	recreated := namespacesNamed("a")
	recreated[0].UID = "another"
	if s := l.summarize(part, recreated); s.covered != 0 || s.unseen != 1 || s.unreported != 1 {
		t.Errorf("a new namespace of an old name counts as covered: %+v", s)
	}
	policy.Generation = 2
	edited := selected{page: mustRead(t, policy), name: policy.Name, uid: policy.UID}
	if s := l.summarize(edited, namespacesNamed("a")); s.covered != 0 || s.unseen != 1 {
		t.Errorf("what was covered for an old spec counts for a new one: %+v", s)
	}
	other := part
	other.uid = "another"
	if s := l.summarize(other, namespacesNamed("a")); s.covered != 0 || s.unseen != 1 {
		t.Errorf("what was covered for a deleted policy counts for a new one of its name: %+v", s)
	}
}

func TestReportInTheStatus(t *testing.T) {
	policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	complete := &evidence{known: true, summary: summary{report: report{refused: 2}}}
	partial := &evidence{known: true, summary: summary{unreported: 1, report: report{refused: 1}}}

	policy.Status = status(policy, complete)
	if policy.Status.Report.Refused != 2 {
		t.Fatalf("the report is %+v", policy.Status.Report)
	}
	if got := status(policy, partial).Report; got == nil || got.Refused != 2 {
		t.Errorf("a part of a report took the place of the whole: %+v", got)
	}
	if got := status(policy, &evidence{invalid: errors.New("bad")}); got.Report.Refused != 2 || got.Namespaces == nil {
		t.Errorf("a spec that cannot be read wiped out what is known: %+v", got)
	}
	policy.Generation = 2
	if got := status(policy, partial).Report; got != nil {
		t.Errorf("the report on an old spec stands for the new one: %+v", got)
	}
}

func TestOverriddenInTheStatus(t *testing.T) {
	policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	part := selected{page: mustRead(t, policy), name: policy.Name, uid: policy.UID}
	outcomes := map[string]outcome{}
	for i := range 3 {
		var lost []render.Lost
		for field := range 12 - 4*i {
			lost = append(lost, render.Lost{Policy: "p", Winner: "w", Field: fmt.Sprintf("f%02d", field), Value: "1", Winning: "2"})
		}
		lost = append(lost, render.Lost{Policy: "somebody else", Winner: "p", Field: "x"})
		outcomes[fmt.Sprintf("ns%d", i)] = outcome{lost: lost}
	}
	e := &evidence{known: true, summary: recorded(outcomes, part, true).summarize(part, namespacesNamed("ns0", "ns1", "ns2"))}
	got := status(policy, e)
	if len(got.Overridden) != maxOverridden {
		t.Fatalf("%d fields are told, want %d", len(got.Overridden), maxOverridden)
	}
	first := v1alpha1.OverriddenField{Field: "f00", Value: "1", Winner: "w", Winning: "2", Namespaces: 3}
	if got.Overridden[0] != first || got.Overridden[4].Namespaces != 2 || got.Overridden[9].Namespaces != 1 {
		t.Errorf("overridden are %+v, want %+v first, then by namespaces", got.Overridden, first)
	}
	want := "f00 1 lost to 2 of policy w in 3 namespaces (and 11 more)"
	if c := got.Conditions[1]; c.Type != v1alpha1.ConditionOverridden || c.Message != want {
		t.Errorf("the condition is %+v, want %q", c, want)
	}
}
