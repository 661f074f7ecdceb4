// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
)

// cacheWait is how soon to look again where the cache is behind.
const cacheWait = 100 * time.Millisecond

// reconciler keeps the control plane of a mesh equal to what it asks for.
type reconciler struct {
	*observer
	writer  client.Client
	engine  *apply.Engine
	ledger  *ledger
	planner *planner
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	mesh := &v1alpha1.Mesh{}
	err := r.client.Get(ctx, request.NamespacedName, mesh)
	if apierrors.IsNotFound(err) {
		return r.remove(ctx, request.Name, nil)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("get mesh: %w", err)
	}
	seen, err := r.observe(ctx, mesh)
	if err != nil {
		return ctrl.Result{}, err
	}
	if mesh.DeletionTimestamp != nil && !keeps(&seen) {
		return r.remove(ctx, mesh.Name, mesh)
	}
	out, err := r.apply(ctx, &seen)
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	r.ledger.applied(mesh.Name, out)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: out.result.RequeueAfter}, nil
}

// apply plans and applies.
func (r *reconciler) apply(ctx context.Context, seen *observed) (out outcome, err error) {
	mesh := seen.mesh
	now := r.planner.plan(seen)
	out = outcome{
		uid: mesh.UID, generation: mesh.Generation, stuck: now.stuck, desired: now.desired, problems: now.problems, held: seen.proxies,
		deployments: now.deployments, webhooks: now.webhooks,
	}
	if now.objects == nil {
		return out, nil
	}
	out.version, out.revision, out.nodes = now.version, now.revision, now.nodes
	defer func() { out.failure = conditions.FailureClass(err) }()
	if !paused(mesh) && mesh.DeletionTimestamp == nil {
		if err := r.hold(ctx, mesh); err != nil {
			return out, err
		}
		if err := r.namespace(ctx, mesh); err != nil {
			return out, err
		}
	}
	set := apply.Set{Key: setKey(mesh.Name), Objects: now.objects, Paused: paused(mesh)}
	if mesh.Spec.Drift == v1alpha1.Warn {
		set.Mode = apply.Warn
	}
	out.result, err = r.engine.Apply(ctx, set)
	return out, err
}

// namespace makes the namespace of the control plane where there is none. It is not the engine's, which would delete it
// with everything that others have in it.
func (r *reconciler) namespace(ctx context.Context, mesh *v1alpha1.Mesh) error {
	name := string(mesh.Spec.Namespace)
	err := r.client.Get(ctx, client.ObjectKey{Name: name}, partial(namespaces))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get namespace %s: %w", name, err)
	}
	if err == nil {
		return nil
	}
	err = r.writer.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, client.FieldOwner(v1alpha1.ManagedBy))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}
