// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"
	"time"
)

const (
	// freeRepairs is how often one field is repaired at once before the repairs slow down.
	freeRepairs = 5
	// freeObjectRepairs is the same for all fields of one object together.
	freeObjectRepairs = 30
	// firstDelay and lastDelay bound the wait between repairs of a contested field; it doubles each time.
	// Together with freeRepairs this is at most 10 writes in the first minute and one a minute later.
	firstDelay = 2 * time.Second
	lastDelay  = time.Minute
	// truce is how long nobody may break a field for its fight to be over.
	truce = 2 * time.Minute

	// wholeObject is the slot that counts every repair of an object.
	wholeObject = "*"
)

// fights counts the repairs of one object by the slot of the merge patch they fall under.
type fights map[string]*fight

type fight struct {
	repairs        int
	last, until    time.Time
	field, manager string
}

// allows reports whether a slot may be repaired now, and otherwise how long to wait.
func (f fights) allows(slot string, now time.Time) (wait time.Duration, ok bool) {
	for _, name := range []string{slot, wholeObject} {
		if fight := f[name]; fight != nil && now.Before(fight.until) {
			wait = max(wait, fight.until.Sub(now))
		}
	}
	return wait, wait == 0
}

// repaired counts a repair of a slot; field and manager say whose change it undid.
func (f fights) repaired(slot, field, manager string, now time.Time) {
	f.count(slot, freeRepairs, field, manager, now)
}

// repairedObject counts a write that repaired the object, however many slots it touched.
func (f fights) repairedObject(manager string, now time.Time) {
	f.count(wholeObject, freeObjectRepairs, "", manager, now)
}

func (f fights) count(slot string, free int, field, manager string, now time.Time) {
	current := f[slot]
	if current == nil || now.Sub(current.last) > truce {
		current = &fight{}
		f[slot] = current
	}
	if manager != Unknown || current.manager == "" {
		current.manager = manager
	}
	current.field, current.last = field, now
	current.repairs++
	if over := current.repairs - free; over >= 0 {
		current.until = now.Add(min(firstDelay<<min(over, 10), lastDelay))
	}
}

// contested lists the fights that go on, sorted by field, and how long until the first of them may be over.
// Those that are over, and counts too old to matter, are dropped.
func (f fights) contested(now time.Time) (going []fight, wait time.Duration) {
	for slot, fight := range f {
		over := fight.last.Add(truce)
		free := freeRepairs
		if slot == wholeObject {
			free = freeObjectRepairs
		}
		switch {
		case !now.Before(over):
			delete(f, slot)
		case fight.repairs >= free:
			going = append(going, *fight)
			if left := over.Sub(now); wait == 0 || left < wait {
				wait = left
			}
		}
	}
	slices.SortFunc(going, func(a, b fight) int { return strings.Compare(a.field, b.field) })
	return going, wait
}
