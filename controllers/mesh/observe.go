// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// observed is everything that decides what a mesh gets.
type observed struct {
	mesh *v1alpha1.Mesh
	// kubernetes is the version of the cluster.
	kubernetes string
	// first is whether the mesh has what a cluster has one of: the tag default, and the validator of objects without a
	// revision. The oldest mesh has it.
	first bool
	// alone is whether there is no other mesh.
	alone bool
	// holder is the older mesh in the same namespace, empty for none.
	holder string
	// deployments are the names of those that bear the label of the mesh.
	deployments []string
	// proxies is how many pods have a proxy of the mesh.
	proxies int
}

// observer looks at the cluster for a mesh.
type observer struct {
	client client.Reader
	// own has the kinds of ownObjects.
	own        client.Reader
	kubernetes *kubernetes
}

func (o *observer) observe(ctx context.Context, mesh *v1alpha1.Mesh) (observed, error) {
	seen := observed{mesh: mesh}
	var err error
	if seen.kubernetes, err = o.kubernetes.version(); err != nil {
		return seen, err
	}
	var list v1alpha1.MeshList
	if err := o.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return seen, fmt.Errorf("list meshes: %w", err)
	}
	seen.place(list.Items)
	var deployments appsv1.DeploymentList
	err = o.own.List(ctx, &deployments, client.InNamespace(mesh.Spec.Namespace), client.MatchingLabels{labelMesh: mesh.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return seen, fmt.Errorf("list control planes: %w", err)
	}
	for i := range deployments.Items {
		seen.deployments = append(seen.deployments, deployments.Items[i].Name)
	}
	slices.Sort(seen.deployments)
	if mesh.DeletionTimestamp != nil {
		pods, err := o.pods(ctx, mesh)
		seen.proxies = len(pods)
		return seen, err
	}
	return seen, nil
}

// place compares the mesh with all that there are.
func (s *observed) place(all []v1alpha1.Mesh) {
	s.alone = len(all) <= 1
	order := slices.SortedFunc(slices.Values(all), func(a, b v1alpha1.Mesh) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := range order {
		if order[i].Name == s.mesh.Name {
			s.first = i == 0
			return
		}
		if order[i].Spec.Namespace == s.mesh.Spec.Namespace && s.holder == "" {
			s.holder = order[i].Name
		}
	}
	s.first = len(order) == 0
}

// pods are those with a proxy of a mesh, by any of its revisions.
func (o *observer) pods(ctx context.Context, mesh *v1alpha1.Mesh) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := o.own.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list pods with proxies: %w", err)
	}
	var out []*corev1.Pod
	for i := range list.Items {
		if revision, ok := revisionOf(&list.Items[i]); ok && rollout.Owns(mesh.Name, revision) {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}

// revisionOf is the revision whose istiod gave a pod its proxy.
func revisionOf(pod client.Object) (string, bool) {
	revision, ok := pod.GetAnnotations()[annotationRevision]
	return revision, ok && revision != ""
}

// workload names what a pod belongs to.
func workload(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return pod.Namespace + "/" + owner.Kind + "/" + owner.Name
	}
	return pod.Namespace + "/Pod/" + pod.Name
}
