// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

// finalizer is on load balancers that have RoleBindings in other namespaces, and on no others. Kubernetes' garbage
// collector does not reach those, and what they allow must not outlive the load balancer. Everything else has an owner
// reference, and goes also when no operator runs.
const finalizer = "fleet.fairlead.io/other-namespaces"

// hold puts the finalizer on before anything is made in another namespace.
func (r *reconciler) hold(ctx context.Context, lb *v1alpha1.LoadBalancer) error {
	if controllerutil.ContainsFinalizer(lb, finalizer) {
		return nil
	}
	return r.patchFinalizers(ctx, lb, func(held *v1alpha1.LoadBalancer) { controllerutil.AddFinalizer(held, finalizer) })
}

// release takes the finalizer off once nothing is left in other namespaces. Their end comes as an event.
func (r *reconciler) release(ctx context.Context, lb *v1alpha1.LoadBalancer) error {
	if !controllerutil.ContainsFinalizer(lb, finalizer) || r.abroad(client.ObjectKeyFromObject(lb)) {
		return nil
	}
	return r.patchFinalizers(ctx, lb, func(held *v1alpha1.LoadBalancer) { controllerutil.RemoveFinalizer(held, finalizer) })
}

// patchFinalizers writes the list of finalizers, which only holds for the version that it was read from.
func (r *reconciler) patchFinalizers(ctx context.Context, lb *v1alpha1.LoadBalancer, edit func(*v1alpha1.LoadBalancer)) error {
	held := lb.DeepCopy()
	edit(held)
	patch := client.MergeFromWithOptions(lb, client.MergeFromWithOptimisticLock{})
	err := r.client.Patch(ctx, held, patch, client.FieldOwner(v1alpha1.ManagedBy))
	if apierrors.IsConflict(err) {
		return errStale
	}
	if err != nil {
		return fmt.Errorf("write finalizers: %w", err)
	}
	return nil
}

// errStale is that the cache shows an old version of a load balancer; the new one is on its way.
var errStale = errors.New("the cache is behind")

// abroad reports whether there is something of a load balancer in other namespaces.
func (r *reconciler) abroad(key types.NamespacedName) bool {
	return slices.ContainsFunc(r.engine.Members(setKey(key)), func(ref apply.Ref) bool { return ref.Namespace != key.Namespace })
}

// remove deletes everything of a load balancer that is gone, or is being deleted. A pause does not keep it: whoever
// deletes it wants it gone, and the garbage collector does not know of pauses either.
func (r *reconciler) remove(ctx context.Context, key types.NamespacedName, lb *v1alpha1.LoadBalancer) (ctrl.Result, error) {
	r.ledger.forget(key)
	result, err := r.engine.Apply(ctx, apply.Set{Key: setKey(key)})
	if err == nil && lb != nil {
		err = client.IgnoreNotFound(r.release(ctx, lb))
	}
	if errors.Is(err, errStale) {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: result.RequeueAfter}, nil
}
