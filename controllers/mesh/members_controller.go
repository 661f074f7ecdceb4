// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// membersManager is the field manager of labels on namespaces.
const membersManager = v1alpha1.ManagedBy + "-members"

const (
	// firstPause, which doubles, and lastPause are how long the labels of a namespace are left to whoever takes them off again.
	firstPause = time.Second
	lastPause  = time.Minute
)

// membersReconciler writes the labels of namespaces, which are not ours: nothing else of them is touched. Its requests are
// namespaces.
type membersReconciler struct {
	client     client.Client
	ledger     *ledger
	selections *selections
	// own is the namespace of the operator.
	own string

	mu     sync.Mutex
	pauses map[string]pause
}

// pause is when the labels of a namespace were last written, and for how long they are left then.
type pause struct {
	at     time.Time
	length time.Duration
}

// Reconcile implements reconcile.Reconciler.
func (r *membersReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	namespace := partial(namespaces)
	err := r.client.Get(ctx, request.NamespacedName, namespace)
	if apierrors.IsNotFound(err) || err == nil && namespace.DeletionTimestamp != nil {
		r.forget(request.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get namespace: %w", err)
	}
	var list v1alpha1.MeshList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, fmt.Errorf("list meshes: %w", err)
	}
	want, write := r.decide(namespace, list.Items)
	if !write {
		return ctrl.Result{}, nil
	}
	if wait := r.wait(request.Name); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return ctrl.Result{}, r.write(ctx, namespace, want)
}

// decide gives the labels that a namespace shall have of us, and whether they have to be written.
func (r *membersReconciler) decide(namespace *metav1.PartialObjectMetadata, all []v1alpha1.Mesh) (want map[string]string, write bool) {
	joined := namespace.Labels[labelMesh]
	mesh := r.selections.memberOf(namespace, r.own, all)
	if mesh == nil {
		return nil, joined != "" && !pausedAmong(all, joined)
	}
	revision, decided := r.ledger.label(mesh.Name, mesh.UID, namespace.Name)
	want = memberLabels(mesh, revision)
	if !decided || want == nil || paused(mesh) || joined == mesh.Name && mesh.Spec.Drift == v1alpha1.Warn && owned(mesh, namespace, revision) {
		return nil, false
	}
	for key, value := range want {
		if namespace.Labels[key] != value {
			return want, true
		}
	}
	return want, false
}

// owned reports whether a namespace names a revision of the mesh, or none is to be named: in drift mode Warn, other labels
// are left, and an upgrade goes on.
func owned(mesh *v1alpha1.Mesh, namespace *metav1.PartialObjectMetadata, want string) bool {
	named := namespace.Labels[revisionLabel(mesh)]
	return named == want || !rollout.Owns(mesh.Name, named)
}

func pausedAmong(all []v1alpha1.Mesh, name string) bool {
	for i := range all {
		if all[i].Name == name {
			return all[i].DeletionTimestamp == nil && paused(&all[i])
		}
	}
	return false
}

// write puts labels on a namespace and takes those off that we put there before. The UID keeps it from making the namespace
// anew that somebody deleted meanwhile.
func (r *membersReconciler) write(ctx context.Context, namespace *metav1.PartialObjectMetadata, want map[string]string) error {
	labelled := corev1ac.Namespace(namespace.Name).WithUID(namespace.UID).WithLabels(want)
	r.ledger.labelled(namespace.Name, time.Now())
	err := r.client.Apply(ctx, labelled, client.FieldOwner(membersManager), client.ForceOwnership)
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write labels: %w", err)
	}
	return nil
}

// wait is how long the labels of a namespace are left, since they were written before and somebody wrote others; each time
// it is longer. It is 0 where they may be written now.
func (r *membersReconciler) wait(namespace string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.pauses[namespace]
	since := time.Since(last.at)
	if since < last.length {
		return last.length - since
	}
	next := pause{at: time.Now(), length: firstPause}
	if since < 2*lastPause {
		next.length = min(2*last.length, lastPause)
	}
	r.pauses[namespace] = next
	return 0
}

func (r *membersReconciler) forget(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pauses, namespace)
	r.ledger.labelled(namespace, time.Time{})
}

// candidates are the namespaces that a mesh selects, or that have its labels.
func (w *watches) candidates(ctx context.Context, object client.Object) []reconcile.Request {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(namespaces.GroupVersion().WithKind(namespaces.Kind + "List"))
	if err := w.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "cannot list namespaces")
		return nil
	}
	mesh := object.(*v1alpha1.Mesh)
	var out []reconcile.Request
	for i := range list.Items {
		if ns := &list.Items[i]; ns.Labels[labelMesh] != "" || w.selections.wants(mesh, ns) {
			out = append(out, named(ns.Name))
		}
	}
	return out
}
