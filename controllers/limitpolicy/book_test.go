// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

func policyOf(name string, spec v1alpha1.LimitPolicySpec) *v1alpha1.LimitPolicy {
	return &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1}, Spec: spec,
	}
}

func containerMax(memory string) []v1alpha1.LimitItem {
	return []v1alpha1.LimitItem{{Type: "Container", Max: v1alpha1.Amounts{"memory": v1alpha1.Amount(memory)}}}
}

func mustRead(t *testing.T, policy *v1alpha1.LimitPolicy) *page {
	t.Helper()
	page, err := read(policy)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestBookKeepsTheLastGoodPage(t *testing.T) {
	b := newBook("own")
	policy := policyOf("team", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	good, err := b.open(policy)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := b.open(policy); again != good {
		t.Error("the same spec was read twice")
	}

	policy.Generation, policy.Spec.Limits = 2, containerMax("plenty")
	for range 2 {
		kept, err := b.open(policy)
		if kept != good || err == nil || !strings.Contains(err.Error(), `"plenty" is not an amount`) {
			t.Errorf("a bad spec gives %+v and %v, want the last good page and why", kept, err)
		}
	}

	policy.Generation, policy.Spec.Limits = 3, containerMax("2Gi")
	fixed, err := b.open(policy)
	if err != nil || fixed == good || fixed.generation != 3 {
		t.Errorf("the corrected spec gives %+v, %v", fixed, err)
	}
	if len(b.bad) != 0 {
		t.Errorf("the bad spec is remembered: %v", b.bad)
	}
}

func TestBookWithoutAGoodPage(t *testing.T) {
	b := newBook("own")
	policy := policyOf("team", v1alpha1.LimitPolicySpec{Limits: containerMax("plenty")})
	if page, err := b.open(policy); page != nil || err == nil {
		t.Errorf("a spec that was never readable gives %+v, %v", page, err)
	}
	b.close(policy.UID)
	if len(b.bad)+len(b.pages) != 0 {
		t.Errorf("the book still holds %v %v", b.pages, b.bad)
	}
}

func TestBookTellsRecreatedPoliciesApart(t *testing.T) {
	b := newBook("own")
	policy := policyOf("team", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	first, _ := b.open(policy)
	policy.UID, policy.Spec.Limits = "another", containerMax("2Gi")
	if second, err := b.open(policy); err != nil || second == first {
		t.Errorf("the new policy of an old name and generation gives the old page (%v)", err)
	}
}

func TestReadRefuses(t *testing.T) {
	selector := v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"a b": "c"}}
	for want, spec := range map[string]v1alpha1.LimitPolicySpec{
		"spec.namespaceSelector: ":                                 {NamespaceSelector: selector},
		`spec.enforcement: "dryrun" is neither Enforce nor DryRun`: {Enforcement: "dryrun"},
		`spec.drift: "Ignore" is neither Repair nor Warn`:          {Drift: "Ignore"},
		"spec.limits[Container].max[memory]: ":                     {Limits: containerMax("x")},
	} {
		if _, err := read(policyOf("team", spec)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v gives %v, want %s", spec, err, want)
		}
	}
}

func TestSelects(t *testing.T) {
	name := "kubernetes.io/metadata.name"
	labels := func(key string, value v1alpha1.LabelValue) v1alpha1.NamespaceSelector {
		return v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{key: value}}
	}
	term := func(key string, operator metav1.LabelSelectorOperator, values ...v1alpha1.LabelValue) v1alpha1.NamespaceSelector {
		return v1alpha1.NamespaceSelector{MatchExpressions: []v1alpha1.LabelExpression{{Key: key, Operator: operator, Values: values}}}
	}
	all := v1alpha1.NamespaceSelector{}
	for _, test := range []struct {
		selector  v1alpha1.NamespaceSelector
		namespace string
		want      bool
	}{
		{all, "shop", true},
		{all, "default", true},
		{all, "kubernetes-dashboard", true},
		{all, "openshiftless", true},
		{all, "kube-system", false},
		{all, "kube-public", false},
		{all, "openshift", false},
		{all, "openshift-ingress", false},
		{all, "own", false},
		{labels("tier", "team"), "shop", true},
		{labels("tier", "other"), "shop", false},
		{labels("tier", "team"), "kube-system", false},
		{labels(name, "kube-system"), "kube-system", true},
		{labels(name, "own"), "own", true},
		{labels(name, "kube-system"), "kube-public", false},
		{term(name, metav1.LabelSelectorOpIn, "shop", "kube-system"), "kube-system", true},
		{term(name, metav1.LabelSelectorOpIn, "shop", "kube-system"), "shop", true},
		{term(name, metav1.LabelSelectorOpIn, "shop"), "own", false},
		{term(name, metav1.LabelSelectorOpNotIn, "shop"), "kube-system", false},
		{term(name, metav1.LabelSelectorOpExists), "kube-system", false},
		{term(name, metav1.LabelSelectorOpExists), "shop", true},
		{term("tier", metav1.LabelSelectorOpDoesNotExist), "shop", false},
	} {
		b := newBook("own")
		namespace := &metav1.PartialObjectMetadata{}
		namespace.Name, namespace.Labels = test.namespace, map[string]string{"tier": "team", name: test.namespace}
		page := mustRead(t, policyOf("team", v1alpha1.LimitPolicySpec{NamespaceSelector: test.selector}))
		if got := b.selects(page, namespace); got != test.want {
			t.Errorf("%+v selects %s: %v, want %v", test.selector, test.namespace, got, test.want)
		}
	}
}

func TestMakes(t *testing.T) {
	ref := func(gvkOf string, name string) apply.Ref {
		gvk := limitRanges
		if gvkOf == "ResourceQuota" {
			gvk = resourceQuotas
		}
		return apply.Ref{GroupVersionKind: gvk, NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
	}
	quota := &v1alpha1.Quota{Hard: v1alpha1.Amounts{"pods": "1"}}
	for _, test := range []struct {
		what string
		spec v1alpha1.LimitPolicySpec
		ref  apply.Ref
		want bool
	}{
		{"limits, LimitRange", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")}, ref("LimitRange", "fairlead"), true},
		{"limits, ResourceQuota", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")}, ref("ResourceQuota", "fairlead"), false},
		{"quota, LimitRange", v1alpha1.LimitPolicySpec{Quota: quota}, ref("LimitRange", "fairlead"), false},
		{"quota, ResourceQuota", v1alpha1.LimitPolicySpec{Quota: quota}, ref("ResourceQuota", "fairlead"), true},
		{"quota, that of other scopes", v1alpha1.LimitPolicySpec{Quota: quota}, ref("ResourceQuota", "fairlead-12345678"), false},
		{"dry run", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi"), Enforcement: v1alpha1.DryRun}, ref("LimitRange", "fairlead"), false},
	} {
		if got := mustRead(t, policyOf("team", test.spec)).makes(test.ref); got != test.want {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
}
