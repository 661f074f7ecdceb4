// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// helm installs Istio as Helm does, with the charts' defaults and without a revision, and gives what it made.
func (o *operator) helm(t *testing.T, namespace, version string) []*unstructured.Unstructured {
	t.Helper()
	versions, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	entries := versions.Entries()
	at := slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version.String() == version })
	charts, err := versions.Charts(entries[at])
	if err != nil {
		t.Fatal(err)
	}
	plane := &render.Plane{
		Mesh: "theirs", Namespace: namespace, Charts: charts, Entry: entries[at], Kubernetes: "v1.37.2", Default: true,
		Release: "my-istiod", ManagedBy: "Helm",
	}
	own, err := plane.Objects()
	if err != nil {
		t.Fatal(err)
	}
	common, err := plane.Common()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := render.Shared(charts, "v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	var out []*unstructured.Unstructured
	for _, object := range slices.Concat(shared, common, own) {
		labels := object.GetLabels()
		labels["app.kubernetes.io/managed-by"] = "Helm"
		object.SetLabels(labels)
		made := &unstructured.Unstructured{}
		made.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
		testutil.Eventually(t, soon, "install "+object.GetName(), func() (bool, string) {
			err := o.client.Create(t.Context(), object, client.FieldOwner("helm"))
			return err == nil, fmt.Sprint(err)
		})
		made.SetName(object.GetName())
		made.SetNamespace(object.GetNamespace())
		made.SetUID(object.GetUID())
		out = append(out, made)
	}
	return out
}

// TestAdopt: a mesh of the right name and version takes over what Helm installed, if it is told to, and istiod goes on as it is.
// The next version comes beside it.
func TestAdopt(t *testing.T) {
	o := running(t)
	testutil.Eventually(t, soon, "no definition is left of others", func() (bool, string) {
		left := o.objects(t, "definitions")
		return len(left) == 0, fmt.Sprintf("there are %d", len(left))
	})
	namespace := testutil.Namespace(t, cluster.Config(t), "istio-theirs")
	theirs := o.helm(t, namespace, "1.30.4")
	var before appsv1.Deployment
	key := client.ObjectKey{Namespace: namespace, Name: "istiod"}
	o.bringUpWhen(t, namespace)
	m := &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.MeshSpec{
			Version: "1.30", Namespace: v1alpha1.NamespaceName(namespace), EndOfLife: v1alpha1.EndOfLifeAllow,
			Upgrade: v1alpha1.MeshUpgrade{Strategy: v1alpha1.UpgradeInPlace},
		},
	}
	if err := o.client.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.uninstall(t, m) })
	// Without leave, nothing is taken.
	o.awaitReady(t, m, "False/NameTaken")
	if err := o.client.Get(t.Context(), key, &before); err != nil {
		t.Fatal(err)
	}
	if before.Labels["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("the labels of the Deployment are %v", before.Labels)
	}
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} })
	planes.up(t, o, m, "default", "1.30.4")
	o.await(t, m, "all is taken over", func(m *v1alpha1.Mesh) bool { return condition(m, v1alpha1.ConditionConflicted) == "" })
	planes.certify(t, o, m, "default")
	got := o.awaitReady(t, m, "True/InForce")
	if got.Status.RunningVersion != "1.30.4" || got.Status.Revisions[0].Name != "default" {
		t.Errorf("the status is %+v", got.Status)
	}
	for _, object := range theirs {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(object.GroupVersionKind())
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(object), now); err != nil {
			t.Error(err)
			continue
		}
		if now.GetUID() != object.GetUID() || now.GetAnnotations()[v1alpha1.AnnotationSet] == "" {
			t.Errorf("%s %s was not taken over: %v", now.GetKind(), now.GetName(), now.GetAnnotations())
		}
	}
	o.wantUntouched(t, &before)

	// A namespace that Helm's istiod injects stays its member, and the next version comes beside it.
	change(t, o, m, func(m *v1alpha1.Mesh) {
		m.Spec.Version, m.Spec.Upgrade.Strategy = "1.31", v1alpha1.UpgradeCanary
	})
	o.await(t, m, "1.31 is beside 1.30", func(m *v1alpha1.Mesh) bool {
		return len(m.Status.Revisions) == 2 && m.Status.Revisions[0].Name == "default-1-31-0"
	})
	o.wantUntouched(t, &before)
}

// bringUpWhen brings up the pods of a namespace as soon as there are some.
func (o *operator) bringUpWhen(t *testing.T, namespace string) {
	t.Helper()
	testutil.Eventually(t, soon, "the pods of "+namespace+" are up", func() (bool, string) {
		var pods corev1.PodList
		if err := o.client.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		o.bringUp(t.Context(), namespace, nil)
		return len(pods.Items) > 0 && pods.Items[0].Status.Phase == corev1.PodRunning, fmt.Sprintf("there are %d", len(pods.Items))
	})
}

// wantUntouched checks that the pods of a Deployment are those that there were.
func (o *operator) wantUntouched(t *testing.T, before *appsv1.Deployment) {
	t.Helper()
	now := &appsv1.Deployment{}
	err := o.client.Get(t.Context(), client.ObjectKeyFromObject(before), now)
	if apierrors.IsNotFound(err) || now.UID != before.UID {
		t.Fatalf("the Deployment is another one: %v", err)
	}
	var sets appsv1.ReplicaSetList
	if err := o.client.List(t.Context(), &sets, client.InNamespace(before.Namespace), client.MatchingLabels{"istio.io/rev": "default"}); err != nil {
		t.Fatal(err)
	}
	if len(sets.Items) != 1 {
		t.Errorf("istiod restarted: it has %d templates, and its labels went from %v to %v", len(sets.Items),
			before.Spec.Template.Labels, now.Spec.Template.Labels)
	}
}
