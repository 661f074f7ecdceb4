// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// member makes a pod with a proxy of the revision that a mesh has.
func (o *operator) member(t *testing.T, m *v1alpha1.Mesh) *corev1.Pod {
	t.Helper()
	namespace := testutil.Namespace(t, cluster.Config(t), "member")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "web", Labels: map[string]string{"service.istio.io/canonical-name": "web"},
			Annotations: map[string]string{"sidecar.istio.io/status": "{}", "istio.io/rev": m.Status.Revisions[0].Name},
		},
		Spec: corev1.PodSpec{
			Containers:                   []corev1.Container{{Name: "istio-proxy", Image: "x"}},
			AutomountServiceAccountToken: new(false), TerminationGracePeriodSeconds: new(int64(0)),
		},
	}
	testutil.Eventually(t, soon, "the pod is taken", func() (bool, string) {
		err := o.client.Create(t.Context(), pod)
		return err == nil, fmt.Sprint(err)
	})
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(o.client.Delete(context.WithoutCancel(t.Context()), pod)); err != nil {
			t.Error(err)
		}
	})
	return pod
}

// TestMembersKeepTheMesh: a mesh that is deleted stays while members use it, is kept right, and goes with the last of them.
func TestMembersKeepTheMesh(t *testing.T) {
	o := running(t)
	m := o.applied(t, o.mesh(t, "kept", "1.31"))
	pod := o.member(t, m)
	o.await(t, m, "the workload is counted", func(m *v1alpha1.Mesh) bool { return m.Status.Revisions[0].Workloads == 1 })
	if err := o.client.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := o.awaitReady(t, m, "False/MembersRemain")
	if condition(got, v1alpha1.ConditionStalled) != "True/MembersRemain" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	before := o.subject(t, got, edit{kind: "Service", name: "istiod-REV"})
	o.edit(t, before.DeepCopy(), `[{"op":"add","path":"/spec/selector/x","value":"y"}]`)
	o.repaired(t, before)
	// Finished pods use nothing.
	pod.Status.Phase = corev1.PodSucceeded
	if err := o.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	o.uninstall(t, m)
	if left := o.objects(t, m.Name); len(left) > 0 {
		t.Errorf("%d objects are left", len(left))
	}
}

func TestProceedWithMembers(t *testing.T) {
	o := running(t)
	m := o.applied(t, o.mesh(t, "proceeds", "1.31"))
	o.member(t, m)
	o.await(t, m, "the workload is counted", func(m *v1alpha1.Mesh) bool { return m.Status.Revisions[0].Workloads == 1 })
	if err := o.client.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	o.awaitReady(t, m, "False/MembersRemain")
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Uninstall.WithMembers = v1alpha1.UninstallProceed })
	o.uninstall(t, m)
}

// TestDefinitionsInUse: the definitions go with the last mesh, but for those of which somebody has objects; and what
// others have in the namespace stays.
func TestDefinitionsInUse(t *testing.T) {
	o := running(t)
	m := o.applied(t, o.mesh(t, "used", "1.30"))
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: string(m.Spec.Namespace), Name: "theirs"}}
	if err := o.client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	entry := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"hosts": []any{"x.example.com"}, "resolution": "NONE"}}}
	entry.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "ServiceEntry"})
	entry.SetName("theirs")
	entry.SetNamespace("default")
	// No validator of ours is asked, which nobody answers for here.
	entry.SetLabels(map[string]string{"istio.io/rev": "none"})
	testutil.Eventually(t, soon, "the entry is taken", func() (bool, string) {
		err := o.client.Create(t.Context(), entry)
		return err == nil, fmt.Sprint(err)
	})
	o.uninstall(t, m)
	testutil.Eventually(t, soon, "one definition is left", func() (bool, string) {
		left := o.objects(t, "definitions")
		return len(left) == 1 && left[0].GetName() == "serviceentries.networking.istio.io", fmt.Sprintf("there are %d", len(left))
	})
	o.wantVersion(t, "1.30.4", 1)
	if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil {
		t.Error(err)
	}
	// An older mesh takes none down.
	older := o.applied(t, o.mesh(t, "older", "1.28"))
	o.wantVersion(t, "1.30.4", 14)
	o.uninstall(t, older)
	if err := o.client.Delete(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, soon, "no definition is left", func() (bool, string) {
		left := o.objects(t, "definitions")
		return len(left) == 0, fmt.Sprintf("there are %d", len(left))
	})
}
