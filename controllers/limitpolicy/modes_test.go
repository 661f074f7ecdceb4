// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// writesTo lists the operator's writes into a namespace.
func (o *operator) writesTo(namespace string) []testutil.Request {
	return o.requests.Select(func(r testutil.Request) bool {
		return r.Write() && strings.Contains(r.Path, "/namespaces/"+namespace+"/")
	})
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	o := running(t)
	a, b := o.namespace(t, "dry"), o.namespace(t, "dry")
	o.create(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: a, Name: "large"}, Spec: podSpec("2Gi")})
	o.create(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: b, Name: "open"}, Spec: podSpec("")})
	policy := o.policy(t, "dry", maxMemory("1Gi"), hardPods("7"), dryRun)

	got := o.await(t, policy, "its report", func(p *v1alpha1.LimitPolicy) bool {
		return condition(p, v1alpha1.ConditionReady) == "True/DryRun" && p.Status.Report != nil
	})
	if r := got.Status.Report; r.Refused != 1 || r.Changed != 1 || r.Top[0].Name != "large" || r.Top[0].Namespace != a ||
		r.Top[0].Message != "maximum memory usage per Container is 1Gi, but limit is 2Gi" {
		t.Errorf("the report is %+v", r)
	}
	if message(got, v1alpha1.ConditionReady) != "2 namespaces examined, nothing written" {
		t.Errorf("Ready says %q", message(got, v1alpha1.ConditionReady))
	}
	for _, ns := range []string{a, b} {
		if writes := o.writesTo(ns); len(writes) != 0 {
			t.Errorf("a dry run wrote into %s: %+v", ns, writes)
		}
		if o.bounds(t, ns) != "none" || o.pods(t, ns) != "none" {
			t.Errorf("a dry run has made something in %s", ns)
		}
	}
}

func TestEnforceToDryRunAndBack(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "trial")
	policy := o.policy(t, "trial", maxMemory("1Gi"), hardPods("7"))
	o.awaitCovered(t, policy, 1)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { dryRun(&p.Spec) })
	o.awaitReady(t, policy, "True/DryRun")
	// Ready says that nothing is written: what was, is gone.
	if o.bounds(t, ns) != "none" || o.pods(t, ns) != "none" {
		t.Errorf("a dry run left %s and %s", o.bounds(t, ns), o.pods(t, ns))
	}
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Enforcement = v1alpha1.Enforce })
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.awaitCovered(t, policy, 1)
}

// TestDryRunBesideEnforced tells what a policy would do and lose beside one in force.
func TestDryRunBesideEnforced(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "beside")
	o.create(t, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "middle"}, Spec: podSpec("512Mi")})
	enforced := o.policy(t, "beside", maxMemory("1Gi"), hardPods("7"), priority(5))
	tighter := o.policy(t, "beside", maxMemory("256Mi"), priority(9), dryRun)
	looser := o.policy(t, "beside", maxMemory("2Gi"), priority(1), dryRun)

	for _, test := range []struct {
		policy     *v1alpha1.LimitPolicy
		refused    int32
		overridden string
	}{{enforced, 0, ""}, {tighter, 1, ""}, {looser, 0, "True/HigherPriorityWins"}} {
		o.await(t, test.policy, "its report and what it loses", func(p *v1alpha1.LimitPolicy) bool {
			return p.Status.Report != nil && p.Status.Report.Refused == test.refused && condition(p, v1alpha1.ConditionOverridden) == test.overridden &&
				strings.HasPrefix(condition(p, v1alpha1.ConditionReady), "True/")
		})
	}
	o.wantBounds(t, "Container max memory=1Gi", ns)
}

func TestPaused(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "paused")
	policy := o.policy(t, "paused", maxMemory("1Gi"))
	peer := o.policy(t, "paused", hardPods("7"))
	o.awaitCovered(t, policy, 1)
	o.awaitCovered(t, peer, 1)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"} })
	got := o.awaitReady(t, policy, "Unknown/Paused")
	if want := ns + ", policy " + policy.Name + " is paused"; !strings.HasSuffix(message(got, v1alpha1.ConditionReady), want) {
		t.Errorf("Ready says %q, want %q", message(got, v1alpha1.ConditionReady), want)
	}
	o.awaitReady(t, peer, "Unknown/Paused")
	before := len(o.writesTo(ns))

	// None of these is undone or put in force: a foreign change, another spec, the end of the selection.
	change(t, o, o.limitRange(t, ns), func(l *corev1.LimitRange) { l.Spec.Limits[0].Max = foreignLimitRange("", "").Spec.Limits[0].Min })
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("2Gi")(&p.Spec) })
	o.awaitReady(t, policy, "Unknown/Paused")
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.NamespaceSelector.MatchLabels[tier] = "paused-elsewhere" })
	o.await(t, policy, "nothing selected", func(p *v1alpha1.LimitPolicy) bool {
		return p.Status.Namespaces.Selected == 0 && condition(p, v1alpha1.ConditionReady) == "Unknown/Paused"
	})
	if got := o.bounds(t, ns); got != "Container max memory=4Gi" {
		t.Errorf("while paused the limits became %s", got)
	}
	if writes := o.writesTo(ns)[before:]; len(writes) != 0 {
		t.Errorf("while paused there were writes: %+v", writes)
	}

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) {
		p.Annotations = nil
		p.Spec.NamespaceSelector.MatchLabels[tier] = "paused"
	})
	o.wantBounds(t, "Container max memory=2Gi", ns)
	o.awaitCovered(t, policy, 1)
	o.awaitCovered(t, peer, 1)
}

func TestWarn(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "warns")
	policy := o.policy(t, "warns", maxMemory("1Gi"), func(spec *v1alpha1.LimitPolicySpec) { spec.Drift = v1alpha1.Warn })
	o.awaitCovered(t, policy, 1)
	made := o.limitRange(t, ns)
	change(t, o, made, func(l *corev1.LimitRange) { l.Spec.Limits[0].Max = foreignLimitRange("", "").Spec.Limits[0].Min })

	got := o.awaitReady(t, policy, "False/ForeignEdits")
	if condition(got, v1alpha1.ConditionDrifted) != "True/ForeignEdits" || condition(got, v1alpha1.ConditionReconciling) != "" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	if message(got, v1alpha1.ConditionDrifted) != "left as found: LimitRange "+ns+"/fairlead" {
		t.Errorf("Drifted says %q", message(got, v1alpha1.ConditionDrifted))
	}
	if r := got.Status.Repairs; len(r) == 0 || r[0].Repaired || r[0].Manager != editor || r[0].Found != "4Gi" || r[0].Want != "1Gi" {
		t.Errorf("the change is told as %+v", r)
	}
	event := o.awaitEvent(t, policy, "DriftFound")
	if event.Type != corev1.EventTypeWarning || !strings.Contains(event.Note, "changed from 1Gi to 4Gi by "+editor) {
		t.Errorf("the event is %s: %s", event.Type, event.Note)
	}
	if got := o.bounds(t, ns); got != "Container max memory=4Gi" {
		t.Errorf("in mode Warn the limits became %s", got)
	}

	// A new spec is put in force, and one policy that wants repairs is enough.
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Drift = v1alpha1.Repair })
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.awaitCovered(t, policy, 1)
	if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	if condition(policy, v1alpha1.ConditionDrifted) != "" {
		t.Errorf("Drifted stays: %+v", policy.Status.Conditions)
	}
}
