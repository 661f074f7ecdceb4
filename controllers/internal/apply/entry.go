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
	mu sync.Mutex

	// hash is the hash of the rendered object that expected answers to; empty until the first success.
	hash string
	// uid is the object that expected speaks of.
	uid types.UID
	// expected is the server's answer to our last write, without what is exempt.
	expected []byte
	// version is the last resourceVersion at which live agreed with expected.
	version string
	// tolerated is live content that differs from expected in exempt fields alone.
	tolerated []byte

	// written is the answer to our last write until a watch event shows it, or something later.
	written   *Object
	writtenAt time.Time
	// deleted is the UID we deleted last: a cache that still shows it is stale.
	deleted types.UID

	// driftSince is when the first event came that differs from expected; zero while in force.
	driftSince time.Time
	// unsettled is true when the last Apply left the object other than expected.
	unsettled bool
	// told is the live content whose drift was reported last, in mode Warn.
	told []byte
	// met is true while an object that is not ours has the name.
	met bool
	// refused is the hash of a rendered object that the API server refuses, with its words.
	refused, refusedWhy string

	fights fights
}

// observe notes an event and reports whether the set has work because of it.
func (n *entry) observe(obj *Object, deleted bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.written != nil {
		if newer(n.written.ResourceVersion, obj.ResourceVersion) {
			// The echo of something before our last write; the echo of the write itself is still to come.
			return false
		}
		n.written = nil
	}
	if !deleted && obj.DeletionTimestamp == nil && obj.UID == n.uid && n.agrees(obj.content) {
		n.version = obj.ResourceVersion
		n.driftSince = time.Time{}
		return n.unsettled
	}
	if deleted && obj.UID == n.deleted {
		return n.unsettled
	}
	if n.driftSince.IsZero() {
		n.driftSince = time.Now()
	}
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
	n.deleted = ""
}

// learn makes the tree the expected state of the object.
func (n *entry) learn(hash string, live *Object, tree fields) error {
	expected, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("remember the expected state: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if bytes.Equal(expected, live.content) {
		expected = live.content
	}
	n.hash, n.uid, n.expected, n.version = hash, live.UID, expected, live.ResourceVersion
	n.tolerated = nil
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
	n.driftSince = time.Time{}
	n.version = live.ResourceVersion
	n.told = nil
	if !bytes.Equal(live.content, n.expected) {
		n.tolerated = live.content
	}
}

// state is the part of an entry that Apply decides by, read at one moment.
type state struct {
	hash, version, refused, refusedWhy string
	uid, deleted                       types.UID
	expected                           []byte
	written                            *Object
	writtenAt                          time.Time
	met                                bool
}

func (n *entry) state() state {
	n.mu.Lock()
	defer n.mu.Unlock()
	return state{
		hash: n.hash, version: n.version, refused: n.refused, refusedWhy: n.refusedWhy,
		uid: n.uid, deleted: n.deleted, expected: n.expected,
		written: n.written, writtenAt: n.writtenAt, met: n.met,
	}
}

// madeOrMet reports whether an object of that name was there before: ours, or a stranger's.
func (s state) madeOrMet() bool { return s.uid != "" && s.uid != s.deleted || s.met }

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
}

// gone notes that an object does not exist any more, whatever the cache still shows.
func (n *entry) gone(last *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written, n.met = nil, false
	if last != nil {
		n.deleted = last.UID
	}
}

// stranger notes that an object that is not ours has the name.
func (n *entry) stranger(live *Object) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.met, n.unsettled, n.written = true, true, nil
	n.expected, n.hash, n.uid = nil, "", ""
	n.deleted = ""
	n.tolerated = live.content
}

// unlearn drops the expected state.
func (n *entry) unlearn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expected, n.hash = nil, ""
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

// repaired counts a repair and gives the time since the event of the change; 0 where there was none.
func (n *entry) repaired(sent [][]string, changes []Change) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
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
	if n.driftSince.IsZero() {
		return 0
	}
	return now.Sub(n.driftSince)
}

// contested lists the fights that go on; later is told when to look again.
func (n *entry) contested(later func(time.Duration)) []fight {
	n.mu.Lock()
	defer n.mu.Unlock()
	going, wait := n.fights.contested(time.Now())
	later(wait)
	return going
}
