// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// The annotations that a restart leaves.
const (
	// AnnotationCause is in the pod template and says what the pods were restarted for: another cause is what makes new pods.
	AnnotationCause = "fleet.fairlead.io/restarted-for"
	// AnnotationRestartedAt is on the workload itself and says when, in RFC 3339: written again, it restarts nothing.
	AnnotationRestartedAt = "fleet.fairlead.io/restarted-at"
)

// manager is the field manager of restarts. It is not that of the apply engine, which knows by its own what it made.
const manager = v1alpha1.ManagedBy + "-restarts"

// tries is how often a restart is tried of a workload whose status is written all the time.
const tries = 3

// Restart restarts a workload as it was last seen, by one request, and reports whether it did. It did not if the workload is
// gone, stands restarted for that cause, may not be touched, or has another spec by now: what it should be is to be decided anew then.
func (c *Cache) Restart(ctx context.Context, r rollout.Restart, at time.Time) (bool, error) {
	seen, err := c.find(ctx, r)
	if err != nil || seen == nil {
		return false, err
	}
	w := seen
	for range tries {
		if w.cause == r.Cause || w.untouchable != "" || w.uid != seen.uid || w.generation != seen.generation {
			return false, nil
		}
		var done bool
		done, err = c.patch(ctx, w, r.Cause, at)
		if !apierrors.IsConflict(err) {
			return done, err
		}
		// A status has the same version as the spec. Who wrote is seen by what was written.
		if w, err = c.live(ctx, w); err != nil || w == nil {
			return false, err
		}
	}
	return false, fmt.Errorf("restart %s %s/%s: it changes all the time", strings.ToLower(r.Kind), r.Namespace, r.Name)
}

// patch writes the cause and the time on exactly the version of a workload that was seen.
func (c *Cache) patch(ctx context.Context, w *workload, cause string, at time.Time) (bool, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid": w.uid, "resourceVersion": w.version,
			"annotations": map[string]string{AnnotationRestartedAt: at.UTC().Format(time.RFC3339Nano)},
		},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]string{AnnotationCause: cause}}}},
	})
	if err != nil {
		return false, fmt.Errorf("write down a restart: %w", err)
	}
	target := w.blank()
	err = c.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, body), client.FieldOwner(manager))
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("restart %s %s/%s: %w", strings.ToLower(w.kind), w.namespace, w.name, err)
	}
	c.remember(target)
	return true, nil
}

// live asks for a workload as it is now; nil if it is gone.
func (c *Cache) live(ctx context.Context, w *workload) (*workload, error) {
	target := w.blank()
	if err := c.client.Get(ctx, client.ObjectKeyFromObject(target), target); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return c.remember(target), nil
}

// blank is an object of the workload's kind and name.
func (w *workload) blank() client.Object {
	meta := metav1.ObjectMeta{Namespace: w.namespace, Name: w.name}
	switch w.kind {
	case rollout.StatefulSet:
		return &appsv1.StatefulSet{ObjectMeta: meta}
	case rollout.DaemonSet:
		return &appsv1.DaemonSet{ObjectMeta: meta}
	default:
		return &appsv1.Deployment{ObjectMeta: meta}
	}
}

// find gives a workload as it was last seen; nil if there is none.
func (c *Cache) find(ctx context.Context, r rollout.Restart) (*workload, error) {
	kinds := map[string]*informer{rollout.Deployment: c.deployments, rollout.StatefulSet: c.statefulSets, rollout.DaemonSet: c.daemonSets}
	i, ok := kinds[r.Kind]
	if !ok {
		return nil, nil
	}
	if err := c.fill(ctx, i); err != nil {
		return nil, err
	}
	found, ok, err := i.shared.GetStore().GetByKey(r.Namespace + "/" + r.Name)
	if err != nil || !ok {
		return nil, err
	}
	return c.latest(found.(*workload)), nil
}

// remember keeps an answer of the API server until the informers know as much: a decision that does not see the last
// restarts would go on as if they had not been.
func (c *Cache) remember(answer client.Object) *workload {
	w := trimmed(answer).(*workload)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[w.id()] = w
	return w
}

// latest is the workload as it was answered, if that is newer than what the informers know.
func (c *Cache) latest(known *workload) *workload {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.written[known.id()]; answer != nil && answer.newer(known) {
		return answer
	}
	return known
}

// settle drops an answer that the informers know as well.
func (c *Cache) settle(known *workload, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.written[known.id()]; answer != nil && (gone || !answer.newer(known)) {
		delete(c.written, known.id())
	}
}

// newer compares two versions of a workload. Of those that cannot be compared, the informers' is the newer.
func (w *workload) newer(known *workload) bool {
	order, err := resourceversion.CompareResourceVersion(w.version, known.version)
	return err == nil && order > 0
}
