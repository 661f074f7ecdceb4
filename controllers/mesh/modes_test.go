// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"context"
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// selectorKey is a foreign change of the Service of istiod.
const selectorKey = `[{"op":"add","path":"/spec/selector/x","value":"y"}]`

// wantKey checks that a foreign change of the Service stands.
func (o *operator) wantKey(t *testing.T, service *unstructured.Unstructured) {
	t.Helper()
	now := service.DeepCopy()
	if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(service), now); err != nil {
		t.Fatal(err)
	}
	if value, _, _ := unstructured.NestedString(now.Object, "spec", "selector", "x"); value != "y" {
		t.Errorf("the change was undone")
	}
}

func TestWarn(t *testing.T) {
	o := running(t)
	m := o.applied(t, o.mesh(t, "warns", "1.31", func(m *v1alpha1.Mesh) { m.Spec.Drift = v1alpha1.Warn }))
	service := o.subject(t, m, edit{kind: "Service", name: "istiod-REV"})
	o.edit(t, service.DeepCopy(), selectorKey)
	got := o.awaitReady(t, m, "False/ForeignEdits")
	if condition(got, v1alpha1.ConditionDrifted) != "True/ForeignEdits" || len(got.Status.Repairs) != 1 || got.Status.Repairs[0].Repaired ||
		got.Status.Repairs[0].Manager != editor {
		t.Errorf("the status is %+v", got.Status)
	}
	o.wantKey(t, service)
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Drift = v1alpha1.Repair })
	o.repaired(t, service)
	o.applied(t, m)
}

func TestPaused(t *testing.T) {
	o := running(t)
	m := o.applied(t, o.mesh(t, "paused", "1.31"))
	service := o.subject(t, m, edit{kind: "Service", name: "istiod-REV"})
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"} })
	o.awaitReady(t, m, "Unknown/Paused")
	o.edit(t, service.DeepCopy(), selectorKey)
	o.awaitReady(t, m, "Unknown/Paused")
	o.wantKey(t, service)
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Annotations = nil })
	o.repaired(t, service)
	o.applied(t, m)
}

// TestNameTaken: what others made is not taken, unless they allow it.
func TestNameTaken(t *testing.T) {
	o := running(t)
	namespace := testutil.Namespace(t, cluster.Config(t), "taken")
	m := o.mesh(t, "taken", "1.31", func(m *v1alpha1.Mesh) { m.Spec.Namespace = v1alpha1.NamespaceName(namespace) })
	o.applied(t, m)
	o.uninstall(t, m)
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "istio-" + m.Name + "-1-31-0"}, Data: map[string]string{"x": "y"}}
	if err := o.client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	m.ResourceVersion, m.UID, m.Finalizers, m.DeletionTimestamp = "", "", nil, nil
	if err := o.client.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := o.awaitReady(t, m, "False/NameTaken")
	if condition(got, v1alpha1.ConditionConflicted) != "True/NameTaken" || condition(got, v1alpha1.ConditionStalled) != "True/NameTaken" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	change(t, o, theirs, func(c *corev1.ConfigMap) { c.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} })
	// Foreign objects are looked at twice a minute; a change of the mesh is faster.
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.EndOfLife = v1alpha1.EndOfLifeRefuse })
	o.applied(t, m)
}

// TestForeignInjector: where somebody else injects without a revision, no tag of ours does as well.
func TestForeignInjector(t *testing.T) {
	o := running(t)
	theirs := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-sidecar-injector", Labels: map[string]string{"app": "sidecar-injector", "istio.io/rev": "default"}},
	}
	if err := o.client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(o.client.Delete(context.WithoutCancel(t.Context()), theirs)); err != nil {
			t.Error(err)
		}
	})
	m := o.applied(t, o.mesh(t, "beside", "1.31"))
	tag := client.ObjectKey{Name: "istio-revision-tag-default"}
	if err := o.client.Get(t.Context(), tag, &admissionv1.MutatingWebhookConfiguration{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is a second injector: %v", err)
	}
	if err := o.client.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, soon, "mesh "+m.Name+" has the tag when they are gone", func() (bool, string) {
		err := o.client.Get(t.Context(), tag, &admissionv1.MutatingWebhookConfiguration{})
		return err == nil, fmt.Sprint(err)
	})
}
