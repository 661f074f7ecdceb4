// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// The tests of this file are not parallel to others: they take the rules out of the CRD to store what an
// older one may have let through, and restart the operator.

// lax runs something while the CRD lets every spec through.
func (o *operator) lax(t *testing.T, do func()) {
	t.Helper()
	strict := &apiextensionsv1.CustomResourceDefinition{}
	text, err := os.ReadFile(filepath.Join(crds, "fleet.fairlead.io_limitpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, strict); err != nil {
		t.Fatal(err)
	}
	open := strict.DeepCopy()
	for i := range open.Spec.Versions {
		loosen(open.Spec.Versions[i].Schema.OpenAPIV3Schema.Properties["spec"], func(s apiextensionsv1.JSONSchemaProps) {
			open.Spec.Versions[i].Schema.OpenAPIV3Schema.Properties["spec"] = s
		})
	}
	o.putCRD(t, open, true)
	defer o.putCRD(t, strict, false)
	do()
}

// putCRD stores the CRD and waits until the API server goes by it.
func (o *operator) putCRD(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition, wantLax bool) {
	t.Helper()
	extensions, err := client.New(cluster.Config(t), client.Options{Scheme: extensionScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, soon, "the CRD is stored", func() (bool, string) {
		now := &apiextensionsv1.CustomResourceDefinition{}
		if err := extensions.Get(t.Context(), client.ObjectKeyFromObject(crd), now); err != nil {
			t.Fatal(err)
		}
		now.Spec.Versions = crd.Spec.Versions
		err := extensions.Update(t.Context(), now)
		return err == nil, fmt.Sprint(err)
	})
	testutil.Eventually(t, soon, fmt.Sprintf("the API server lets a bad spec through: %v", wantLax), func() (bool, string) {
		err := o.client.Create(t.Context(), policyFor("probe", maxMemory("plenty")), client.DryRunAll)
		return (err == nil) == wantLax, fmt.Sprint(err)
	})
}

// loosen takes all rules out of a schema but the types.
func loosen(s apiextensionsv1.JSONSchemaProps, put func(apiextensionsv1.JSONSchemaProps)) {
	s.XValidations, s.Enum, s.Pattern, s.Required, s.Default = nil, nil, "", nil, nil
	s.MaxLength, s.MinLength, s.MaxItems, s.MinItems, s.MaxProperties, s.MinProperties, s.Maximum, s.Minimum = nil, nil, nil, nil, nil, nil, nil, nil
	s.XListType, s.XListMapKeys = nil, nil
	for name, inner := range s.Properties {
		loosen(inner, func(in apiextensionsv1.JSONSchemaProps) { s.Properties[name] = in })
	}
	if s.Items != nil {
		loosen(*s.Items.Schema, func(in apiextensionsv1.JSONSchemaProps) { s.Items.Schema = &in })
	}
	if s.AdditionalProperties != nil {
		loosen(*s.AdditionalProperties.Schema, func(in apiextensionsv1.JSONSchemaProps) { s.AdditionalProperties.Schema = &in })
	}
	put(s)
}

func TestInvalidSpec(t *testing.T) {
	o := running(t)
	ns, shared := o.namespace(t, "invalid"), o.namespace(t, "invalid")
	policy := o.policy(t, "invalid", maxMemory("1Gi"), hardPods("7"))
	peer := policyFor("invalid", minMemory("1Mi"))
	peer.Spec.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] = v1alpha1.LabelValue(shared)
	o.create(t, peer)
	o.awaitCovered(t, policy, 2)
	o.awaitCovered(t, peer, 1)
	const both = "Container max memory=1Gi, min memory=1Mi"

	// While it runs, the last good spec stays in force and in repair.
	o.lax(t, func() {
		change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Limits[0].Max["memory"] = "plenty" })
	})
	o.wantInvalid(t, policy, `spec.limits[Container].max[memory]: "plenty" is not an amount`)
	change(t, o, o.limitRange(t, ns), func(l *corev1.LimitRange) { l.Spec.Limits[0].Max = nil })
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.wantBounds(t, both, shared)
	o.awaitCovered(t, peer, 1)

	// A new operator does not know the last good spec: it touches nothing where the policy has a part.
	o.restart(t, peer)
	late := o.namespace(t, "invalid")
	o.wantInvalid(t, policy, `spec.limits[Container].max[memory]: "plenty" is not an amount`)
	got := o.awaitReady(t, peer, "Unknown/Paused")
	if want := shared + ", policy " + policy.Name + " cannot be read"; !strings.HasSuffix(message(got, v1alpha1.ConditionReady), want) {
		t.Errorf("the peer's Ready says %q, want %q", message(got, v1alpha1.ConditionReady), want)
	}
	elsewhere := o.policy(t, "invalid-not", maxMemory("3Gi"))
	o.namespace(t, "invalid-not")
	o.awaitCovered(t, elsewhere, 1)
	if a, b, c := o.bounds(t, ns), o.bounds(t, shared), o.bounds(t, late); a != "Container max memory=1Gi" || b != both || c != "none" {
		t.Errorf("after the restart there is %s, %s and in a new namespace %s", a, b, c)
	}
	o.wantPods(t, "7", ns, shared)
	if got := o.awaitReady(t, policy, "False/InvalidSpec"); got.Status.Namespaces == nil || got.Status.Namespaces.Selected != 2 {
		t.Errorf("the counts are %+v: what is not known any more stays as it was told", got.Status.Namespaces)
	}

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Limits[0].Max["memory"] = "2Gi" })
	o.wantBounds(t, "Container max memory=2Gi", ns, late)
	o.wantBounds(t, "Container max memory=2Gi, min memory=1Mi", shared)
	o.awaitCovered(t, policy, 3)
	o.awaitCovered(t, peer, 1)
}

func (o *operator) wantInvalid(t *testing.T, policy *v1alpha1.LimitPolicy, why string) {
	t.Helper()
	got := o.awaitReady(t, policy, "False/InvalidSpec")
	if condition(got, v1alpha1.ConditionStalled) != "True/InvalidSpec" || condition(got, v1alpha1.ConditionReconciling) != "" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	if got := message(got, v1alpha1.ConditionReady); got != why+"; what was in force stays in force" {
		t.Errorf("Ready says %q, want %q", got, why)
	}
}

func TestRefusedByTheAPIServer(t *testing.T) {
	o := running(t)
	ns := o.namespace(t, "refused")
	policy := o.policy(t, "refused", maxMemory("1Gi"), hardPods("7"))
	peer := o.policy(t, "refused", minMemory("1Mi"))
	o.awaitCovered(t, policy, 1)
	o.lax(t, func() {
		change(t, o, policy, func(p *v1alpha1.LimitPolicy) {
			p.Spec.Quota.Hard = v1alpha1.Amounts{"pods": "9", "nonsense": "1"}
			maxMemory("2Gi")(&p.Spec)
		})
	})
	refused := func() {
		t.Helper()
		got := o.awaitReady(t, policy, "False/RefusedByAPIServer")
		if text := message(got, v1alpha1.ConditionReady); !strings.Contains(text, "ResourceQuota "+ns+"/fairlead: ") ||
			!strings.Contains(text, "nonsense") || !strings.HasSuffix(text, "what was in force stays in force") {
			t.Errorf("Ready says %q", text)
		}
		o.await(t, policy, "Stalled", func(p *v1alpha1.LimitPolicy) bool {
			return condition(p, v1alpha1.ConditionStalled) == "True/RefusedByAPIServer" && p.Status.Namespaces.Failed == 1
		})
		// What is not refused is in force, what was in force before the refused quota is in repair.
		o.wantBounds(t, "Container max memory=2Gi, min memory=1Mi", ns)
		o.awaitCovered(t, peer, 1)
		quota := &corev1.ResourceQuota{}
		if err := o.client.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "fairlead"}, quota); err != nil {
			t.Fatal(err)
		}
		change(t, o, quota, func(q *corev1.ResourceQuota) { q.Spec.Hard = corev1.ResourceList{} })
		o.wantPods(t, "7", ns)
	}
	refused()
	o.restart(t, policy)
	refused()
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { delete(p.Spec.Quota.Hard, "nonsense") })
	o.wantPods(t, "9", ns)
	o.awaitCovered(t, policy, 1)
}

// TestBadObjectsDoNoHarm stores specs that no rule has seen, and restarts the operator among them.
func TestBadObjectsDoNoHarm(t *testing.T) {
	o := running(t)
	good := o.policy(t, "good", maxMemory("1Gi"))
	o.namespace(t, "good")
	o.namespace(t, "harm")
	var stored []*v1alpha1.LimitPolicy
	o.lax(t, func() {
		for i, spec := range append(badSpecs(), randomSpecs(60)...) {
			policy := &v1alpha1.LimitPolicy{ObjectMeta: metav1.ObjectMeta{Name: unique("harm")}, Spec: spec}
			if err := o.client.Create(t.Context(), policy); err != nil {
				t.Logf("spec %d is not stored: %v", i, err)
				continue
			}
			t.Cleanup(func() { _ = o.client.Delete(o.background(t), policy) })
			stored = append(stored, policy)
		}
		// Under the rules again, the API server refuses even the status of some of them.
		for _, policy := range stored {
			o.await(t, policy, "a status", func(p *v1alpha1.LimitPolicy) bool { return condition(p, v1alpha1.ConditionReady) != "" })
		}
	})
	if len(stored) < 60 {
		t.Errorf("only %d specs could be stored", len(stored))
	}
	for range 2 {
		o.awaitCovered(t, good, 1)
		late := o.namespace(t, "good")
		o.wantBounds(t, "Container max memory=1Gi", late)
		remove(t, o, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: late}})
		stalled := 0
		for _, policy := range stored {
			got := o.await(t, policy, "a status", func(p *v1alpha1.LimitPolicy) bool { return condition(p, v1alpha1.ConditionReady) != "" })
			honest(t, got)
			if condition(got, v1alpha1.ConditionStalled) != "" {
				stalled++
			}
		}
		if stalled < 30 {
			t.Errorf("only %d of %d bad specs are Stalled", stalled, len(stored))
		}
		o.restart(t, good)
	}
	for _, name := range []string{"limitpolicy-namespace", "limitpolicy-report", "limitpolicy-status"} {
		if panics, ok := figure(t, "controller_runtime_reconcile_panics_total", "controller", name); !ok || panics != 0 {
			t.Errorf("%s panicked %v times (known: %v)", name, panics, ok)
		}
	}
}

// badSpecs each break one thing.
func badSpecs() []v1alpha1.LimitPolicySpec {
	var out []v1alpha1.LimitPolicySpec
	add := func(edit func(*v1alpha1.LimitPolicySpec)) {
		policy := policyFor("harm", maxMemory("1Gi"), hardPods("7"))
		edit(&policy.Spec)
		out = append(out, policy.Spec)
	}
	for _, amount := range []v1alpha1.Amount{"", "-1", "1e999999999", "NaN", "1,5", "٣", "0x10", "1Gi ", v1alpha1.Amount(strings.Repeat("9", 5000))} {
		add(maxMemory(amount))
		add(hardPods(amount))
	}
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits = append(s.Limits, s.Limits[0]) })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits[0].Type = "" })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits[0].Type = "Node" })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits[0].Type = "example.com/thing" })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits[0].Max = v1alpha1.Amounts{"": "1", "a b": "2", "é": "3"} })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Limits[0].Min = v1alpha1.Amounts{"memory": "2Gi"} })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Quota.Hard = nil })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Quota.Hard = v1alpha1.Amounts{"": "1", "no/such/thing": "2"} })
	add(func(s *v1alpha1.LimitPolicySpec) {
		s.Quota.Scopes = []corev1.ResourceQuotaScope{"", "Sometimes", "Terminating", "NotTerminating"}
	})
	add(func(s *v1alpha1.LimitPolicySpec) { s.Quota.ScopeSelector = &v1alpha1.ScopeSelector{} })
	add(func(s *v1alpha1.LimitPolicySpec) {
		s.Quota.ScopeSelector = &v1alpha1.ScopeSelector{MatchExpressions: []v1alpha1.ScopeExpression{{ScopeName: "PriorityClass", Operator: "Near", Values: []string{"", "\x00"}}}}
	})
	add(func(s *v1alpha1.LimitPolicySpec) { s.Enforcement = "dryrun" })
	add(func(s *v1alpha1.LimitPolicySpec) { s.Drift = "?" })
	add(func(s *v1alpha1.LimitPolicySpec) { s.NamespaceSelector.MatchLabels["a b"] = "c d" })
	add(func(s *v1alpha1.LimitPolicySpec) {
		s.NamespaceSelector.MatchExpressions = []v1alpha1.LabelExpression{{Key: "", Operator: "Like", Values: []v1alpha1.LabelValue{"%"}}}
	})
	add(func(s *v1alpha1.LimitPolicySpec) {
		*s = v1alpha1.LimitPolicySpec{NamespaceSelector: s.NamespaceSelector}
	})
	return out
}

// randomSpecs are always the same.
func randomSpecs(count int) []v1alpha1.LimitPolicySpec {
	random := rand.New(rand.NewPCG(3, 4))
	text := func() string {
		words := []string{"", "cpu", "memory", "storage", "Container", "Pod", "PersistentVolumeClaim", "BestEffort", "In", "Exists", "1", "2Gi", "-5", "1e9", "x\ny", "💥", "a/b/c", "tier"}
		return words[random.IntN(len(words))]
	}
	amounts := func() v1alpha1.Amounts {
		out := v1alpha1.Amounts{}
		for range random.IntN(3) {
			out[corev1.ResourceName(text())] = v1alpha1.Amount(text())
		}
		return out
	}
	var out []v1alpha1.LimitPolicySpec
	for range count {
		spec := policyFor("harm").Spec
		spec.Priority = int32(random.Uint32())
		for range random.IntN(4) {
			spec.Limits = append(spec.Limits, v1alpha1.LimitItem{
				Type: corev1.LimitType(text()), Max: amounts(), Min: amounts(), Default: amounts(), DefaultRequest: amounts(), MaxLimitRequestRatio: amounts(),
			})
		}
		if random.IntN(2) == 0 {
			spec.Quota = &v1alpha1.Quota{Hard: amounts(), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScope(text())}}
			spec.Quota.ScopeSelector = &v1alpha1.ScopeSelector{MatchExpressions: []v1alpha1.ScopeExpression{{
				ScopeName: corev1.ResourceQuotaScope(text()), Operator: corev1.ScopeSelectorOperator(text()), Values: []string{text()},
			}}}
		}
		if random.IntN(3) == 0 {
			spec.NamespaceSelector.MatchExpressions = []v1alpha1.LabelExpression{{
				Key: text(), Operator: metav1.LabelSelectorOperator(text()), Values: []v1alpha1.LabelValue{v1alpha1.LabelValue(text())},
			}}
		}
		out = append(out, spec)
	}
	return out
}
