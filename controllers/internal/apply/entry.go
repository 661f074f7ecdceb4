// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// entry is what the engine remembers of one object. Apply runs once at a time per set, events come at any time.
type entry struct {
	// set is the key of the set that the memory belongs to.
	set string

	mu sync.Mutex

	// hash is the hash of the rendered object that expected answers to; empty until the first success.
	hash string
	// uid is the object that expected speaks of.
	uid types.UID
	// expected is the server's answer to our last write. What stands in it for exempt fields is as old as that
	// write and counts only where an object is made anew.
	expected []byte
	// version is the last resourceVersion at which live agreed with expected; empty where it is not known to.
	version string
	// tolerated is live content that differs from expected in exempt fields alone.
	tolerated []byte

	// creating is true while a creation is under way. held is the last event that came meanwhile: mostly the
	// creation's own echo, which only the answer tells from another's doing.
	creating    bool
	held        *Object
	heldDeleted bool

	// written is the answer to our last write until a watch event shows it, or something later.
	written   *Object
	writtenAt time.Time
	// deleted is the UID that is known to be gone or going: a cache that still shows it alive is stale.
	deleted types.UID
	// removed is true from when we asked for a deletion on, pruned where the object is no longer desired.
	removed, pruned bool

	// driftSince is when the first event came that differs from expected; zero while in force. driftVersion is
	// the version that the last such event told of.
	driftSince   time.Time
	driftVersion string
	// unsettled is true when the last Apply left the object other than expected.
	unsettled bool
	// told is the live content whose drift was reported last, in mode Warn.
	told []byte
	// met is true while an object that is not ours has the name.
	met bool
	// refused is the hash of a rendered object that the API server refuses, with its words.
	refused, refusedWhy string

	// inDoubt is true where a write was perhaps done and its answer was lost; attempted is the repair it was for.
	inDoubt   bool
	attempted *attempt

	// reclaims counts the creations that failed because a value allocated before was not free, goings those that did
	// because the namespace goes.
	reclaims, goings int

	fights fights
}

// observe notes an event and reports whether the set has work because of it.
func (n *entry) observe(obj *Object, deleted bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.creating {
		n.held, n.heldDeleted = obj, deleted
		return false
	}
	return n.take(obj, deleted)
}

// hold keeps events for release while the object is created.
func (n *entry) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.creating = true
}

// release notes the event that was held, and reports whether there is work because of it.
func (n *entry) release() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	held, deleted := n.held, n.heldDeleted
	n.creating, n.held = false, nil
	return held != nil && n.take(held, deleted)
}

// take is observe under the lock.
func (n *entry) take(obj *Object, deleted bool) bool {
	if n.written != nil && newer(n.written.ResourceVersion, obj.ResourceVersion) {
		return n.observeOld(obj, deleted)
	}
	n.written = nil
	alive := !deleted && obj.DeletionTimestamp == nil
	switch {
	case alive && obj.UID == n.uid && n.agrees(obj.content):
		n.version = obj.ResourceVersion
		n.driftSince = time.Time{}
		if bytes.Equal(obj.content, n.expected) {
			n.expected = obj.content
		}
		return n.unsettled
	case alive && n.met && bytes.Equal(obj.content, n.tolerated):
		return false
	case deleted && obj.UID == n.deleted:
		return n.unsettled
	}
	n.driftVersion = obj.ResourceVersion
	if n.driftSince.IsZero() {
		n.driftSince = time.Now()
	}
	return true
}

// observeOld notes an event that is older than our last write: the echo of the write itself is still to
// come. Only a relist tells of an end at such a version; whether the object is there has to be read.
func (n *entry) observeOld(obj *Object, deleted bool) bool {
	if !deleted || obj.UID != n.written.UID {
		return false
	}
	n.writtenAt = time.Time{}
	return true
}

func (n *entry) agrees(content []byte) bool {
	return n.expected != nil && (bytes.Equal(content, n.expected) || bytes.Equal(content, n.tolerated))
}

// share gives the bytes we hold already in place of equal ones, so that live and expected cost memory once.
func (n *entry) share(content []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if bytes.Equal(content, n.expected) {
		return n.expected
	}
	return content
}

// wrote notes the answer to a write.
func (n *entry) wrote(answer *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written, n.writtenAt = answer, time.Now()
	n.deleted, n.removed, n.pruned, n.met = "", false, false, false
	n.reclaims, n.goings = 0, 0
}

// learn makes the tree the expected state of the object, as the API server answered to the rendered object
// with the hash.
func (n *entry) learn(hash string, live *Object, tree fields) error {
	expected, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("remember the expected state: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hash, n.uid, n.expected, n.version = hash, live.UID, expected, ""
	if bytes.Equal(expected, live.content) {
		n.expected, n.version = live.content, live.ResourceVersion
	}
	n.tolerated, n.met, n.removed, n.pruned = nil, false, false, false
	if n.refused == hash {
		n.refused, n.refusedWhy = "", ""
	}
	return nil
}

// settle notes how Apply left the object.
func (n *entry) settle(live *Object, inForce bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unsettled = !inForce
	if !inForce {
		return
	}
	if n.driftVersion == "" || !newer(n.driftVersion, live.ResourceVersion) {
		n.driftSince, n.driftVersion = time.Time{}, ""
	}
	if n.refused == n.hash {
		n.refused, n.refusedWhy = "", ""
	}
	n.version = live.ResourceVersion
	n.told = nil
	if !bytes.Equal(live.content, n.expected) {
		n.tolerated = live.content
	}
}

// drifts reports whether an event has told that the object is other than expected.
func (n *entry) drifts() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.driftSince.IsZero()
}

// state is the part of an entry that Apply decides by, read at one moment.
type state struct {
	hash, version, refused, refusedWhy string
	uid, deleted                       types.UID
	expected                           []byte
	written                            *Object
	writtenAt                          time.Time
	driftSince                         time.Time
	met, removed, inDoubt              bool
}

func (n *entry) state() state {
	n.mu.Lock()
	defer n.mu.Unlock()
	return state{
		hash: n.hash, version: n.version, refused: n.refused, refusedWhy: n.refusedWhy,
		uid: n.uid, deleted: n.deleted, expected: n.expected,
		written: n.written, writtenAt: n.writtenAt, met: n.met, removed: n.removed, driftSince: n.driftSince, inDoubt: n.inDoubt,
	}
}

// holds reports whether the memory is of an object that the set made.
func (n *entry) holds() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.uid != ""
}

// madeOrMet reports whether an object of that name was there before: ours, or a stranger's.
func (s state) madeOrMet() bool { return s.uid != "" && s.uid != s.deleted || s.met }

// lost reports whether the object was in force, and is gone without our doing.
func (s state) lost() bool { return s.expected != nil && !s.removed }

// seen drops the answer to the last write: the cache shows it.
func (n *entry) seen() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written = nil
}

// read notes an object that was read from the API server; it may be ahead of the cache.
func (n *entry) read(live *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written, n.writtenAt = live, time.Now()
	n.inDoubt = false
}

// gone notes that an object does not exist any more, whatever the cache still shows.
func (n *entry) gone(last *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written, n.met, n.inDoubt = nil, false, false
	if last != nil {
		n.deleted = last.UID
	}
}

// remove notes that we deleted an object, for good where pruned. It may stay for a while, terminating; its
// end comes as an event.
func (n *entry) remove(last *Object, pruned bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written, n.met = nil, false
	n.deleted, n.removed, n.pruned, n.unsettled = last.UID, true, pruned, true
}

// removing notes that we ask for a deletion, so that it is not told as somebody else's even if the answer is lost.
func (n *entry) removing(asked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed = asked
}

// finished reports whether an object that went is one that we pruned: nothing of it needs to be remembered.
func (n *entry) finished(obj *Object) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pruned && n.deleted == obj.UID
}

// stranger notes that an object that is not ours has the name.
func (n *entry) stranger(live *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.met, n.unsettled, n.written = true, true, nil
	n.expected, n.hash, n.uid, n.version = nil, "", "", ""
	n.deleted, n.removed = "", false
	n.tolerated = live.content
}

// unlearn drops the expected state.
func (n *entry) unlearn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expected, n.hash, n.version = nil, "", ""
}

// relearn takes back what was unlearnt.
func (n *entry) relearn(before state) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expected, n.hash, n.version = before.expected, before.hash, before.version
}

// stopClock notes that a drift is left alone: how long it stands is no latency of ours.
func (n *entry) stopClock() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.driftSince = time.Time{}
}

// unserved notes that the kind is not there: how long the object is missing is no latency of ours, and what one definition
// has refused the next one may accept.
func (n *entry) unserved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.driftSince = time.Time{}
	n.refused, n.refusedWhy = "", ""
}

// reclaim says how long to wait for the values allocated before; not ok when that was often enough. The API
// server tells of a deletion a moment before it frees the addresses and ports.
func (n *entry) reclaim() (wait time.Duration, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reclaims == maxReclaims {
		return 0, false
	}
	wait = reclaimDelay << n.reclaims
	n.reclaims++
	return wait, true
}

func (n *entry) refuse(hash, why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused, n.refusedWhy = hash, why
}

// allows reports whether a slot may be repaired now; later is told how long it has to wait.
func (n *entry) allows(slot string, later func(time.Duration)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait, ok := n.fights.allows(slot, time.Now())
	later(wait)
	return ok
}

// doubt notes that a write was perhaps done.
func (n *entry) doubt(repair *attempt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inDoubt = true
	if repair != nil {
		n.attempted = repair
	}
}

// confirmed gives the repair in doubt, once: the object is in force.
func (n *entry) confirmed() *attempt {
	n.mu.Lock()
	defer n.mu.Unlock()
	repair := n.attempted
	n.attempted = nil
	return repair
}

// repaired counts a repair among the fights.
func (n *entry) repaired(sent [][]string, changes []Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attempted = nil
	if n.fights == nil {
		n.fights = fights{}
	}
	now := time.Now()
	for _, leaf := range sent {
		field, manager := "", Unknown
		for _, change := range changes {
			if hasPrefix(change.slot, leaf) {
				field, manager = change.Path, change.Manager
				break
			}
		}
		n.fights.repaired(slotName(leaf), field, manager, now)
	}
	n.fights.repairedObject(changes[0].Manager, now)
}

// contested lists the fights that go on; later is told when to look again.
func (n *entry) contested(later func(time.Duration)) []fight {
	n.mu.Lock()
	defer n.mu.Unlock()
	going, wait := n.fights.contested(time.Now())
	later(wait)
	return going
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
