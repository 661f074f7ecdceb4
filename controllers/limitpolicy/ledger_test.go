// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/drift"
)

// entitled is a policy in force that picks a namespace.
func entitled(t *testing.T, name string, generation int64) selected {
	t.Helper()
	policy := policyOf(name, v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	policy.Generation = generation
	return selected{page: mustRead(t, policy), name: name, uid: policy.UID}
}

func limitRangeIn(namespace string) apply.Ref {
	return apply.Ref{GroupVersionKind: limitRanges, NamespacedName: types.NamespacedName{Namespace: namespace, Name: "fairlead"}}
}

func driftIn(namespace string, second int) apply.Drift {
	return apply.Drift{
		Ref: limitRangeIn(namespace), Repaired: true, Latency: time.Millisecond,
		Changes: []apply.Change{{
			Path: fmt.Sprintf("spec.change%d", second), Want: "1", Found: "2", Manager: "kubectl-edit",
			Time: time.Date(2026, 1, 1, 0, 0, second, 999, time.UTC),
		}},
	}
}

// told collects the policies whose status may have to change.
func told(l *ledger) *[]string {
	var names []string
	l.changed = func(policy string) { names = append(names, policy) }
	return &names
}

func TestLedgerTellsWhoIsConcerned(t *testing.T) {
	l := newLedger()
	names := told(l)
	a, b := entitled(t, "a", 1), entitled(t, "b", 1)

	l.covered("shop", outcome{policies: []selected{a}})
	if !slices.Equal(*names, []string{"a"}) {
		t.Errorf("told are %v, want a", *names)
	}
	if got := l.concerns(a.uid); !slices.Equal(got, []string{"shop"}) {
		t.Errorf("a concerns %v", got)
	}

	*names = nil
	l.covered("shop", outcome{policies: []selected{b}})
	slices.Sort(*names)
	if !slices.Equal(*names, []string{"a", "b"}) {
		t.Errorf("told are %v: both who lost the namespace and who gained it must be", *names)
	}
	if got := l.concerns(a.uid); len(got) != 0 {
		t.Errorf("a still concerns %v", got)
	}

	*names = nil
	l.covered("shop", outcome{})
	if !slices.Equal(*names, []string{"b"}) || len(l.namespaces) != 0 {
		t.Errorf("told are %v, on record are %v", *names, l.namespaces)
	}
}

func TestLedgerKeepsReportsOnlyForWhatTheySpeakOf(t *testing.T) {
	l := newLedger()
	names := told(l)
	first, second := entitled(t, "a", 1), entitled(t, "a", 2)
	reports := map[types.UID]report{first.uid: {refused: 3}}
	seen := func(uid types.UID, policies ...selected) *observed {
		return &observed{name: "shop", uid: uid, policies: policies}
	}
	current := func() map[types.UID]report { return l.namespaces["shop"].reports }

	l.reported(seen("1", first), reports)
	if len(l.namespaces) != 0 {
		t.Fatal("a report came before the namespace was looked at, and is on record")
	}
	l.covered("shop", outcome{namespace: "1", policies: []selected{first}})
	*names = nil
	l.reported(seen("1", first), reports)
	if current()[first.uid].refused != 3 || !slices.Equal(*names, []string{"a"}) {
		t.Errorf("on record is %v, told are %v", current(), *names)
	}

	*names = nil
	l.reported(seen("1", first), reports)
	if len(*names) != 0 {
		t.Errorf("the same report again tells %v", *names)
	}
	l.covered("shop", outcome{namespace: "1", policies: []selected{first}, failure: "Timeout"})
	if current() == nil {
		t.Error("another look at the same specs lost the report")
	}
	l.covered("shop", outcome{namespace: "1", policies: []selected{second}})
	if current() != nil {
		t.Errorf("the report on an old spec stands for the new one: %v", current())
	}
	l.reported(seen("1", first), reports)
	if current() != nil {
		t.Errorf("a late report on an old spec stands for the new one: %v", current())
	}
	l.reported(seen("1", second), reports)
	l.covered("shop", outcome{namespace: "2", policies: []selected{second}})
	if current() != nil {
		t.Errorf("the report on a namespace stands for another of its name: %v", current())
	}
	l.reported(seen("1", second), reports)
	if current() != nil {
		t.Errorf("a late report on a namespace stands for another of its name: %v", current())
	}
}

func TestLedgerKnowsAnEarlierNamespaceOfTheName(t *testing.T) {
	l := newLedger()
	l.covered("shop", outcome{namespace: "1", policies: []selected{entitled(t, "a", 1)}})
	for name, test := range map[string]struct {
		namespace string
		uid       types.UID
		want      bool
	}{
		"the same":          {"shop", "1", false},
		"another":           {"shop", "2", true},
		"none any more":     {"shop", "", false},
		"not on record":     {"bank", "1", false},
		"nothing of either": {"bank", "", false},
	} {
		if got := l.replaced(test.namespace, test.uid); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestLedgerDrifts(t *testing.T) {
	l := newLedger()
	a := entitled(t, "a", 1)
	dry := policyOf("dry", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi"), Enforcement: v1alpha1.DryRun})
	trial := selected{page: mustRead(t, dry), name: "dry", uid: dry.UID}

	for second := range drift.MaxRepairs + 2 {
		l.covered("shop", outcome{policies: []selected{a, trial}, result: apply.Result{Drifts: []apply.Drift{driftIn("shop", second)}}})
	}
	recent := l.recent(a.uid)
	if len(recent) != drift.MaxRepairs || recent[0].Field != "spec.change6" || recent[4].Field != "spec.change2" {
		t.Errorf("recent are %+v: want the last %d, the newest first", recent, drift.MaxRepairs)
	}
	if r := recent[0]; r.Object != "LimitRange shop/fairlead" || r.Want != "1" || r.Found != "2" || r.Manager != "kubectl-edit" || !r.Repaired || r.Time.Nanosecond() != 0 {
		t.Errorf("the record is %+v", r)
	}
	first, more := l.takeUntold(a.uid)
	if first == nil || first.Changes[0].Path != "spec.change0" || more != drift.MaxRepairs+1 {
		t.Errorf("untold are %+v and %d more", first, more)
	}
	if again, more := l.takeUntold(a.uid); again != nil || more != 0 {
		t.Errorf("what was told is untold again: %+v, %d", again, more)
	}
	if got := l.recent(trial.uid); got != nil {
		t.Errorf("a dry run has repairs: %+v", got)
	}
	if l.namespaces["shop"].cover.result.Drifts != nil {
		t.Error("the drifts stay in memory with the namespace")
	}
	l.forget(a.uid)
	if len(l.drifts) != 0 {
		t.Errorf("the ledger still holds %v", l.drifts)
	}
}

func TestLedgerOfADriftOfManyFields(t *testing.T) {
	l := newLedger()
	a := entitled(t, "a", 1)
	found := driftIn("shop", 0)
	for range 20 {
		found.Changes = append(found.Changes, found.Changes[0])
	}
	l.covered("shop", outcome{policies: []selected{a}, result: apply.Result{Drifts: []apply.Drift{found}}})
	if got := len(l.recent(a.uid)); got != drift.MaxRepairs {
		t.Errorf("%d records, want %d", got, drift.MaxRepairs)
	}
}
