// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// soon is how long a test waits for what should take milliseconds; the machine may be busy.
const soon = 60 * time.Second

var cluster testutil.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// TestAccepted has the API server take every object, with the definitions of the same version: no field is unknown to it.
func TestAccepted(t *testing.T) {
	c, err := client.New(cluster.Config(t), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range versions(t) {
		t.Run(e.Version.String(), func(t *testing.T) {
			plane := planeOf(t, e)
			plane.Values = fullValues
			define(t, c, plane)
			root, edge := testutil.Namespace(t, cluster.Config(t), "root"), testutil.Namespace(t, cluster.Config(t), "edge")
			plane.Namespace = root
			for _, o := range doorways(t, plane, minimal, full) {
				if o.GetNamespace() != root {
					o.SetNamespace(edge)
				}
				name := fmt.Sprintf("%T %s", o, o.GetName())
				testutil.Eventually(t, soon, name+" is served", func() (bool, string) {
					err := c.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict))
					// The API server learns of a new definition a moment after it says that it is established.
					if err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
						t.Errorf("%s: %v", name, err)
						return true, ""
					}
					return err == nil, fmt.Sprint(err)
				})
			}
		})
	}
}

// define installs Istio's kinds as a version has them.
func define(t *testing.T, c client.Client, plane *render.Plane) {
	t.Helper()
	definitions, err := render.Shared(plane.Charts, plane.Kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(d.GetObjectKind().GroupVersionKind())
		err := c.Get(t.Context(), client.ObjectKeyFromObject(d), live)
		switch {
		case apierrors.IsNotFound(err):
			err = c.Create(t.Context(), d)
		case err == nil:
			d.SetResourceVersion(live.GetResourceVersion())
			err = c.Update(t.Context(), d)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range definitions {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(d.GetObjectKind().GroupVersionKind())
		testutil.Eventually(t, soon, d.GetName()+" is established", func() (bool, string) {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(d), live); err != nil {
				t.Fatal(err)
			}
			conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
			for _, each := range conditions {
				if condition, ok := each.(map[string]any); ok && condition["type"] == "Established" {
					return condition["status"] == string(corev1.ConditionTrue), fmt.Sprint(condition)
				}
			}
			return false, "no condition"
		})
	}
}
