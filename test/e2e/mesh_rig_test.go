// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh"
)

const (
	labelRevision = "istio.io/rev"
	labelMesh     = "fleet.fairlead.io/mesh"

	oldIstio, newIstio = "1.30.4", "1.31.0"
	// upgradePatience is for an upgrade as a whole, with restarts of the operator in between.
	upgradePatience = 15 * time.Minute
	memberLabel     = "mesh-member"
)

// smallValues let several control planes fit on one small node. Their number is fixed: an autoscaler would add replicas
// for what they use while they start. Images are those of the node: a gateway's would else be pulled always.
const smallValues = `{
  "pilot": {"autoscaleEnabled": false, "resources": {"requests": {"cpu": "20m", "memory": "100Mi"}}},
  "global": {"imagePullPolicy": "IfNotPresent", "proxy": {"resources": {"requests": {"cpu": "10m", "memory": "20Mi"}}}}
}`

// istio makes a mesh of the name, whose members are the namespaces labelled mesh-member=name, and whose control plane is in
// a namespace of the same name. It goes at the end of the test, after what the test has made later.
func istio(t *testing.T, name, version string, edit ...func(*v1alpha1.MeshSpec)) *v1alpha1.Mesh {
	t.Helper()
	ownNode(t)
	m := &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.MeshSpec{
			Version: v1alpha1.IstioVersion(version), Namespace: v1alpha1.NamespaceName(name),
			Values: &v1alpha1.Values{Raw: []byte(smallValues)},
			Members: &v1alpha1.MeshMembers{
				NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{memberLabel: v1alpha1.LabelValue(name)}},
			},
		},
	}
	for _, e := range edit {
		e(&m.Spec)
	}
	if err := suite.client.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := uninstall(ctx, m); err != nil {
			t.Errorf("uninstall mesh %s: %v", name, err)
		}
	})
	return m
}

// uninstall removes a mesh, and the namespace that was made for it.
func uninstall(ctx context.Context, m *v1alpha1.Mesh) error {
	if err := client.IgnoreNotFound(suite.client.Delete(ctx, m)); err != nil {
		return err
	}
	if err := gone(ctx, m); err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: string(m.Spec.Namespace)}}
	if err := client.IgnoreNotFound(suite.client.Delete(ctx, ns)); err != nil {
		return err
	}
	return gone(ctx, ns)
}

// gone waits until an object is not there any more.
func gone(ctx context.Context, object client.Object) error {
	return wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), nil
	})
}

// joined makes namespaces that a mesh selects, and removes them at the end, before the mesh.
func joined(t *testing.T, m *v1alpha1.Mesh, number int) []string {
	t.Helper()
	var out []string
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, name := range out {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if err := client.IgnoreNotFound(suite.client.Delete(ctx, ns)); err != nil {
				t.Error(err)
			}
		}
		for _, name := range out {
			if err := gone(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
				t.Errorf("namespace %s does not go: %v", name, err)
			}
		}
	})
	for i := range number {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-m%02d", m.Name, i), Labels: map[string]string{memberLabel: m.Name}}}
		if err := suite.client.Create(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
		out = append(out, ns.Name)
	}
	return out
}

// meshIs waits until the status of a mesh speaks of its spec and is as asked.
func meshIs(t *testing.T, m *v1alpha1.Mesh, what string, ok func(*v1alpha1.Mesh) bool) {
	t.Helper()
	eventually(t, "mesh "+m.Name+" is "+what, func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(m), m)
		return m.Status.ObservedGeneration == m.Generation && ok(m), story(m), err
	})
}

// runs waits until a mesh is ready in a version.
func runs(t *testing.T, m *v1alpha1.Mesh, version string) {
	t.Helper()
	meshIs(t, m, "ready in "+version, func(m *v1alpha1.Mesh) bool { return isReady(m) && m.Status.RunningVersion == version })
}

func isReady(m *v1alpha1.Mesh) bool {
	return meta.IsStatusConditionTrue(m.Status.Conditions, v1alpha1.ConditionReady)
}

// reason gives a condition as status/reason, empty for none.
func reason(m *v1alpha1.Mesh, name string) string {
	if c := meta.FindStatusCondition(m.Status.Conditions, name); c != nil {
		return string(c.Status) + "/" + c.Reason
	}
	return ""
}

// story is what a status tells, in one line.
func story(m *v1alpha1.Mesh) string {
	out := fmt.Sprintf("running %q, desired %q, revisions %+v", m.Status.RunningVersion, m.Status.DesiredVersion, m.Status.Revisions)
	if u := m.Status.Upgrade; u != nil {
		out += fmt.Sprintf(", upgrade %s to %s: %s %s (batch %d of %d) %s", u.From, u.To, u.Phase, u.Step, u.Batch, u.Batches, u.Message)
	}
	for _, c := range m.Status.Conditions {
		out += fmt.Sprintf(", %s=%s/%s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return out
}

// changeMesh edits the spec of a mesh as often as it takes.
func changeMesh(t *testing.T, m *v1alpha1.Mesh, edit func(*v1alpha1.MeshSpec)) {
	t.Helper()
	eventually(t, "mesh "+m.Name+" is edited", func(ctx context.Context) (bool, string, error) {
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(m), m); err != nil {
			return false, "", err
		}
		edit(&m.Spec)
		err := suite.client.Update(ctx, m)
		return err == nil, "", err
	})
}

// revisionOf waits until a namespace names a revision, and gives it.
func revisionOf(t *testing.T, namespace string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	eventually(t, "namespace "+namespace+" names a revision", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKey{Name: namespace}, ns)
		return ns.Labels[labelRevision] != "", fmt.Sprint(ns.Labels), err
	})
	return ns.Labels[labelRevision]
}

// workload makes a Deployment of the echo server that restarts without a gap.
func workload(t *testing.T, namespace string) *appsv1.Deployment {
	t.Helper()
	d := echo(namespace, "64Mi")
	d.Spec.Template.Spec.Containers[0].Resources.Requests = nil
	if err := suite.client.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// proxyOf is the revision of the proxy that a pod has, and its image; both are empty where it has none. Where the kubelet
// knows sidecars, it is an init container that goes on.
func proxyOf(pod *corev1.Pod) (revision, image string) {
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		if c.Name == "istio-proxy" {
			return pod.Annotations[labelRevision], c.Image
		}
	}
	return "", ""
}

// podsOf are the pods of the app echo in a namespace that nobody deletes.
func podsOf(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	err := suite.client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{"app": "echo"})
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }), err
}

// madeFor are all objects that were made for a mesh, by kind, namespace and name.
func madeFor(ctx context.Context, mark string) (map[string]*unstructured.Unstructured, error) {
	out := map[string]*unstructured.Unstructured{}
	for _, kind := range mesh.Kinds() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GVK.GroupVersion().WithKind(kind.GVK.Kind + "List"))
		if err := suite.client.List(ctx, list, client.MatchingLabels{labelMesh: mark}); err != nil {
			return nil, err
		}
		for i := range list.Items {
			if o := &list.Items[i]; o.GetAnnotations()[v1alpha1.AnnotationSet] != "" {
				out[kind.GVK.Kind+" "+o.GetNamespace()+"/"+o.GetName()] = o
			}
		}
	}
	return out, nil
}

// dryPod asks for a pod without making it, and gives the revision of the proxy that it would have.
func dryPod(ctx context.Context, namespace string) (string, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "asked-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "echo", Image: suite.echo}}},
	}
	err := suite.client.Create(ctx, pod, client.DryRunAll)
	revision, _ := proxyOf(pod)
	return revision, err
}
