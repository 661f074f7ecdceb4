// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

// finalizer is on every mesh that something was made for. Garbage collection asks nobody, and a control plane has to stay
// while members use it; and what meshes share has to go after the last of them.
const finalizer = "fleet.fairlead.io/mesh"

// goingCheck is how soon to look again at what is being deleted; mostly an event comes before.
const goingCheck = time.Second

// errStale is that the cache shows an old version of a mesh; the new one is on its way.
var errStale = errors.New("the cache is behind")

// keeps reports whether a mesh that is being deleted stays in force.
func keeps(seen *observed) bool {
	return seen.held() > 0 && seen.mesh.Spec.Uninstall.WithMembers != v1alpha1.UninstallProceed
}

// hold puts the finalizer on before anything is made.
func (r *reconciler) hold(ctx context.Context, mesh *v1alpha1.Mesh) error {
	if controllerutil.ContainsFinalizer(mesh, finalizer) {
		return nil
	}
	return r.patchFinalizers(ctx, mesh, func(held *v1alpha1.Mesh) { controllerutil.AddFinalizer(held, finalizer) })
}

// patchFinalizers writes the list of finalizers, which only holds for the version that it was read from.
func (r *reconciler) patchFinalizers(ctx context.Context, mesh *v1alpha1.Mesh, edit func(*v1alpha1.Mesh)) error {
	held := mesh.DeepCopy()
	edit(held)
	patch := client.MergeFromWithOptions(mesh, client.MergeFromWithOptimisticLock{})
	err := r.writer.Patch(ctx, held, patch, client.FieldOwner(v1alpha1.ManagedBy))
	if apierrors.IsConflict(err) {
		return errStale
	}
	if err != nil {
		return fmt.Errorf("write finalizers: %w", err)
	}
	return nil
}

// remove deletes everything of a mesh that is gone, or is being deleted. A pause does not keep it: whoever deletes it wants
// it gone.
func (r *reconciler) remove(ctx context.Context, name string, mesh *v1alpha1.Mesh) (ctrl.Result, error) {
	var uid types.UID
	if mesh != nil {
		uid = mesh.UID
	}
	r.ledger.forget(name, uid)
	r.planner.forget(name)
	r.resolver.forget(name)
	r.prober.keep(name, func(string) bool { return false })
	r.history.Forget(name)
	result, err := r.engine.Apply(ctx, apply.Set{Key: setKey(name)})
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(r.engine.Members(setKey(name))) > 0 {
		return ctrl.Result{RequeueAfter: goingCheck}, nil
	}
	if mesh == nil || !controllerutil.ContainsFinalizer(mesh, finalizer) {
		return ctrl.Result{RequeueAfter: result.RequeueAfter}, nil
	}
	err = r.patchFinalizers(ctx, mesh, func(held *v1alpha1.Mesh) { controllerutil.RemoveFinalizer(held, finalizer) })
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}
