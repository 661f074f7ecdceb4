// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// TestKinds fails if a kind that charts make is not watched.
func TestKinds(t *testing.T) {
	watched := map[string]bool{}
	for _, k := range mesh.Kinds() {
		watched[k.GVK.String()+" "+k.Resource] = true
	}
	for _, k := range render.Kinds() {
		if watched[k.GVK.String()+" "+k.Resource] == k.Optional {
			t.Errorf("%s: it is watched: %v, and optional: %v", k.GVK, !k.Optional, k.Optional)
		}
	}
}

// objects are all that were made for a mesh, or for what meshes share. Endpoints have the labels of their Service, and are
// not ours.
func (o *operator) objects(t *testing.T, mark string) []unstructured.Unstructured {
	t.Helper()
	var out []unstructured.Unstructured
	for _, k := range mesh.Kinds() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(k.GVK.GroupVersion().WithKind(k.GVK.Kind + "List"))
		err := o.client.List(t.Context(), list, client.MatchingLabels{"fleet.fairlead.io/mesh": mark})
		if k.Optional && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err)) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			if list.Items[i].GetAnnotations()[v1alpha1.AnnotationSet] != "" {
				out = append(out, list.Items[i])
			}
		}
	}
	return out
}

// TestEveryVersion installs every version of the catalogue in every profile, in one cluster. One mesh of each stays, so
// that definitions go up and not down.
func TestEveryVersion(t *testing.T) {
	o := running(t)
	versions, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range versions.Entries() {
		version := e.Version.String()
		stays := o.mesh(t, "stays", version)
		for _, profile := range []v1alpha1.MeshProfile{"default", "ambient", "demo", "preview", "stable", "remote"} {
			t.Run(version+"/"+string(profile), func(t *testing.T) {
				m := o.mesh(t, "every", version, func(m *v1alpha1.Mesh) {
					m.Spec.Profile = profile
					if profile == "remote" {
						m.Spec.Values = &v1alpha1.Values{Raw: []byte(`{"global":{"remotePilotAddress":"192.0.2.1"}}`)}
					}
				})
				got := o.applied(t, m)
				if got.Status.DesiredVersion != version || condition(got, v1alpha1.ConditionStalled) != "" {
					t.Errorf("the status is %+v", got.Status)
				}
				if objects := o.objects(t, m.Name); len(objects) < 7 {
					t.Errorf("there are %d objects", len(objects))
				}
				o.wantVersion(t, version, 14)
				if nodes := len(o.objects(t, "nodes")); (profile == "ambient") != (nodes > 0) {
					t.Errorf("profile %s has %d objects on nodes", profile, nodes)
				}
				o.uninstall(t, m)
				if left := o.objects(t, m.Name); len(left) > 0 {
					t.Errorf("%d objects are left, %s %s first", len(left), left[0].GetKind(), left[0].GetName())
				}
				testutil.Eventually(t, soon, "nothing is left on nodes", func() (bool, string) {
					left := o.objects(t, "nodes")
					return len(left) == 0, fmt.Sprintf("%d objects are", len(left))
				})
			})
		}
		o.applied(t, stays)
	}
}

// wantVersion checks of which version the definitions of Istio's kinds are, and that there are enough.
func (o *operator) wantVersion(t *testing.T, version string, atLeast int) {
	t.Helper()
	found := o.objects(t, "definitions")
	if len(found) < atLeast {
		t.Errorf("there are %d definitions", len(found))
	}
	for i := range found {
		if v := found[i].GetLabels()["app.kubernetes.io/version"]; v != version {
			t.Errorf("%s is of version %s, want %s", found[i].GetName(), v, version)
		}
	}
}

// TestReady: a mesh is ready when its istiod is rolled out and its webhooks know it, and not before.
func TestReady(t *testing.T) {
	o := running(t)
	m := o.mesh(t, "ready", "1.31")
	got := o.applied(t, m)
	if got.Status.DesiredVersion != "1.31.0" || got.Status.RunningVersion != "" || len(got.Status.Revisions) != 1 ||
		got.Status.Revisions[0].State != v1alpha1.RevisionInstalling || got.Status.Revisions[0].Name != m.Name+"-1-31-0" {
		t.Errorf("the status is %+v", got.Status)
	}
	planes.up(t, o, m, m.Name+"-1-31-0", "1.31.0")
	if got := o.applied(t, m); condition(got, v1alpha1.ConditionReady) != "False/IstiodUnavailable" {
		t.Errorf("without pods the mesh is %s", condition(got, v1alpha1.ConditionReady))
	}
	o.run(t, m)
	got = o.awaitReady(t, m, "True/InForce")
	if got.Status.RunningVersion != "1.31.0" || got.Status.Revisions[0].State != v1alpha1.RevisionReady ||
		condition(got, v1alpha1.ConditionReconciling) != "" || condition(got, v1alpha1.ConditionStalled) != "" {
		t.Errorf("the status is %+v", got.Status)
	}
	if len(got.Status.Repairs) > 0 {
		t.Errorf("what istiod writes is told as drift: %+v", got.Status.Repairs)
	}
	// A person takes the authority out of a webhook: the mesh does not inject.
	var webhooks admissionv1.MutatingWebhookConfigurationList
	if err := o.client.List(t.Context(), &webhooks, client.MatchingLabels{"fleet.fairlead.io/mesh": m.Name}); err != nil {
		t.Fatal(err)
	}
	for i := range webhooks.Items {
		change(t, o, &webhooks.Items[i], func(w *admissionv1.MutatingWebhookConfiguration) { w.Webhooks[0].ClientConfig.CABundle = nil })
	}
	got = o.awaitReady(t, m, "False/IstiodUnavailable")
	if got.Status.RunningVersion != "1.31.0" || got.Status.Revisions[0].State != v1alpha1.RevisionFailing {
		t.Errorf("the status is %+v", got.Status)
	}
}

// TestRefusals: what cannot be installed is refused with the reason and the way out.
func TestRefusals(t *testing.T) {
	o := running(t)
	for name, c := range map[string]struct {
		version string
		edit    func(*v1alpha1.Mesh)
		reason  string
		says    string
	}{
		"unknown":     {"1.99", func(*v1alpha1.Mesh) {}, "UnknownVersion", "1.31.0"},
		"end-of-life": {"1.27.0", func(m *v1alpha1.Mesh) { m.Spec.EndOfLife = v1alpha1.EndOfLifeRefuse }, "EndOfLife", "1.31.0"},
		"values": {"1.31", func(m *v1alpha1.Mesh) {
			m.Spec.Values = &v1alpha1.Values{Raw: []byte(`{"pilot":{"autoscaleEnabld":true}}`)}
		}, "InvalidValues", "pilot.autoscaleEnabld"},
	} {
		t.Run(name, func(t *testing.T) {
			m := o.mesh(t, "refused", c.version, c.edit)
			got := o.awaitReady(t, m, "False/"+c.reason)
			if condition(got, v1alpha1.ConditionStalled) != "True/"+c.reason || condition(got, v1alpha1.ConditionReconciling) != "" ||
				!strings.Contains(message(got, v1alpha1.ConditionStalled), c.says) {
				t.Errorf("the conditions are %+v", got.Status.Conditions)
			}
			if c.reason == "InvalidValues" && (got.Status.Problems == nil || got.Status.Problems.Top[0].Field != "values."+c.says) {
				t.Errorf("the problems are %+v", got.Status.Problems)
			}
			if left := o.objects(t, m.Name); len(left) > 0 {
				t.Errorf("there are %d objects", len(left))
			}
		})
	}
	t.Run("namespace", func(t *testing.T) {
		first := o.mesh(t, "holder", "1.31")
		o.applied(t, first)
		second := o.mesh(t, "second", "1.31", func(m *v1alpha1.Mesh) { m.Spec.Namespace = first.Spec.Namespace })
		got := o.awaitReady(t, second, "False/NameTaken")
		if !strings.Contains(message(got, v1alpha1.ConditionStalled), first.Name) {
			t.Errorf("the conditions are %+v", got.Status.Conditions)
		}
		// The name is free when the other one goes.
		o.uninstall(t, first)
		o.applied(t, second)
	})
	t.Run("wrong values later", func(t *testing.T) {
		m := o.mesh(t, "later", "1.31")
		o.applied(t, m)
		change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Values = &v1alpha1.Values{Raw: []byte(`{"x":1}`)} })
		o.awaitReady(t, m, "False/InvalidValues")
		before := o.objects(t, m.Name)
		for i := range before {
			if before[i].GetKind() == "Deployment" {
				if err := o.client.Delete(t.Context(), &before[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		testutil.Eventually(t, soon, "what was in force is repaired", func() (bool, string) {
			now := o.objects(t, m.Name)
			return len(now) == len(before), fmt.Sprintf("%d of %d objects", len(now), len(before))
		})
	})
}
