// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// maxRounds bounds how often one Apply starts over because the object changed under its hands.
	maxRounds = 6
	// trust is how long the answer to a write stands for the live object while no event has shown it.
	// Past it the object is read: it may have been deleted while a watch was down.
	trust = 10 * time.Second
	// foreignRecheck is how often an object in the way is looked at where no event would tell that it went.
	foreignRecheck = 30 * time.Second
)

var errUnstable = errors.New("the object kept changing while it was written")

// job makes one object what it should be.
type job struct {
	engine *Engine
	set    Set
	want   rendered
	cache  *kindCache
	entry  *entry
	result *Result
}

// ensure runs rounds until the object is in force, or something stands in the way.
func (j *job) ensure(ctx context.Context) error {
	if st := j.entry.state(); st.refused == j.want.hash {
		j.result.Refused = append(j.result.Refused, Refusal{Ref: j.want.ref, Message: st.refusedWhy})
	}
	defer j.tellContested()
	for range maxRounds {
		live, err := j.live(ctx)
		if err != nil {
			return err
		}
		done, err := j.round(ctx, live)
		if done || err != nil {
			return err
		}
	}
	return errUnstable
}

// round takes one step; done is false where it has to be looked at again.
func (j *job) round(ctx context.Context, live *Object) (done bool, err error) {
	switch {
	case live == nil:
		return j.create(ctx)
	case live.DeletionTimestamp != nil:
		j.result.Terminating = append(j.result.Terminating, j.want.ref)
		j.entry.settle(live, false)
		return true, nil
	case !j.owns(live):
		j.conflict(live)
		return true, nil
	}
	have, err := live.fields()
	if err != nil {
		return false, err
	}
	goal, err := j.goal(ctx, live, have)
	if err != nil || goal.unreachable {
		return goal.unreachable, err
	}
	return j.correct(ctx, live, have, goal)
}

// live is the newest state we know of: the cache, or the answer to our last write while the cache lags.
func (j *job) live(ctx context.Context) (*Object, error) {
	cached := j.cache.get(j.want.ref.NamespacedName)
	st := j.entry.state()
	if st.written != nil {
		switch {
		case cached != nil && !newer(st.written.ResourceVersion, cached.ResourceVersion):
			j.entry.seen()
		case time.Since(st.writtenAt) < trust:
			return st.written, nil
		default:
			return j.fetch(ctx)
		}
	}
	if cached != nil && cached.UID == st.deleted {
		cached = nil
	}
	// A removed label looks like a deletion to a selective cache.
	if cached == nil && j.cache.Selective && st.madeOrMet() {
		return j.fetch(ctx)
	}
	return cached, nil
}

// fetch reads the object from the API server; nil where it does not exist.
func (j *job) fetch(ctx context.Context) (*Object, error) {
	live, err := j.engine.get(ctx, j.cache.Kind, j.want.ref)
	if apierrors.IsNotFound(err) {
		j.entry.gone(j.cache.get(j.want.ref.NamespacedName))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	j.entry.read(live)
	return live, nil
}

// owns reports whether the object is ours to write: we made it, it bears the mark of this set, its field
// managers say that we wrote it, or a person lets us adopt it.
func (j *job) owns(live *Object) bool {
	if live.UID == j.entry.state().uid || live.set == j.set.Key {
		return true
	}
	return live.set == "" && (live.adopt || writtenByUs(live))
}

func writtenByUs(live *Object) bool {
	for _, o := range parseOwners(live.managed) {
		if o.ours() && o.subresource == "" {
			return true
		}
	}
	return false
}

func (j *job) conflict(live *Object) {
	j.result.Conflicts = append(j.result.Conflicts, Conflict{Ref: j.want.ref})
	j.entry.stranger(live)
	if j.cache.Selective {
		j.result.requeue(foreignRecheck)
	}
}

// inForce notes that live is what it should be.
func (j *job) inForce(live *Object) {
	st := j.entry.state()
	j.entry.settle(live, true)
	if st.refused != j.want.hash {
		j.result.InForce++
	}
	if st.written != nil {
		// Look again once the answer is no longer proof enough; an event in between makes that free.
		j.result.requeue(trust + time.Second)
	}
}

// refuse notes that the API server will not have the rendered object, whatever we do.
func (j *job) refuse(live *Object, why error) {
	j.entry.refuse(j.want.hash, why.Error())
	j.result.Refused = append(j.result.Refused, Refusal{Ref: j.want.ref, Message: why.Error()})
	if live != nil {
		j.entry.settle(live, false)
	}
}

func (j *job) tellContested() {
	for _, fight := range j.entry.contested(j.result.requeue) {
		j.result.Contested = append(j.result.Contested, Contest{Ref: j.want.ref, Field: fight.field, Manager: fight.manager})
	}
}
