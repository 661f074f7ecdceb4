// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/drift"
	"github.com/fairlead/fairlead/controllers/internal/pace"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// statusReconciler writes the status of a mesh from the ledger and from how its control planes are, and tells its events.
type statusReconciler struct {
	*observer
	writer    client.Client
	ledger    *ledger
	catalogue *catalogue.Catalogue
	events    events.EventRecorder
	// began is when the controllers began to work.
	began  func() time.Time
	voices pace.Voices
}

// Reconcile implements reconcile.Reconciler.
func (r *statusReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	mesh := &v1alpha1.Mesh{}
	err := r.client.Get(ctx, request.NamespacedName, mesh)
	if apierrors.IsNotFound(err) {
		r.voices.Forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get mesh: %w", err)
	}
	if wait, _ := r.voices.Wait(mesh); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	found, err := r.gather(ctx, mesh)
	if err != nil {
		return ctrl.Result{}, err
	}
	known := found.outcome != nil && found.definitions != nil
	if !r.voices.Warm(mesh, known, mesh.Status.ObservedGeneration == mesh.Generation, r.began()) {
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	next := status(mesh, found)
	if first, more := r.ledger.takeUntold(mesh.Name, mesh.UID); first != nil {
		r.voices.Spoke(mesh)
		drift.Tell(r.events, mesh, first, more)
	}
	err = r.write(ctx, mesh, next)
	if apierrors.IsNotFound(err) {
		// It is gone, or the API server serves the kind anew since its definition changed: look again.
		return ctrl.Result{RequeueAfter: pace.Interval}, nil
	}
	return ctrl.Result{}, err
}

// gather brings together what is known of a mesh.
func (r *statusReconciler) gather(ctx context.Context, mesh *v1alpha1.Mesh) (*evidence, error) {
	out := &evidence{definitions: r.ledger.readShared(sharedDefinitions), nodes: r.ledger.readShared(sharedNodes)}
	out.outcome, out.repairs = r.ledger.read(mesh.Name, mesh.UID)
	if err := r.parts(ctx, mesh, out); err != nil {
		return nil, err
	}
	var err error
	if out.pods, err = r.pods(ctx, mesh); err != nil {
		return nil, err
	}
	out.namespaces = map[string]int32{}
	var counted []string
	for _, i := range out.revisions {
		counted = append(counted, i.revision)
	}
	if out.outcome != nil && out.outcome.revision != "" && !slices.Contains(counted, out.outcome.revision) {
		counted = append(counted, out.outcome.revision)
	}
	for _, revision := range counted {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(namespaces.GroupVersion().WithKind(namespaces.Kind + "List"))
		if err := r.client.List(ctx, list, client.MatchingLabels{annotationRevision: revision}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		out.namespaces[revision] = int32(len(list.Items))
	}
	return out, nil
}

// parts finds the Deployments and webhooks of a mesh.
func (r *statusReconciler) parts(ctx context.Context, mesh *v1alpha1.Mesh, out *evidence) error {
	ours := client.MatchingLabels{labelMesh: mesh.Name}
	var deployments appsv1.DeploymentList
	if err := r.own.List(ctx, &deployments, client.InNamespace(mesh.Spec.Namespace), ours, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list control planes: %w", err)
	}
	out.deployments = map[types.NamespacedName]*appsv1.Deployment{}
	var names []string
	for i := range deployments.Items {
		if d := &deployments.Items[i]; d.DeletionTimestamp == nil {
			out.deployments[client.ObjectKeyFromObject(d)] = d
			names = append(names, d.Name)
		}
	}
	out.revisions = revisions(r.catalogue, mesh, names)
	var webhooks admissionv1.MutatingWebhookConfigurationList
	if err := r.own.List(ctx, &webhooks, ours, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	out.webhooks = map[string]*admissionv1.MutatingWebhookConfiguration{}
	for i := range webhooks.Items {
		if w := &webhooks.Items[i]; w.DeletionTimestamp == nil {
			out.webhooks[w.Name] = w
		}
	}
	return nil
}

func (r *statusReconciler) write(ctx context.Context, mesh *v1alpha1.Mesh, next v1alpha1.MeshStatus) error {
	if equality.Semantic.DeepEqual(mesh.Status, next) {
		return nil
	}
	before := mesh.DeepCopy()
	mesh.Status = next
	r.voices.Spoke(mesh)
	err := r.writer.Status().Patch(ctx, mesh, client.MergeFrom(before), client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	r.voices.Spoke(mesh)
	drift.TellReady(r.events, mesh, ready(before.Status.Conditions), ready(mesh.Status.Conditions))
	return nil
}

func ready(conditions []metav1.Condition) *metav1.Condition {
	return meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
}
