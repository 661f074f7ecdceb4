// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// prune deletes what bears the set's mark and is no longer desired.
func (e *Engine) prune(ctx context.Context, set Set, desired map[Ref]struct{}, result *Result) error {
	var errs []error
	members := e.members(set.Key)
	slices.SortFunc(members, func(a, b Ref) int { return e.caches[b.GroupVersionKind].rank - e.caches[a.GroupVersionKind].rank })
	for _, ref := range members {
		if _, wanted := desired[ref]; wanted {
			continue
		}
		entry := e.entry(set.Key, ref)
		if e.known(ref) != entry {
			// Another set made it, and puts its own mark back.
			e.forget(set.Key, ref)
			continue
		}
		job := job{engine: e, set: set, want: rendered{ref: ref}, cache: e.caches[ref.GroupVersionKind], entry: entry, result: result}
		if err := job.prune(ctx); err != nil {
			errs = append(errs, fmt.Errorf("prune %s: %w", ref, err))
		}
	}
	return errors.Join(errs...)
}

func (j *job) prune(ctx context.Context) error {
	for range maxRounds {
		live, err := j.live(ctx)
		if err != nil || !j.prunes(live) {
			return err
		}
		j.result.Writes++
		err = j.engine.remove(ctx, j.cache.Kind, j.want.ref, live)
		switch {
		case err == nil || apierrors.IsNotFound(err):
			j.entry.remove(live, true)
			return nil
		case !apierrors.IsConflict(err):
			return err
		}
		// Perhaps another one has the name by now.
		if _, err := j.fetch(ctx); err != nil {
			return err
		}
	}
	return errUnstable
}

// prunes reports whether there is something of ours to delete.
func (j *job) prunes(live *Object) bool {
	switch {
	case live == nil && j.cache.get(j.want.ref.NamespacedName) != nil:
		// Deleted before; the cache does not show it yet.
		return false
	case live == nil || !j.made(live):
		j.engine.forget(j.set.Key, j.want.ref)
		return false
	case live.DeletionTimestamp != nil:
		j.terminating(live)
		return false
	}
	return true
}
