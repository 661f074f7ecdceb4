// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

func (o *operator) labelled(t *testing.T, name string, labels map[string]string) *corev1.Namespace {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique(name), Labels: labels}}
	if err := o.client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns
}

func (o *operator) wantRevision(t *testing.T, ns *corev1.Namespace, want string) {
	t.Helper()
	testutil.Eventually(t, soon, fmt.Sprintf("namespace %s names revision %q", ns.Name, want), func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(ns), ns); err != nil {
			t.Fatal(err)
		}
		return ns.Labels["istio.io/rev"] == want, fmt.Sprint(ns.Labels)
	})
}

// TestMembers: namespaces that a mesh selects name its revision as soon as that injects, and not before; and no longer.
func TestMembers(t *testing.T) {
	o := running(t)
	ours := map[string]string{"mesh-test": "members"}
	member, excluded, other := o.labelled(t, "member", ours), o.labelled(t, "excluded", ours), o.labelled(t, "other", nil)
	selects := func(m *v1alpha1.Mesh) {
		m.Spec.Members = &v1alpha1.MeshMembers{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"mesh-test": "members"}},
			Exclude:           []v1alpha1.NamespaceName{v1alpha1.NamespaceName(excluded.Name)},
		}
	}
	m := o.mesh(t, "members", "1.31", selects)
	o.applied(t, m)
	o.wantRevision(t, member, "")
	o.run(t, m)
	o.awaitReady(t, m, "True/InForce")
	revision := m.Name + "-1-31-0"
	o.wantRevision(t, member, revision)
	o.wantRevision(t, excluded, "")
	o.wantRevision(t, other, "")
	o.await(t, m, "the namespace is counted", func(m *v1alpha1.Mesh) bool { return m.Status.Revisions[0].Namespaces == 1 })

	// A person takes the label off, or writes another one.
	change(t, o, member, func(ns *corev1.Namespace) { delete(ns.Labels, "istio.io/rev") })
	o.wantRevision(t, member, revision)
	change(t, o, member, func(ns *corev1.Namespace) { ns.Labels["istio.io/rev"] = "theirs" })
	o.wantRevision(t, member, revision)

	// A namespace joins, and leaves.
	change(t, o, other, func(ns *corev1.Namespace) { ns.Labels = map[string]string{"mesh-test": "members", "x": "y"} })
	o.wantRevision(t, other, revision)
	change(t, o, other, func(ns *corev1.Namespace) { delete(ns.Labels, "mesh-test") })
	o.wantRevision(t, other, "")
	if other.Labels["x"] != "y" || other.Labels["fleet.fairlead.io/mesh"] != "" {
		t.Errorf("the labels are %v", other.Labels)
	}
	// A younger mesh does not take it.
	second := o.mesh(t, "younger", "1.31", selects)
	o.applied(t, second)
	o.run(t, second)
	o.awaitReady(t, second, "True/InForce")
	o.wantRevision(t, member, revision)
	o.uninstall(t, m)
	o.wantRevision(t, member, second.Name+"-1-31-0")
	o.uninstall(t, second)
	o.wantRevision(t, member, "")
	if member.Labels["mesh-test"] != "members" {
		t.Errorf("the labels are %v", member.Labels)
	}
}

// TestAmbientMembers: members whose pods ztunnel serves do not name their revision by Istio's label, by which istiod would give them
// sidecars.
func TestAmbientMembers(t *testing.T) {
	o := running(t)
	mark := unique("ambient")
	member := o.memberNamespace(t, mark)
	m := o.mesh(t, "ambient", "1.31", selecting(mark), func(m *v1alpha1.Mesh) { m.Spec.Profile = v1alpha1.ProfileAmbient })
	o.run(t, m)
	got := o.awaitReady(t, m, "True/InForce")
	testutil.Eventually(t, soon, "the namespace is labelled", func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(member), member); err != nil {
			t.Fatal(err)
		}
		return member.Labels["istio.io/dataplane-mode"] == "ambient" && member.Labels["fleet.fairlead.io/mesh-revision"] == m.Name+"-1-31-0", fmt.Sprint(member.Labels)
	})
	if _, there := member.Labels["istio.io/rev"]; there {
		t.Errorf("the labels are %v", member.Labels)
	}
	if c := got.Status.Members; c.Namespaces != 1 || c.Outdated != 0 || c.Waiting != 0 {
		t.Errorf("the members are %+v", c)
	}
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Profile = v1alpha1.ProfileDefault })
	o.wantRevision(t, member, m.Name+"-1-31-0")
	if _, there := member.Labels["istio.io/dataplane-mode"]; there {
		t.Errorf("the labels are %v", member.Labels)
	}
}
