// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// injectField has the API server set data.injected of every ConfigMap of a namespace, on creation and on update,
// and waits until it does.
func injectField(t *testing.T, client kubernetes.Interface, namespace string) {
	t.Helper()
	ctx := t.Context()
	admission := client.AdmissionregistrationV1()
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				},
			}}},
			ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			FailurePolicy:      ptr.To(admissionv1.Fail),
			Mutations: []admissionv1.Mutation{{
				PatchType:          admissionv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `Object{data: {"injected": "yes"}}`},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{
			PolicyName: namespace,
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: namespace},
			}},
		},
	}
	if _, err := admission.MutatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admission.MutatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		_ = admission.MutatingAdmissionPolicyBindings().Delete(ctx, namespace, metav1.DeleteOptions{})
		_ = admission.MutatingAdmissionPolicies().Delete(ctx, namespace, metav1.DeleteOptions{})
	})
	testutil.Eventually(t, 2*soon, "the policy is in force", func() (bool, string) {
		probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Data: map[string]string{"a": "1"}}
		made, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && made.Data["injected"] == "yes", fmt.Sprint(err)
	})
}

// TestAdmissionDefaults has an admission policy set a field in every object: that is neither repaired nor told,
// whether the policy was there first or came later.
func TestAdmissionDefaults(t *testing.T) {
	t.Parallel()
	config := cluster.Config(t)
	client := testutil.Clientset(t, config)
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		namespace := testutil.Namespace(t, config, "policy")
		key := "policy/" + namespace
		injectField(t, client, namespace)
		o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
		o.applied(key, configMap(namespace, "a"))
		ref := o.ref(configMap(namespace, "a"))
		toleratesInjected(t, o, key, ref, 1)
		o.stop()

		again := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
		again.applied(key, configMap(namespace, "a"))
		toleratesInjected(t, again, key, ref, 0)
	})
	t.Run("after", func(t *testing.T) {
		t.Parallel()
		namespace := testutil.Namespace(t, config, "policy")
		key := "policy/" + namespace
		o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
		o.applied(key, configMap(namespace, "b"))
		ref := o.ref(configMap(namespace, "b"))
		injectField(t, client, namespace)
		// The first write of anybody brings the field in. One write of ours finds out that it is there to stay.
		from := o.now(key)
		o.patch(ref, `[{"op":"add","path":"/metadata/labels/theirs","value":"0"}]`)
		o.settled(key, from)
		toleratesInjected(t, o, key, ref, 2)
	})
}

// toleratesInjected edits an object several times and checks that only the edit is repaired and told, at one
// write each.
func toleratesInjected(t *testing.T, o *operator, key string, ref Ref, writes int) {
	t.Helper()
	for i := range 3 {
		from := o.now(key)
		o.patch(ref, fmt.Sprintf(`[{"op":"add","path":"/metadata/labels/theirs","value":"%d"}]`, i+1))
		o.patch(ref, matrix[2].value.patch)
		if drift := o.drift(key, from); len(drift.Changes) != 1 || drift.Changes[0].Path != "data[a]" {
			t.Errorf("drift is %+v", drift)
		}
		o.settled(key, from)
	}
	for _, r := range o.runs(key, 0) {
		for _, drift := range r.Drifts {
			if strings.Contains(fmt.Sprint(drift), "injected") {
				t.Errorf("the injected field is told: %+v", drift)
			}
		}
	}
	if live := o.content(ref); !strings.Contains(live, `"injected":"yes"`) {
		t.Errorf("the injected field went: %s", live)
	}
	if asked := o.requests.Writes(o.path(ref)); len(asked) != writes+3 {
		t.Errorf("writes were %+v, want %d and one for each of 3 edits", asked, writes)
	}
}

// TestNewerAPIServer has the API server upgraded to one that knows a field more: it stands in what is read
// under the resourceVersion of before.
func TestNewerAPIServer(t *testing.T) {
	t.Parallel()
	for name, looks := range map[string]bool{"seen at rest": true, "seen with an edit": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "newer")
			key := "newer/" + namespace
			newer := &testutil.Rewrite{Resource: "configmaps", Object: func(object map[string]any) { object["newField"] = "default" }}
			o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name(), wrap: func(c *rest.Config) { c.Wrap(newer.Wrap) }})
			o.applied(key, configMap(namespace, "a"))
			ref := o.ref(configMap(namespace, "a"))
			version := o.get(ref).GetResourceVersion()
			cached := func() *Object { return o.engine.caches[ref.GroupVersionKind].get(ref.NamespacedName) }
			testutil.Eventually(t, soon, "the object is cached", func() (bool, string) { return cached() != nil, "" })

			newer.Enable()
			o.expire()
			testutil.Eventually(t, soon, "the new field is cached", func() (bool, string) {
				return strings.Contains(string(cached().content), "newField"), string(cached().content)
			})
			from := o.now(key)
			if looks {
				o.kick(key)
				if r := o.settled(key, from); len(r.Drifts) > 0 || r.Writes > 0 || cached().ResourceVersion != version {
					t.Errorf("a new field under the old version gives %+v", r)
				}
			}
			o.patch(ref, matrix[2].value.patch)
			if drift := o.drift(key, from); len(drift.Changes) != 1 || drift.Changes[0].Path != "data[a]" {
				t.Errorf("drift is %+v", drift)
			}
			from = o.now(key)
			o.patch(ref, matrix[2].key.patch)
			o.drift(key, from)
			if asked := o.requests.Writes(o.path(ref)); len(asked) != 3 || strings.Contains(asked[2].Body, "newField") {
				t.Errorf("writes were %+v, want a creation and two repairs, the last without the new field", asked)
			}
			o.stop()

			again := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name(), wrap: func(c *rest.Config) { c.Wrap(newer.Wrap) }})
			again.applied(key, configMap(namespace, "a"))
			if asked := again.requests.Select(func(r testutil.Request) bool { return r.Write() || r.DryRun }); len(asked) != 0 {
				t.Errorf("after a restart: %+v", asked)
			}
		})
	}
}
