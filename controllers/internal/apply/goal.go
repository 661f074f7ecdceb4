// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// goal is what a live object should become.
type goal struct {
	// tree is the whole object, with what is exempt as it stands in live.
	tree fields
	// hash is the rendered object that the tree answers to.
	hash string
	// drift says that differences are foreign changes; otherwise something new was rendered.
	drift bool
	// locked says that the write holds only for this very version of live, so that its answer is the truth.
	locked bool
	// unreachable says that the API server refused the object before and nothing is known to keep in repair.
	unreachable bool
	// stale says that live turned out not to be the newest state.
	stale bool
}

// goal decides by what we remember of the object; after a restart, by the marks it bears.
func (j *job) goal(ctx context.Context, live *Object, have fields) (goal, error) {
	st := j.entry.state()
	sameObject := st.expected != nil && st.uid == live.UID
	hash := j.want.hash
	if st.refused == hash {
		if !sameObject {
			return goal{unreachable: true}, nil
		}
		hash = st.hash
	}
	switch {
	case sameObject && st.hash == hash:
		return j.remembered(live, have, st)
	case st.expected != nil && st.hash == hash && j.untouched(live, have):
		// Made anew by us, and the answer was lost.
		return j.accept(live, have)
	case st.expected != nil && st.hash == hash && j.set.Mode == Warn:
		// To tell what others changed, defaults have to be known; to write, they need not be.
		return j.recognized(ctx, live, have)
	case st.expected != nil && st.hash == hash:
		// Deleted and made anew by somebody who copied our marks.
		return goal{tree: j.fromRendered(have, have), hash: hash, drift: true, locked: true}, nil
	case live.rendered == hash:
		return j.recognized(ctx, live, have)
	default:
		before := have
		if sameObject {
			expected, err := parse(st.expected)
			if err != nil {
				return goal{}, err
			}
			before = expected
		}
		tree := j.fromRendered(before, have)
		j.dropFormer(live, tree)
		return goal{tree: tree, hash: hash, locked: true}, nil
	}
}

// dropFormer takes the labels and annotations out of a tree that were rendered once and are not any more: those
// that we own and nobody else does.
func (j *job) dropFormer(live *Object, tree fields) {
	meta, _ := tree["metadata"].(fields)
	rendered, _ := j.want.tree["metadata"].(fields)
	owners := parseOwners(live.managed)
	for _, where := range []string{"labels", "annotations"} {
		values, _ := meta[where].(fields)
		ours, _ := rendered[where].(fields)
		for key := range values {
			_, wanted := ours[key]
			mine, others := ownedBy(owners, where, key)
			if !wanted && mine && !others {
				delete(values, key)
			}
		}
	}
}

// ownedBy reports whether we own a label or an annotation, and whether others do.
func ownedBy(owners []owner, where, key string) (mine, others bool) {
	for _, o := range owners {
		if _, owns := lookup(o.owns, []string{"f:metadata", "f:" + where, "f:" + key}); owns {
			mine, others = mine || o.ours(), others || !o.ours()
		}
	}
	return mine, others
}

// remembered aims at the expected state.
func (j *job) remembered(live *Object, have fields, st state) (goal, error) {
	tree, err := parse(st.expected)
	if err != nil {
		return goal{}, err
	}
	j.carry(have, tree)
	if live.ResourceVersion == st.version && len(mergePatch(have, tree)) > 0 {
		// Other content under the same version: nobody wrote, the API server reads it with new defaults.
		return goal{tree: have, hash: st.hash, drift: true}, j.entry.learn(st.hash, live, have)
	}
	return goal{tree: tree, hash: st.hash, drift: true}, nil
}

// accept takes live for the answer to the rendered object.
func (j *job) accept(live *Object, have fields) (goal, error) {
	return goal{tree: have, hash: j.want.hash, drift: true}, j.entry.learn(j.want.hash, live, have)
}

// recognized is the first look at an object after a restart. Where the marks, the content and the field
// managers agree that nobody touched it, live is what is expected; else the API server is asked by a dry run.
func (j *job) recognized(ctx context.Context, live *Object, have fields) (goal, error) {
	if j.untouched(live, have) {
		return j.accept(live, have)
	}
	patch := mergePatch(have, j.fromRendered(have, have))
	answer, err := j.engine.patch(ctx, j.cache.Kind, j.want.ref, live, patch, dryRun|locked)
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		_, err := j.fetch(ctx)
		return goal{stale: true}, err
	case apierrors.IsInvalid(err):
		// The write itself will meet the same, and deals with it.
		return goal{tree: j.fromRendered(have, have), hash: j.want.hash, drift: true, locked: true}, nil
	case err != nil:
		return goal{}, fmt.Errorf("ask what is expected: %w", err)
	}
	tree, err := answer.fields()
	if err != nil {
		return goal{}, err
	}
	if err := j.entry.learn(j.want.hash, live, tree); err != nil {
		return goal{}, err
	}
	j.carry(have, tree)
	return goal{tree: tree, hash: j.want.hash, drift: true}, nil
}

// fromRendered is the rendered object with allocated values from before and exempt fields from live.
func (j *job) fromRendered(before, have fields) fields {
	tree := cloneFields(j.want.tree)
	j.cache.keep(before, tree)
	j.carry(have, tree)
	return tree
}

func (j *job) carry(have, tree fields) {
	j.cache.carry(have, tree, j.want.tree, j.scaled(have))
}

func (j *job) scaled(have fields) bool {
	return j.engine.scaled(j.cache.Kind, j.want.ref, have, &j.set)
}

// untouched reports whether live holds everything rendered and bears no trace of others.
func (j *job) untouched(live *Object, have fields) bool {
	target := cloneFields(j.want.tree)
	j.carry(have, target)
	return contains(have, target) && j.onlyOurs(live, have)
}

// onlyOurs reports whether we wrote the object and no other field manager owns a field that is not exempt.
func (j *job) onlyOurs(live *Object, have fields) bool {
	owners := parseOwners(live.managed)
	scaled := j.scaled(have)
	return slices.ContainsFunc(owners, owner.ours) &&
		!slices.ContainsFunc(owners, func(o owner) bool { return !o.ours() && j.cache.touches(o, j.want.tree, scaled) })
}
