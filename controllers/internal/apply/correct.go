// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// deletedSlot counts the deletions of an object among its fights.
const deletedSlot = ""

// correct brings live to the goal by one write, where they differ.
func (j *job) correct(ctx context.Context, live *Object, have fields, g goal) (done bool, err error) {
	patch := mergePatch(have, g.tree)
	if len(patch) == 0 {
		j.inForce(live)
		return true, nil
	}
	if g.drift {
		if j.set.Mode == Warn {
			j.warn(live, changes(diffFields(g.tree, have), live, j.cache.Kind, time.Now()))
			return true, nil
		}
		if j.leaveContested(patch); len(patch) == 0 {
			j.entry.settle(live, false)
			return true, nil
		}
	}
	if j.touchesAny(patch, j.cache.exemptions().recreate) {
		return j.recreate(ctx, live, have, g)
	}
	var how writeOption
	if g.locked || j.touchesAny(patch, j.cache.exemptions().locked) || touchesReferences(patch) {
		how = locked
	}
	j.result.Writes++
	got, err := j.engine.patch(ctx, j.cache.Kind, j.want.ref, live, patch, how)
	switch {
	case apierrors.IsNotFound(err):
		j.entry.gone(live)
		return false, nil
	case apierrors.IsConflict(err):
		_, err := j.fetch(ctx)
		return false, err
	case apierrors.IsInvalid(err):
		return j.rejected(live, have, g, err)
	case err != nil:
		return false, err
	}
	j.entry.wrote(got)
	if got.DeletionTimestamp != nil {
		// Deleted while the patch was on its way.
		j.terminating(got)
		return true, nil
	}
	return j.digest(live, have, patch, g, got)
}

// rejected deals with a patch that the API server found invalid. A repair is tried once more from what is
// rendered: a value allocated before may have been taken by somebody else meanwhile.
func (j *job) rejected(live *Object, have fields, g goal, why error) (done bool, err error) {
	if g.drift && g.hash == j.want.hash && !j.relearned {
		j.relearned = true
		j.entry.unlearn()
		return false, nil
	}
	return true, j.refuse(live, have, why)
}

// digest learns from the answer. What the patch asked for and the answer does not have is the API server's
// own doing (a default, a webhook) and becomes part of what is expected; what the patch did not speak of
// came in between and calls for another round.
func (j *job) digest(live *Object, have, patch fields, g goal, got *Object) (done bool, err error) {
	after, err := got.fields()
	if err != nil {
		return false, err
	}
	if g.drift && got.ResourceVersion != live.ResourceVersion {
		j.repaired(live, have, after, leaves(patch))
	}
	if g.locked {
		if err := j.entry.learn(g.hash, got, after); err != nil {
			return false, err
		}
		j.inForce(got)
		return true, nil
	}
	j.carry(after, g.tree)
	rest := mergePatch(after, g.tree)
	contested := len(rest)
	j.leaveContested(rest)
	contested -= len(rest)
	if !covers(patch, rest) {
		return false, nil
	}
	for _, leaf := range leaves(rest) {
		copyPath(after, g.tree, leaf)
	}
	if err := j.entry.learn(g.hash, got, g.tree); err != nil {
		return false, err
	}
	if contested > 0 {
		j.entry.settle(got, false)
		return true, nil
	}
	j.inForce(got)
	return true, nil
}

// create makes the object. Where it was there before, its deletion is drift.
func (j *job) create(ctx context.Context) (done bool, err error) {
	st := j.entry.state()
	if st.refused == j.want.hash && st.expected == nil {
		return true, nil
	}
	lost := st.lost() || j.lost
	if lost {
		if j.set.Mode == Warn {
			j.warn(&Object{content: []byte("deleted")}, []Change{{Manager: Unknown, Time: time.Now()}})
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
		j.report(Drift{Changes: []Change{{Manager: Unknown, Time: time.Now()}}}, [][]string{{deletedSlot}})
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
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), namespaceNotFound(err):
		// The namespace goes or is gone, and what we would put in it with it.
		j.result.Desired--
		return true, nil
	case apierrors.IsInvalid(err) && j.kept:
		// An address or a port of before is not free: not yet, or for good because somebody else has it.
		if wait, ok := j.entry.reclaim(); ok {
			j.result.requeue(wait)
			return true, nil
		}
		j.lost = st.lost()
		j.entry.unlearn()
		return false, nil
	case apierrors.IsInvalid(err):
		return true, j.refuse(nil, nil, err)
	default:
		return false, err
	}
}

func namespaceNotFound(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}

// recreate replaces an object whose difference cannot be written in place. The API server is asked first
// whether it would take the new one, so that what is in force is not lost to a bad spec.
func (j *job) recreate(ctx context.Context, live *Object, have fields, g goal) (done bool, err error) {
	if _, err := j.engine.create(ctx, j.cache.Kind, j.want.ref, g.tree, true); apierrors.IsInvalid(err) {
		return true, j.refuse(live, have, err)
	} else if err != nil {
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

// warn reports a drift once per content that was found.
func (j *job) warn(live *Object, changes []Change) {
	j.entry.settle(live, false)
	first := j.entry.tell(live.content)
	if first {
		j.result.Drifts = append(j.result.Drifts, Drift{Ref: j.want.ref, Changes: changes})
	}
	j.result.Drifted = append(j.result.Drifted, j.want.ref)
}

// repaired reports what a write changed back, and counts it among the fights.
func (j *job) repaired(live *Object, have, after fields, sent [][]string) {
	all := changes(diffFields(after, have), live, j.cache.Kind, time.Now())
	told := slices.DeleteFunc(all, func(c Change) bool {
		return !slices.ContainsFunc(sent, func(leaf []string) bool { return hasPrefix(c.slot, leaf) || hasPrefix(leaf, c.slot) })
	})
	if len(told) > 0 {
		j.report(Drift{Changes: told}, sent)
	}
}

func (j *job) report(drift Drift, sent [][]string) {
	drift.Ref, drift.Repaired = j.want.ref, true
	if !j.since.IsZero() {
		drift.Latency = time.Since(j.since)
	}
	j.entry.repaired(sent, drift.Changes)
	j.result.Drifts = append(j.result.Drifts, drift)
	if j.engine.recorder != nil {
		j.engine.recorder.Repaired(j.want.ref.Kind, drift.Latency)
	}
}

// leaveContested takes out of the patch what has to wait because somebody breaks it again and again.
func (j *job) leaveContested(patch fields) {
	for _, leaf := range leaves(patch) {
		if !j.entry.allows(slotName(leaf), j.result.requeue) {
			without(patch, leaf)
		}
	}
}

func slotName(leaf []string) string { return strings.Join(leaf, "\x00") }

func (j *job) touchesAny(patch fields, dotted []string) bool {
	return slices.ContainsFunc(dotted, func(field string) bool {
		_, ok := lookup(patch, split(field))
		return ok
	})
}

func touchesReferences(patch fields) bool {
	_, ok := lookup(patch, []string{"metadata", "ownerReferences"})
	return ok
}

// tell reports whether this content is told for the first time.
func (n *entry) tell(content []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if bytes.Equal(n.told, content) {
		return false
	}
	n.told = content
	return true
}
