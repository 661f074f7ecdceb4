// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
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
	// maxReclaims and reclaimDelay, which doubles, bound the wait for addresses and ports of a deleted object.
	maxReclaims  = 5
	reclaimDelay = 10 * time.Millisecond
	// foreignRecheck is how often an object in the way is looked at: no event tells that it went where the cache
	// is selective, or where it concerns another set.
	foreignRecheck = 30 * time.Second
	// hiddenRecheck is the same for an object of ours that is terminating without our label.
	hiddenRecheck = 3 * time.Second
	// goingRecheck, which doubles, is when an object whose namespace goes is tried again: the namespace may be a new
	// one that the API server's admission does not know yet.
	goingRecheck = 50 * time.Millisecond
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

	// given is what was expected before it was given up because the API server refuses it.
	given *state
	// since is when the event of the change came that this round deals with; zero where there was none. The
	// echo of the repair may come before its answer and end the drift.
	since time.Time
	// kept is true where the object is created with values that were allocated before.
	kept bool
	// lost is true where the object was in force and is gone, though its expected state was given up.
	lost bool
	// going is true where the object is not made because its namespace goes, unserved where its kind is not served.
	going, unserved bool
}

// ensure runs rounds until the object is in force, or something stands in the way.
func (j *job) ensure(ctx context.Context) error {
	defer j.tell()
	if !j.cache.served() {
		j.unserved = true
		return nil
	}
	for range maxRounds {
		live, err := j.live(ctx)
		if err != nil {
			return err
		}
		done, err := j.round(ctx, live)
		again := j.entry.release()
		if err != nil || done && !again {
			return err
		}
	}
	return errUnstable
}

// round takes one step; done is false where it has to be looked at again.
func (j *job) round(ctx context.Context, live *Object) (done bool, err error) {
	j.since, j.going, j.unserved = j.entry.state().driftSince, false, false
	switch {
	case live == nil:
		return j.create(ctx)
	case live.DeletionTimestamp != nil:
		j.terminating(live)
		return true, nil
	case !j.owns(live):
		j.conflict(live)
		return true, nil
	case j.asExpected(live):
		j.confirmed()
		j.inForce(live)
		return true, nil
	}
	have, err := live.fields()
	if err != nil {
		return false, err
	}
	goal, err := j.goal(ctx, live, have)
	if err != nil || goal.stale || goal.unreachable {
		return goal.unreachable, err
	}
	return j.correct(ctx, live, have, goal)
}

// asExpected reports whether live is the expected state of what is rendered, byte for byte: at rest most objects are,
// and need not be parsed to see that nothing differs.
func (j *job) asExpected(live *Object) bool {
	st := j.entry.state()
	return st.expected != nil && st.uid == live.UID && st.hash == j.want.hash && st.refused != st.hash && bytes.Equal(live.content, st.expected)
}

// live is the newest state we know of: the cache, or the answer to our last write while the cache lags.
func (j *job) live(ctx context.Context) (*Object, error) {
	cached := j.cache.get(j.want.ref.NamespacedName)
	st := j.entry.state()
	if st.inDoubt {
		return j.fetch(ctx)
	}
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
	if cached != nil && cached.UID == st.deleted && cached.DeletionTimestamp == nil {
		cached = nil
	}
	// A removed label looks like a deletion to a selective cache, and so does a kind that is not served for a while.
	if cached == nil && (j.cache.Selective || j.cache.Optional) && st.madeOrMet() {
		return j.fetch(ctx)
	}
	return cached, nil
}

// terminating notes an object that somebody is deleting. Its end comes as an event, unless it lost our label
// and the cache cannot show it.
func (j *job) terminating(live *Object) {
	j.result.Terminating = append(j.result.Terminating, j.want.ref)
	j.entry.settle(live, false)
	if j.cache.Selective && j.cache.get(j.want.ref.NamespacedName) == nil {
		j.entry.seen()
		j.result.requeue(hiddenRecheck)
	}
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

// owns reports whether the object is ours to write: we made it, its field managers say that we wrote it, or
// a person lets us adopt it.
func (j *job) owns(live *Object) bool {
	return j.made(live) || live.set == "" && (live.adopt || j.set.Adopt || writtenByUs(live))
}

// made reports whether we made the object for this set: we remember it, or it bears the mark.
func (j *job) made(live *Object) bool {
	return live.UID == j.entry.state().uid || live.set == j.set.Key
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
	j.result.requeue(foreignRecheck)
}

// inForce notes that live is what it should be.
func (j *job) inForce(live *Object) {
	st := j.entry.state()
	j.entry.settle(live, true)
	if st.hash == j.want.hash {
		j.result.InForce++
	}
	if st.written != nil {
		// Look again once the answer is no longer proof enough; an event in between makes that free.
		j.result.requeue(trust + time.Second)
	}
}

// refuse notes that the API server will not have the rendered object, whatever we do. Where nothing is known
// of what was in force, because we were restarted, live is taken for it if it bears no trace of others.
func (j *job) refuse(live *Object, have fields, why error) error {
	j.entry.refuse(j.want.hash, why.Error())
	if j.given != nil {
		j.entry.relearn(*j.given)
	}
	if live == nil {
		return nil
	}
	st := j.entry.state()
	unknown := st.expected == nil || st.uid != live.UID
	before := live.set == j.set.Key && live.rendered != "" && live.rendered != j.want.hash
	if unknown && before && j.onlyOurs(live, have) {
		if err := j.entry.learn(live.rendered, live, have); err != nil {
			return err
		}
	}
	j.entry.settle(live, false)
	return nil
}

// tell puts into the result what is remembered of the object beyond this Apply.
func (j *job) tell() {
	if j.unserved {
		j.result.Unserved = append(j.result.Unserved, j.want.ref)
		j.entry.unserved()
	}
	if st := j.entry.state(); st.refused == j.want.hash {
		j.result.Refused = append(j.result.Refused, Refusal{Ref: j.want.ref, Message: st.refusedWhy})
	}
	for _, fight := range j.entry.contested(j.result.requeue) {
		j.result.Contested = append(j.result.Contested, Contest{Ref: j.want.ref, Field: fight.field, Manager: fight.manager})
	}
	if j.going {
		// The API server may be behind and speak of an earlier namespace of the name, when we were told of the new one
		// already: no event would make us look again.
		j.result.Desired--
		j.result.Going = append(j.result.Going, j.want.ref)
		j.result.requeue(j.entry.goes())
	}
}
