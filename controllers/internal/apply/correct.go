// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// correct brings live to the goal by one write, where they differ.
func (j *job) correct(ctx context.Context, live *Object, have fields, g goal) (done bool, err error) {
	patch := mergePatch(have, g.tree)
	if len(patch) == 0 {
		j.confirmed()
		j.inForce(live)
		return true, nil
	}
	if g.drift {
		if j.set.Mode == Warn {
			j.warn(live, j.changes(g.tree, have, live))
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
	return j.write(ctx, live, have, patch, g)
}

// write sends the patch.
func (j *job) write(ctx context.Context, live *Object, have, patch fields, g goal) (done bool, err error) {
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
	case err != nil && g.drift:
		j.unsure(err, &attempt{changes: j.changes(g.tree, have, live), sent: leaves(patch), since: j.since})
		return false, err
	case err != nil:
		j.unsure(err, nil)
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
	if g.drift && g.hash == j.want.hash && j.given == nil {
		j.giveUp()
		return false, nil
	}
	return true, j.refuse(live, have, why)
}

// giveUp forgets the expected state, until the API server refuses what is rendered too.
func (j *job) giveUp() {
	st := j.entry.state()
	j.given = &st
	j.entry.unlearn()
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
