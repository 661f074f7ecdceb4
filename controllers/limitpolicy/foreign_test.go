// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

func foreignLimitRange(namespace, name string) *corev1.LimitRange {
	return &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Min: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("4Gi")},
		}}},
	}
}

// untouched fails the test if somebody wrote the object since it was created.
func untouched(t *testing.T, o *operator, object client.Object) {
	t.Helper()
	before := object.GetResourceVersion()
	if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	if object.GetResourceVersion() != before {
		t.Errorf("%s was written: %+v", object.GetName(), object)
	}
}

func TestForeignLimitRangeIsReported(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "foreign")
	foreign := foreignLimitRange(ns, "theirs")
	o.create(t, foreign)
	policy := o.policy(t, "foreign", maxMemory("1Gi"))
	quotas := o.policy(t, "foreign", hardPods("7"))

	got := o.await(t, policy, "Conflicted", func(p *v1alpha1.LimitPolicy) bool {
		return condition(p, v1alpha1.ConditionConflicted) == "True/ForeignLimits"
	})
	if want := "another LimitRange bounds the same namespace: " + ns + "/theirs"; message(got, v1alpha1.ConditionConflicted) != want {
		t.Errorf("the message is %q, want %q", message(got, v1alpha1.ConditionConflicted), want)
	}
	o.awaitReady(t, policy, "True/Enforced")
	o.wantBounds(t, "Container max memory=1Gi", ns)
	if got := o.awaitReady(t, quotas, "True/Enforced"); condition(got, v1alpha1.ConditionConflicted) != "" {
		t.Errorf("a policy that sets no limits is in conflict with a LimitRange: %+v", got.Status.Conditions)
	}

	second := foreignLimitRange(ns, "also-theirs")
	o.create(t, second)
	o.await(t, policy, "two foreign ones", func(p *v1alpha1.LimitPolicy) bool {
		return strings.HasSuffix(message(p, v1alpha1.ConditionConflicted), ns+"/also-theirs (and 1 more)")
	})
	untouched(t, o, foreign)
	untouched(t, o, second)
	for _, object := range []client.Object{foreign, second} {
		if err := o.client.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	o.await(t, policy, "Conflicted no more", func(p *v1alpha1.LimitPolicy) bool { return condition(p, v1alpha1.ConditionConflicted) == "" })
}

func TestNameTakenAndAdopted(t *testing.T) {
	t.Parallel()
	o := running(t)
	taken, free := o.namespace(t, "taken"), o.namespace(t, "taken")
	foreign := foreignLimitRange(taken, "fairlead")
	o.create(t, foreign)
	policy := o.policy(t, "taken", maxMemory("1Gi"))
	quotas := o.policy(t, "taken", hardPods("7"))

	got := o.awaitReady(t, policy, "False/NameTaken")
	for name, want := range map[string]string{
		v1alpha1.ConditionConflicted:  "True/NameTaken",
		v1alpha1.ConditionStalled:     "True/NameTaken",
		v1alpha1.ConditionReconciling: "",
	} {
		got = o.await(t, policy, name+" is "+want, func(p *v1alpha1.LimitPolicy) bool { return condition(p, name) == want })
	}
	if !strings.Contains(message(got, v1alpha1.ConditionReady), "LimitRange "+taken+"/fairlead was not made by Fairlead") {
		t.Errorf("Ready says %q", message(got, v1alpha1.ConditionReady))
	}
	if n := got.Status.Namespaces; n.Selected != 2 || n.Covered != 1 || n.Failed != 1 {
		t.Errorf("the counts are %+v", n)
	}
	o.wantBounds(t, "Container max memory=1Gi", free)
	o.awaitCovered(t, quotas, 2)
	untouched(t, o, foreign)

	change(t, o, foreign, func(l *corev1.LimitRange) { l.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} })
	o.wantBounds(t, "Container max memory=1Gi", taken)
	got = o.awaitCovered(t, policy, 2)
	if condition(got, v1alpha1.ConditionStalled)+condition(got, v1alpha1.ConditionConflicted) != "" {
		t.Errorf("after the adoption the conditions are %+v", got.Status.Conditions)
	}
	if made := o.limitRange(t, taken); made.UID != foreign.UID {
		t.Error("the foreign LimitRange was replaced, not adopted")
	}
}

func TestNameTakenAndFreed(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "freed")
	foreign := foreignLimitRange(ns, "fairlead")
	o.create(t, foreign)
	policy := o.policy(t, "freed", maxMemory("1Gi"))
	o.awaitReady(t, policy, "False/NameTaken")
	if err := o.client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.awaitCovered(t, policy, 1)
}

// TestUnselectedForeignNameStays holds that letting go of a namespace does not take somebody else's object along.
func TestUnselectedForeignNameStays(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "stays")
	foreign := foreignLimitRange(ns, "fairlead")
	o.create(t, foreign)
	policy := o.policy(t, "stays", maxMemory("1Gi"), hardPods("7"))
	o.awaitReady(t, policy, "False/NameTaken")
	o.wantPods(t, "7", ns)
	if err := o.client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	o.wantPods(t, "none", ns)
	untouched(t, o, foreign)
}

// TestDryRunSeesWhatWouldBeInTheWay names a LimitRange of our name as foreign before there is a conflict.
func TestDryRunSeesWhatWouldBeInTheWay(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "would")
	foreign := foreignLimitRange(ns, "fairlead")
	o.create(t, foreign)
	policy := o.policy(t, "would", maxMemory("1Gi"), dryRun)
	o.awaitReady(t, policy, "True/DryRun")
	got := o.await(t, policy, "Conflicted", func(p *v1alpha1.LimitPolicy) bool {
		return condition(p, v1alpha1.ConditionConflicted) == "True/ForeignLimits"
	})
	if !strings.HasSuffix(message(got, v1alpha1.ConditionConflicted), ns+"/fairlead") {
		t.Errorf("the message is %q", message(got, v1alpha1.ConditionConflicted))
	}
	untouched(t, o, foreign)
}

// TestContested lets somebody break the same field again and again.
func TestContested(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "contested")
	policy := o.policy(t, "contested", maxMemory("1Gi"), hardPods("7"))
	o.awaitCovered(t, policy, 1)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"limits":[{"type":"Container","max":{"memory":"9Gi"}}]}}`))
	testutil.Eventually(t, soon, "Contested", func() (bool, string) {
		object := foreignLimitRange(ns, "fairlead")
		if err := client.IgnoreNotFound(o.client.Patch(t.Context(), object, patch, client.FieldOwner(editor))); err != nil {
			t.Fatal(err)
		}
		now := &v1alpha1.LimitPolicy{}
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(policy), now); err != nil {
			t.Fatal(err)
		}
		text := message(now, v1alpha1.ConditionContested)
		return strings.Contains(text, ns+"/fairlead") && strings.Contains(text, "spec.limits") && strings.Contains(text, editor), fmt.Sprintf("%+v", now.Status.Conditions)
	})
	// The rest stays in repair.
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "fairlead"}}
	if err := o.client.Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	o.wantPods(t, "7", ns)
	// Nobody breaks it any more: it is repaired, if later.
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.awaitCovered(t, policy, 1)
}
