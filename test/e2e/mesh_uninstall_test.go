// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// TestMeshUninstall: a mesh does not go while members run its proxies; afterwards the cluster is as it was before.
func TestMeshUninstall(t *testing.T) {
	eventually(t, "nothing of earlier tests goes", func(ctx context.Context) (bool, string, error) {
		definitions, spaces := &metav1.PartialObjectMetadataList{}, &corev1.NamespaceList{}
		definitions.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinitionList"})
		err := errors.Join(suite.client.List(ctx, definitions, client.MatchingLabels{labelMesh: "definitions"}), suite.client.List(ctx, spaces))
		goes := slices.ContainsFunc(spaces.Items, func(n corev1.Namespace) bool { return n.DeletionTimestamp != nil })
		return len(definitions.Items) == 0 && !goes, fmt.Sprintf("%d definitions, a namespace goes: %v", len(definitions.Items), goes), err
	})
	before := everything(t)
	m := istio(t, name(t, "gone"), "1.30")
	in := joined(t, m, 1)[0]
	runs(t, m, oldIstio)
	revisionOf(t, in)
	d := workload(t, in)
	available(t, d)
	meshIs(t, m, "aware of its workload", func(m *v1alpha1.Mesh) bool {
		return len(m.Status.Revisions) == 1 && m.Status.Revisions[0].Workloads == 1
	})

	if err := suite.client.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	meshIs(t, m, "refusing to go", func(m *v1alpha1.Mesh) bool {
		return reason(m, v1alpha1.ConditionStalled) == "True/"+v1alpha1.ReasonMembersRemain
	})
	istiod := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: m.Name, Name: "istiod-" + m.Name + "-1-30-4"}}
	available(t, istiod)
	// What restarts now comes back without a proxy, and the mesh goes with the last one.
	renewed(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gone(ctx, m); err != nil {
		t.Fatalf("the mesh does not go: %v; %s", err, story(m))
	}
	ns := &corev1.Namespace{}
	if err := suite.client.Get(ctx, client.ObjectKey{Name: in}, ns); err != nil {
		t.Fatal(err)
	}
	for label := range ns.Labels {
		if strings.Contains(label, "istio.io") || label == labelMesh {
			t.Errorf("the member still has label %s", label)
		}
	}
	if !podsServe(t, in) {
		t.Error("the workload does not run without the mesh")
	}
	eventually(t, "everything is as before", func(context.Context) (bool, string, error) {
		after := everything(t)
		var wrong []string
		for key := range after {
			if !before[key] && !expected(key, m.Name, in) {
				wrong = append(wrong, "left: "+key)
			}
		}
		for key := range before {
			if !after[key] && !passing(key) {
				wrong = append(wrong, "gone: "+key)
			}
		}
		slices.Sort(wrong)
		return len(wrong) == 0, strings.Join(wrong, "\n"), nil
	})
}

// renewed makes new pods of a Deployment, as kubectl rollout restart does.
func renewed(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	body := []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	if err := suite.client.Patch(t.Context(), d, client.RawPatch("application/merge-patch+json", body)); err != nil {
		t.Fatal(err)
	}
	available(t, d)
}

// podsServe reports whether the pods of a namespace are ready and without proxies.
func podsServe(t *testing.T, namespace string) bool {
	t.Helper()
	pods, err := podsOf(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	return len(pods) > 0 && !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		revision, _ := proxyOf(&p)
		return revision != "" || !podReady(&p)
	})
}

// expected are objects that are there after a mesh and were not before: the namespaces with what is in them by themselves,
// and what istiod leaves behind, which the operator has not made: its authority's key in its own namespace, so that a mesh
// that comes back has the same, and its elections there, which do not have the name of the mesh; and that authority's
// certificates in all namespaces.
func expected(key, space, member string) bool {
	resource, name, _ := strings.Cut(key, " ")
	namespace, object, namespaced := strings.Cut(name, "/")
	switch {
	case !namespaced:
		return resource == "namespaces" && (name == space || name == member)
	case namespace == member, passing(key):
		return true
	case resource == "configmaps" && strings.HasPrefix(object, "istio-ca-"):
		return true
	case namespace == space:
		return resource == "configmaps" && object == "kube-root-ca.crt" || resource == "serviceaccounts" && object == "default" ||
			resource == "secrets" && object == "istio-ca-secret" ||
			resource == "configmaps" && strings.HasPrefix(object, "istio-") && !strings.Contains(object, space)
	}
	return false
}

// passing are objects that come and go by themselves.
func passing(key string) bool {
	resource, _, _ := strings.Cut(key, " ")
	return slices.Contains([]string{
		"events", "events.events.k8s.io", "leases.coordination.k8s.io", "pods", "pods.metrics.k8s.io", "nodes.metrics.k8s.io", "replicasets.apps",
		"endpointslices.discovery.k8s.io",
	}, resource)
}

// everything are all objects of all kinds, as "resource namespace/name".
func everything(t *testing.T) map[string]bool {
	t.Helper()
	quiet := rest.CopyConfig(suite.config)
	quiet.WarningHandler = rest.NoWarnings{}
	objects, err := metadata.NewForConfig(quiet)
	if err != nil {
		t.Fatal(err)
	}
	// Metrics answer late at times, and are not looked at.
	lists, err := suite.plain.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") || strings.Contains(r.Name, "/") || gv.Group == "metrics.k8s.io" {
				continue
			}
			resource := gv.WithResource(r.Name)
			found, err := objects.Resource(resource).List(t.Context(), metav1.ListOptions{})
			if client.IgnoreNotFound(err) != nil {
				t.Fatalf("list %s: %v", resource, err)
			}
			if err != nil {
				continue
			}
			for i := range found.Items {
				o := &found.Items[i]
				at := o.Name
				if o.Namespace != "" {
					at = o.Namespace + "/" + o.Name
				}
				out[fmt.Sprintf("%s %s", resource.GroupResource(), at)] = true
			}
		}
	}
	return out
}
