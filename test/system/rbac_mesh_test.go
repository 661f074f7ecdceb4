// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh"
)

const (
	// istioRole is what the operator holds to be able to grant it. It is generated from charts, and nothing of it has to be used.
	istioRole = "fairlead-istio"
	labelMesh = "fleet.fairlead.io/mesh"
)

// whereIstiodRuns is what the operator does only while a control plane injects, or after a conflict. The tests in test/e2e
// have it done, as the same account.
func whereIstiodRuns() map[permission]bool {
	out := map[permission]bool{
		{"patch", "", "namespaces"}: true, {"get", "apps", "statefulsets"}: true, {"patch", "apps", "statefulsets"}: true,
		// A rollout that comes nearer is recorded, and the oldest release goes with one too many.
		{"update", "", "configmaps"}: true, {"delete", "apps", "controllerrevisions"}: true,
	}
	for _, kind := range mesh.Kinds() {
		if kind.Optional {
			for _, verb := range []string{"get", "create", "patch", "delete"} {
				out[permission{verb, kind.GVK.Group, kind.Resource}] = true
			}
		}
	}
	return out
}

// meshesOfAllKinds are meshes that together have objects of every kind that charts make by default.
func meshesOfAllKinds() []*v1alpha1.Mesh {
	made := func(name, version string, profile v1alpha1.MeshProfile, values string) *v1alpha1.Mesh {
		m := &v1alpha1.Mesh{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: v1alpha1.MeshSpec{
				Version: v1alpha1.IstioVersion(version), Namespace: v1alpha1.NamespaceName(name), Profile: profile, EndOfLife: v1alpha1.EndOfLifeAllow,
				Members: &v1alpha1.MeshMembers{NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"suite": v1alpha1.LabelValue(name)}}},
			},
		}
		if values != "" {
			m.Spec.Values = &v1alpha1.Values{Raw: []byte(values)}
		}
		return m
	}
	const remote = `{"global":{"remotePilotAddress":"192.0.2.1"}}`
	return []*v1alpha1.Mesh{
		made("rbac-stable", "1.31", "stable", ""),
		made("rbac-ambient", "1.31", v1alpha1.ProfileAmbient, ""),
		made("rbac-slices", "1.31", "remote", remote),
		made("rbac-endpoints", "1.27", "remote", remote),
		made("rbac-budget", "1.27", "", ""),
	}
}

// doEverythingForMeshes makes the operator make namespaces, create, repair, read again and prune every kind that meshes
// have, and try a pod.
func doEverythingForMeshes(t *testing.T, user string) {
	ctx := t.Context()
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "rbac-member", Labels: map[string]string{"suite": "rbac-stable"}}})
	all := meshesOfAllKinds()
	for _, m := range all {
		create(t, m)
	}
	for _, kind := range mesh.Kinds() {
		// Only a platform's profile has quotas, and doorways come when a control plane injects.
		if kind.Resource != "resourcequotas" && !kind.Optional {
			loseLabel(t, kind.GVK.GroupVersion().WithKind(kind.GVK.Kind+"List"))
		}
	}
	injects(t, all[0])
	eventually(t, "the operator tries a pod, and looks at workloads", func(context.Context) (bool, error) {
		used, _ := audited(t, user)
		return used[permission{"create", "", "pods"}] && used[permission{"watch", "apps", "replicasets"}], nil
	})
	for _, m := range all {
		if err := suite.client.Delete(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range all {
		eventually(t, "mesh "+m.Name+" goes", func(ctx context.Context) (bool, error) {
			err := suite.client.Get(ctx, client.ObjectKeyFromObject(m), m)
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
	}
	for _, kind := range mesh.Kinds() {
		eventually(t, "all "+kind.Resource+" go", func(ctx context.Context) (bool, error) {
			left, err := ofMeshes(ctx, kind.GVK.GroupVersion().WithKind(kind.GVK.Kind+"List"))
			return len(left) == 0, err
		})
	}
}

// ofMeshes are the objects of a kind that were made for meshes. Kubernetes copies marks to slices of Endpoints, which it owns.
func ofMeshes(ctx context.Context, list schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	found := &unstructured.UnstructuredList{}
	found.SetGroupVersionKind(list)
	err := suite.client.List(ctx, found, client.HasLabels{labelMesh})
	if meta.IsNoMatchError(err) {
		// The definition is gone, and all objects with it.
		return nil, nil
	}
	return slices.DeleteFunc(found.Items, func(o unstructured.Unstructured) bool {
		return o.GetAnnotations()[v1alpha1.AnnotationSet] == "" || len(o.GetOwnerReferences()) > 0
	}), err
}

// loseLabel takes the label from an object of a kind that the caches select by it: the operator has to read whose it is.
func loseLabel(t *testing.T, list schema.GroupVersionKind) {
	t.Helper()
	var object unstructured.Unstructured
	eventually(t, "there is one of "+list.Kind, func(ctx context.Context) (bool, error) {
		all, err := ofMeshes(ctx, list)
		if len(all) > 0 {
			object = all[0]
		}
		return len(all) > 0, err
	})
	body := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelManagedBy)
	if err := suite.client.Patch(t.Context(), &object, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
	eventually(t, object.GetKind()+" "+object.GetName()+" has its label again", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(&object), &object)
		return object.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy, err
	})
}

// injects plays the kubelet, whose pods are ready, and istiod, which writes its authority into its webhooks.
func injects(t *testing.T, m *v1alpha1.Mesh) {
	t.Helper()
	var pods corev1.PodList
	eventually(t, "istiod has a pod", func(ctx context.Context) (bool, error) {
		err := suite.client.List(ctx, &pods, client.InNamespace(m.Spec.Namespace), client.MatchingLabels{"app": "istiod"})
		return len(pods.Items) > 0, err
	})
	for i := range pods.Items {
		pod := &pods.Items[i]
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		if err := suite.client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	var webhooks admissionv1.MutatingWebhookConfigurationList
	if err := suite.client.List(t.Context(), &webhooks, client.MatchingLabels{labelMesh: m.Name}); err != nil {
		t.Fatal(err)
	}
	for i := range webhooks.Items {
		w := &webhooks.Items[i]
		before := w.DeepCopy()
		for i := range w.Webhooks {
			w.Webhooks[i].ClientConfig.CABundle = authority(t, suite.plane.Config())
		}
		if err := suite.client.Patch(t.Context(), w, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIstioRoleIsHeld: the operator is bound to what it grants, by a role of its own that a person can take away.
func TestIstioRoleIsHeld(t *testing.T) {
	role, binding := &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}
	for _, object := range []client.Object{role, binding} {
		if err := suite.client.Get(t.Context(), types.NamespacedName{Name: istioRole}, object); err != nil {
			t.Fatal(err)
		}
	}
	if len(binding.Subjects) != 1 || binding.Subjects[0].Name != onlyAccount(t) || binding.Subjects[0].Namespace != operatorNamespace {
		t.Errorf("bound to %v", binding.Subjects)
	}
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			if verb == "escalate" || verb == "bind" || verb == "impersonate" {
				t.Errorf("a rule to %s: %+v", verb, rule)
			}
		}
		if slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.Resources, "*") && !ofIstio(rule.APIGroups) {
			t.Errorf("a rule for everything: %+v", rule)
		}
	}
}

func ofIstio(groups []string) bool {
	return !slices.ContainsFunc(groups, func(group string) bool {
		return !strings.HasSuffix(group, ".istio.io") && !strings.HasPrefix(group, "gateway.networking.")
	})
}
