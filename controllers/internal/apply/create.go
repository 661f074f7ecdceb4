// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// create makes the object. Where it was there before, its deletion is drift.
func (j *job) create(ctx context.Context) (done bool, err error) {
	st := j.entry.state()
	if st.refused == j.want.hash && st.expected == nil {
		return true, nil
	}
	lost := st.lost() || j.lost
	if lost {
		if j.set.Mode == Warn {
			j.warn(&Object{content: []byte("deleted")}, deletion())
			return true, nil
		}
		if !j.entry.allows(deletedSlot, j.result.requeue) {
			return true, nil
		}
	}
	tree, hash, err := j.creation(st)
	if err != nil {
		return false, err
	}
	j.result.Writes++
	j.entry.hold()
	got, err := j.engine.create(ctx, j.cache.Kind, j.want.ref, tree, false)
	if err != nil {
		return j.notCreated(ctx, err)
	}
	j.entry.wrote(got)
	after, err := got.fields()
	if err != nil {
		return false, err
	}
	if lost {
		j.report(attempt{changes: deletion(), sent: deletionSlot(), since: j.since})
	}
	if err := j.entry.learn(hash, got, after); err != nil {
		return false, err
	}
	j.inForce(got)
	return true, nil
}

// creation is the body to create: what is rendered, with the allocated values it had before; or what was
// in force, where the API server refuses what is rendered.
func (j *job) creation(st state) (fields, string, error) {
	j.kept = false
	if st.expected == nil {
		return j.want.tree, j.want.hash, nil
	}
	before, err := parse(st.expected)
	if err != nil {
		return nil, "", err
	}
	if st.refused == j.want.hash {
		return before, st.hash, nil
	}
	tree := cloneFields(j.want.tree)
	j.cache.keep(before, tree)
	j.kept = len(mergePatch(j.want.tree, tree)) > 0
	return tree, j.want.hash, nil
}

func (j *job) notCreated(ctx context.Context, err error) (done bool, _ error) {
	st := j.entry.state()
	switch {
	case apierrors.IsAlreadyExists(err):
		_, err := j.fetch(ctx)
		return false, err
	case namespaceGoes(err):
		j.going = true
		return true, nil
	case j.kindGoes(ctx, err):
		// It may as well have come a moment ago, and then no event tells when it can be made.
		j.unserved = true
		j.result.requeue(j.entry.goes())
		return true, nil
	case apierrors.IsInvalid(err) && j.kept:
		// An address or a port of before is not free: not yet, or for good because somebody else has it.
		if wait, ok := j.entry.reclaim(); ok {
			j.result.requeue(wait)
			return true, nil
		}
		j.lost = st.lost()
		j.giveUp()
		return false, nil
	case apierrors.IsInvalid(err):
		return true, j.refuse(nil, nil, err)
	case st.lost():
		j.unsure(err, &attempt{changes: deletion(), sent: deletionSlot(), since: j.since})
		return false, err
	default:
		j.unsure(err, nil)
		return false, err
	}
}

// namespaceGoes reports whether the namespace goes or is gone, and what we would put in it with it.
func namespaceGoes(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}

// kindGoes reports whether the API server does not have the kind, or will not have it for long: while a definition goes
// it answers as it does to who may not create, or before 1.35 as to what cannot be done.
func (j *job) kindGoes(ctx context.Context, err error) bool {
	switch {
	case j.cache.optional == nil:
		return false
	case apierrors.IsNotFound(err):
		return true
	case !apierrors.IsForbidden(err) && !apierrors.IsMethodNotSupported(err):
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, j.engine.timeout)
	defer cancel()
	defined, _, err := j.cache.optional.defined(ctx)
	return err == nil && !defined
}

// goes says how long to wait before an object whose namespace or kind goes is tried again.
func (n *entry) goes() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait := min(goingRecheck<<n.goings, foreignRecheck)
	if wait < foreignRecheck {
		n.goings++
	}
	return wait
}

// recreate replaces an object whose difference cannot be written in place. The API server is asked first
// whether it would take the new one, so that what is in force is not lost to a bad spec.
func (j *job) recreate(ctx context.Context, live *Object, have fields, g goal) (done bool, err error) {
	if _, err := j.engine.create(ctx, j.cache.Kind, j.want.ref, g.tree, true); apierrors.IsInvalid(err) {
		return true, j.refuse(live, have, err)
	} else if namespaceGoes(err) {
		j.going = true
		return true, nil
	} else if err != nil {
		// A question leaves no doubt of what was written.
		return false, err
	}
	j.result.Writes++
	j.entry.removing(true)
	if err := j.engine.remove(ctx, j.cache.Kind, j.want.ref, live); apierrors.IsConflict(err) {
		j.entry.removing(false)
		_, err := j.fetch(ctx)
		return false, err
	} else if err != nil && !apierrors.IsNotFound(err) {
		return false, err
	}
	j.entry.remove(live, false)
	j.result.Writes++
	got, err := j.engine.create(ctx, j.cache.Kind, j.want.ref, g.tree, false)
	if err != nil {
		return j.notCreated(ctx, err)
	}
	j.entry.wrote(got)
	after, err := got.fields()
	if err != nil {
		return false, err
	}
	if g.drift {
		j.repaired(live, have, after, leaves(mergePatch(have, g.tree)))
	}
	if err := j.entry.learn(g.hash, got, after); err != nil {
		return false, err
	}
	j.inForce(got)
	return true, nil
}
