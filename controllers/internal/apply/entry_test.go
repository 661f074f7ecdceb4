// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func version(uid, version, content string) *Object {
	return &Object{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}, content: []byte(content)}
}

// remembering is an entry whose object is in force at version 10.
func remembering(t *testing.T) *entry {
	t.Helper()
	n := &entry{}
	live := version("u", "10", `{"a":1}`)
	if err := n.learn("h", live, fields{"a": int64(1)}); err != nil {
		t.Fatal(err)
	}
	n.settle(live, true)
	return n
}

func TestObserve(t *testing.T) {
	for name, c := range map[string]struct {
		// written is the version of a write whose echo has not come yet.
		written string
		event   *Object
		deleted bool
		work    bool
	}{
		"nothing new":                    {"", version("u", "11", `{"a":1}`), false, false},
		"a change":                       {"", version("u", "11", `{"a":2}`), false, true},
		"another object":                 {"", version("v", "11", `{"a":1}`), false, true},
		"a deletion":                     {"", version("u", "11", `{"a":1}`), true, true},
		"a change before our write":      {"12", version("u", "11", `{"a":2}`), false, false},
		"the echo":                       {"12", version("u", "12", `{"a":1}`), false, false},
		"a change after our write":       {"12", version("u", "13", `{"a":2}`), false, true},
		"a deletion after our write":     {"12", version("u", "13", `{"a":1}`), true, true},
		"the end of the one before":      {"12", version("v", "11", `{"a":1}`), true, false},
		"an end that only a relist told": {"12", version("u", "10", `{"a":1}`), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := remembering(t)
			if c.written != "" {
				n.wrote(version("u", c.written, `{"a":1}`))
			}
			if work := n.observe(c.event, c.deleted); work != c.work {
				t.Errorf("work is %v", work)
			}
			if name == "an end that only a relist told" && time.Since(n.writtenAt) < trust {
				t.Error("the answer is still trusted")
			}
		})
	}
}

// TestObserveDuringApply has the event of a new change come before Apply has settled the one before.
func TestObserveDuringApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := remembering(t)
		n.observe(version("u", "11", `{"a":2}`), false)
		answer := version("u", "12", `{"a":1}`)
		n.wrote(answer)
		seen := time.Now()
		if !n.observe(version("u", "13", `{"a":3}`), false) {
			t.Error("the second change is no work")
		}
		n.settle(answer, true)
		time.Sleep(time.Second)
		if since := n.state().driftSince; !since.Equal(seen) {
			t.Errorf("drift since %v, want %v", since, seen)
		}
		n.settle(version("u", "14", `{"a":1}`), true)
		if since := n.state().driftSince; !since.IsZero() {
			t.Errorf("drift since %v after all was repaired", since)
		}
	})
}

// TestStrangerIsQuiet has a foreign object in the way get events that change nothing.
func TestStrangerIsQuiet(t *testing.T) {
	n := &entry{}
	n.stranger(version("f", "5", `{"f":1}`))
	if n.observe(version("f", "6", `{"f":1}`), false) {
		t.Error("a status of a foreign object is work")
	}
	if !n.observe(version("f", "7", `{"f":2}`), false) || !n.observe(version("f", "8", `{"f":2}`), true) {
		t.Error("a change or the end of a foreign object is no work")
	}
}

// TestLearnedVersion knows a version to agree only with the content that was there.
func TestLearnedVersion(t *testing.T) {
	n := &entry{}
	live := version("u", "10", `{"a":2}`)
	if err := n.learn("h", live, fields{"a": int64(1)}); err != nil {
		t.Fatal(err)
	}
	if n.version != "" {
		t.Error("a drifted object is taken for what is expected")
	}
}

func brokenAgain(n *entry, slot string) (repaired bool) {
	var later time.Duration
	if !n.allows(slot, func(wait time.Duration) { later = wait }) {
		return later < 0
	}
	n.repaired([][]string{{slot}}, []Change{{Path: slot, Manager: "vandal", slot: []string{slot}}})
	return true
}

// TestFight breaks a field every 10 milliseconds for ten minutes.
func TestFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &entry{}
		perMinute := make([]int, 10)
		began := time.Now()
		for since := time.Duration(0); since < 10*time.Minute; since = time.Since(began) {
			if brokenAgain(n, "data") {
				perMinute[int(since/time.Minute)]++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if perMinute[0] > 10 || perMinute[0] < freeRepairs {
			t.Errorf("%d repairs in the first minute", perMinute[0])
		}
		for minute, repairs := range perMinute[1:] {
			if repairs > 1 {
				t.Errorf("%d repairs in minute %d", repairs, minute+2)
			}
		}
	})
}

func TestFightEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &entry{}
		contested := func() (going []fight, later time.Duration) {
			going = n.contested(func(wait time.Duration) { later = wait })
			return going, later
		}
		for i := range freeRepairs {
			if going, _ := contested(); len(going) > 0 || !brokenAgain(n, "data") {
				t.Fatalf("after %d repairs: %v", i, going)
			}
		}
		going, later := contested()
		if len(going) != 1 || going[0].field != "data" || going[0].manager != "vandal" || later != truce {
			t.Errorf("contested is %+v until %v", going, later)
		}
		if brokenAgain(n, "data") || !brokenAgain(n, "other") {
			t.Error("the contested slot does not wait, or another one does")
		}
		time.Sleep(truce - time.Millisecond)
		if going, _ := contested(); len(going) != 1 {
			t.Error("the fight is over too soon")
		}
		time.Sleep(time.Millisecond)
		if going, later := contested(); len(going) != 0 || later != 0 || len(n.fights) != 0 {
			t.Errorf("after the truce: %+v, %v", going, n.fights)
		}
		for range freeRepairs {
			if !brokenAgain(n, "data") {
				t.Error("repairs are slow after the truce")
			}
		}
	})
}

// TestFightWithManyFields breaks another field each time.
func TestFightWithManyFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &entry{}
		repairs := 0
		for i := range 1000 {
			if brokenAgain(n, fmt.Sprintf("field%d", i)) {
				repairs++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if repairs < freeObjectRepairs || repairs > freeObjectRepairs+5 {
			t.Errorf("%d repairs of one object in 10 seconds", repairs)
		}
		going := n.contested(func(time.Duration) {})
		if len(going) != 1 || going[0].field != "" || going[0].manager != "vandal" {
			t.Errorf("contested is %+v", going)
		}
	})
}

// TestFightNames keeps the name of who was seen to break a field, though not every time is.
func TestFightNames(t *testing.T) {
	f := fights{}
	for i := range freeRepairs {
		manager := Unknown
		if i == 1 {
			manager = "vandal"
		}
		f.repaired("b", "b", manager, epoch)
		f.repaired("a", "a", Unknown, epoch)
	}
	going, _ := f.contested(epoch)
	if len(going) != 2 || going[0].field != "a" || going[0].manager != Unknown || going[1].manager != "vandal" {
		t.Errorf("contested is %+v", going)
	}
}
