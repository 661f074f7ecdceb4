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
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

const (
	// cacheWait is how soon to look again where the cache is behind.
	cacheWait = 100 * time.Millisecond
	// recordCheck is how soon to look again at a record that could not be read.
	recordCheck = 30 * time.Second
)

// reconciler keeps the control planes of a mesh equal to what it asks for.
type reconciler struct {
	*observer
	writer   client.Client
	engine   *apply.Engine
	resolver *resolver
	prober   *prober
	planner  *planner
	history  *history.Store
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
		r.ledger.applied(mesh.Name, outcome{uid: mesh.UID, generation: mesh.Generation, unknown: true, failure: conditions.FailureClass(err)})
		return ctrl.Result{}, err
	}
	if mesh.DeletionTimestamp != nil && !keeps(seen) {
		return r.remove(ctx, mesh.Name, mesh)
	}
	out, err := r.pursue(ctx, seen)
	if errors.Is(err, errStale) || errors.Is(err, history.ErrConflict) {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	r.ledger.applied(mesh.Name, out)
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: soonest(out.result.RequeueAfter, out.decision.LookAgain, probeStale)}, nil
}

// soonest is the least of some durations of which 0 is never.
func soonest(all ...time.Duration) time.Duration {
	var out time.Duration
	for _, d := range all {
		if d > 0 && (out == 0 || d < out) {
			out = d
		}
	}
	return out
}

// pursue decides what is to be done next, remembers it, and does it.
func (r *reconciler) pursue(ctx context.Context, seen *observed) (out outcome, err error) {
	mesh := seen.mesh
	out = outcome{uid: mesh.UID, generation: mesh.Generation, held: seen.held(), unknown: true}
	was := r.ledger.wasPaused(mesh.Name, mesh.UID)
	defer func() {
		out.failure, out.paused = conditions.FailureClass(err), paused(mesh) || was && err != nil
	}()
	if seen.holder != "" {
		out.unknown, out.stuck = false, stuck{v1alpha1.ReasonNameTaken, fmt.Sprintf(
			"namespace %s is that of the control plane of mesh %s; make this one in another namespace", mesh.Spec.Namespace, seen.holder)}
		return out, nil
	}
	record, err := r.history.Load(ctx, mesh)
	if err != nil {
		err = out.halt(err)
		return out, err
	}
	wanted := r.resolver.resolve(seen, &record)
	progress := seen.since(&record)
	if paused(mesh) || was {
		progress = withoutPause(progress)
	}
	state := seen.state(time.Now(), r.up(), wanted.Spec, progress, func(plane *living) (answers, injects bool) {
		return r.ask(seen, plane, &record.Progress)
	})
	out.decide(seen, &wanted, &state, rollout.Decide(state))
	out.told.history = record.Status()
	if act := !paused(mesh) && len(out.decision.Install) > 0; act {
		if record, err = r.remember(ctx, mesh, &wanted, &out.decision); err != nil {
			// Nothing is done that is not written down.
			out.decision.Labels = nil
			err = out.halt(err)
			return out, err
		}
	}
	out.told.history = record.Status()
	if err := r.apply(ctx, seen, &wanted, &record, &out); err != nil || paused(mesh) {
		return out, err
	}
	return out, r.restart(ctx, out.decision.Restart)
}

// withoutPause has the deadline of what is under way begin anew: in a pause nothing comes nearer.
func withoutPause(p rollout.Progress) rollout.Progress {
	if !p.Target.IsZero() && p.Phase != rollout.Idle {
		p.ProgressedAt = time.Now()
	}
	return p
}

// halt takes an error that only a person can mend for the end of the attempt.
func (o *outcome) halt(err error) error {
	var lost *history.Stuck
	if errors.As(err, &lost) {
		// No event tells when it is mended.
		o.stuck, o.result.RequeueAfter = stuck{v1alpha1.ReasonInvalidSpec, lost.Message}, recordCheck
		return nil
	}
	return err
}

// ask asks whether a control plane injects. While members move, an answer does not stand for long.
func (r *reconciler) ask(seen *observed, plane *living, progress *rollout.Progress) (answers, injects bool) {
	patience := probeStale
	if progress.Phase != rollout.Idle {
		patience = probeFresh
	}
	result := r.prober.look(seen.mesh.Name, subject{
		namespace: string(seen.mesh.Spec.Namespace), release: plane.release(), state: fmt.Sprint(plane.rolledOut(seen.remote())),
	}, patience)
	return result.Answers, result.Injects
}

// remember holds the mesh, makes its namespace, and writes down what was decided before it is done.
func (r *reconciler) remember(ctx context.Context, mesh *v1alpha1.Mesh, wanted *wanted, decision *rollout.Decision) (history.Record, error) {
	if mesh.DeletionTimestamp == nil {
		if err := r.hold(ctx, mesh); err != nil {
			return history.Record{}, err
		}
		if err := r.namespace(ctx, mesh); err != nil {
			return history.Record{}, err
		}
	}
	record, err := r.history.Save(ctx, mesh, decision.Progress, func(source string) (history.Settings, bool) {
		return wanted.settings, source == wanted.Source
	})
	if err != nil {
		return record, fmt.Errorf("write down the progress: %w", err)
	}
	return record, nil
}

// apply renders the control planes that were decided on, and brings them into force.
func (r *reconciler) apply(ctx context.Context, seen *observed, wanted *wanted, record *history.Record, out *outcome) error {
	mesh := seen.mesh
	r.prober.keep(mesh.Name, func(revision string) bool { return seen.planes[revision] != nil })
	if len(out.decision.Install) == 0 {
		out.unknown = false
		return nil
	}
	now, err := r.planner.plan(seen, wanted.settings, record, &out.decision)
	if err != nil {
		out.stuck = stuck{v1alpha1.ReasonInvalidValues, err.Error()}
	}
	if out.unknown = now.partial && now.nodes == nil; now.objects == nil {
		return nil
	}
	out.version, out.revision, out.nodes = now.version, out.decision.Progress.Target.Revision, now.nodes
	set := apply.Set{Key: setKey(mesh.Name), Objects: now.objects, Paused: paused(mesh), Adopt: adopts(mesh), Partial: now.partial}
	if mesh.Spec.Drift == v1alpha1.Warn {
		set.Mode = apply.Warn
	}
	out.result, err = r.engine.Apply(ctx, set)
	return err
}

// restart restarts workloads whose turn has come.
func (r *reconciler) restart(ctx context.Context, all []rollout.Restart) error {
	var errs []error
	for _, restart := range all {
		_, err := r.workloads.Restart(ctx, restart, time.Now())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
