// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestNewPool(t *testing.T) {
	for name, tc := range map[string]struct {
		cidr, first, last, wantErr string
		size                       int
	}{
		"half a class C": {cidr: "198.18.0.128/25", first: "198.18.0.129", last: "198.18.0.254", size: 126},
		"smallest":       {cidr: "10.0.0.4/30", first: "10.0.0.5", last: "10.0.0.6", size: 2},
		"largest":        {cidr: "10.0.0.0/8", first: "10.0.0.1", last: "10.255.255.254", size: 1<<24 - 2},
		"end of IPv4":    {cidr: "255.255.255.252/30", first: "255.255.255.253", last: "255.255.255.254", size: 2},
		"none to give":   {cidr: "10.0.0.4/31", wantErr: "/8 to /30"},
		"too large":      {cidr: "10.0.0.0/7", wantErr: "/8 to /30"},
		"host bits":      {cidr: "198.18.0.129/25", wantErr: "did you mean 198.18.0.128/25"},
		"IPv6":           {cidr: "fd00::/120", wantErr: "not IPv4"},
		"no CIDR":        {cidr: "198.18.0.128", wantErr: "parse the pool"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewPool(tc.cidr)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("got error %v, want it to hold %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.first.String() != tc.first || p.last.String() != tc.last || p.size != tc.size {
				t.Errorf("got %s to %s, %d; want %s to %s, %d", p.first, p.last, p.size, tc.first, tc.last, tc.size)
			}
		})
	}
}

// book is a pool of 10.0.0.1 and 10.0.0.2 with short names for what a test does to it.
type book struct {
	*testing.T
	*Pool
}

func newBook(t *testing.T) book {
	t.Helper()
	p, err := NewPool("10.0.0.0/30")
	if err != nil {
		t.Fatal(err)
	}
	return book{t, p}
}

func key(owner string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: owner}
}

// made is a claim of an age in seconds since the first.
func made(owner string, second int64, request, has string) Claim {
	c := Claim{Owner: key(owner), Created: time.Unix(second, 0), Request: request}
	if has != "" {
		c.Has = netip.MustParseAddr(has)
	}
	return c
}

// takes checks what a claim gets: an address or the reason of a refusal.
func (b book) takes(c Claim, want string) {
	b.Helper()
	addr, refusal := b.Take(c)
	got := addr.String()
	if refusal != nil {
		got = refusal.Reason
	}
	if got != want || addr.IsValid() == (refusal != nil) {
		b.Errorf("%s got %s with %v, want %s", c.Owner.Name, addr, refusal, want)
	}
}

// keeps checks who gets what an owner loses.
func (b book) keeps(owner, addr string, want ...string) {
	b.Helper()
	var keep netip.Addr
	if addr != "" {
		keep = netip.MustParseAddr(addr)
	}
	var got []string
	for _, next := range b.Keep(key(owner), keep) {
		got = append(got, next.Name)
	}
	if !slices.Equal(got, want) {
		b.Errorf("what %s lost went to %v, want %v", owner, got, want)
	}
}

func TestPool(t *testing.T) {
	for name, steps := range map[string]func(book){
		"the lowest free one, and the same again": func(b book) {
			b.takes(made("a", 0, "", ""), "10.0.0.1")
			b.takes(made("b", 0, "", ""), "10.0.0.2")
			b.takes(made("a", 0, "", ""), "10.0.0.1")
		},
		"the one asked for, and kept when no longer asked for": func(b book) {
			b.takes(made("a", 0, "10.0.0.2", ""), "10.0.0.2")
			b.takes(made("a", 0, "", ""), "10.0.0.2")
		},
		"what the pool does not give out": func(b book) {
			for _, request := range []string{"10.0.0.0", "10.0.0.3", "10.0.0.4", "::ffff:10.0.0.1", "fd00::1", "nonsense", "010.0.0.1"} {
				b.takes(made("a", 0, request, ""), reasonInvalid)
			}
			if len(b.waiting) != 0 {
				b.Errorf("waiting for nothing: %v", b.waiting)
			}
		},
		"a move frees the old address only when the status shows the new one": func(b book) {
			b.takes(made("a", 0, "", ""), "10.0.0.1")
			b.takes(made("a", 0, "10.0.0.2", ""), "10.0.0.2")
			b.takes(made("b", 1, "", ""), reasonNoAddress)
			b.keeps("a", "10.0.0.2", "b")
			b.takes(made("b", 1, "", ""), "10.0.0.1")
		},
		"the oldest waiter is next, of those that the address is for": func(b book) {
			b.takes(made("a", 0, "", ""), "10.0.0.1")
			b.takes(made("b", 0, "", ""), "10.0.0.2")
			b.takes(made("late", 3, "", ""), reasonNoAddress)
			b.takes(made("early", 2, "", ""), reasonNoAddress)
			b.takes(made("picky", 1, "10.0.0.2", ""), reasonInUse)
			b.keeps("a", "", "early")
			b.keeps("b", "", "picky")
			b.keeps("picky", "", "late")
		},
		"a waiter that goes gets nothing": func(b book) {
			b.takes(made("a", 0, "", ""), "10.0.0.1")
			b.takes(made("b", 0, "10.0.0.1", ""), reasonInUse)
			b.Release(key("b"))
			b.keeps("a", "")
		},
		"two that ask for each other's swap": func(b book) {
			b.takes(made("a", 0, "10.0.0.1", ""), "10.0.0.1")
			b.takes(made("b", 0, "10.0.0.2", ""), "10.0.0.2")
			b.takes(made("a", 0, "10.0.0.2", ""), reasonInUse)
			b.takes(made("b", 0, "10.0.0.1", ""), reasonInUse)
			b.keeps("a", "", "b")
			b.takes(made("b", 0, "10.0.0.1", ""), "10.0.0.1")
			b.keeps("b", "10.0.0.1", "a")
			b.takes(made("a", 0, "10.0.0.2", ""), "10.0.0.2")
		},
		"of two that show one address the older keeps it": func(b book) {
			b.Adopt([]Claim{made("a", 2, "", "10.0.0.1"), made("z", 1, "", "10.0.0.1")})
			b.takes(made("z", 1, "", ""), "10.0.0.1")
			b.takes(made("a", 2, "", ""), "10.0.0.2")
		},
		"who shows an address keeps it from older ones without": func(b book) {
			b.Adopt([]Claim{made("old", 0, "", ""), made("a", 1, "", "10.0.0.1"), made("b", 2, "", "10.0.0.2")})
			b.takes(made("old", 0, "", ""), reasonNoAddress)
			b.keeps("b", "", "old")
		},
		"after a restart the oldest is first": func(b book) {
			b.Adopt([]Claim{made("late", 2, "", ""), made("a", 0, "", "10.0.0.1"), made("early", 1, "", "")})
			b.takes(made("late", 2, "", ""), reasonNoAddress)
			b.takes(made("early", 1, "", ""), "10.0.0.2")
		},
		"an address of another pool is not kept": func(b book) {
			b.Adopt([]Claim{made("a", 0, "", "10.9.9.9"), made("b", 0, "", "10.0.0.3")})
			b.takes(made("a", 0, "", ""), "10.0.0.1")
			b.takes(made("b", 0, "", ""), "10.0.0.2")
		},
	} {
		t.Run(name, func(t *testing.T) { steps(newBook(t)) })
	}
}

func TestRefusalSaysWhatIsSo(t *testing.T) {
	b := newBook(t)
	b.takes(made("a", 0, "", ""), "10.0.0.1")
	b.takes(made("b", 0, "", ""), "10.0.0.2")
	for request, want := range map[string]string{
		"":         "no address of the pool 10.0.0.0/30 is free: 2 of 2 are used",
		"10.0.0.2": "spec.loadBalancerIP 10.0.0.2 is used by the Service default/b",
		"1.2.3.4":  `spec.loadBalancerIP "1.2.3.4" is none of the addresses 10.0.0.1 to 10.0.0.2 of the pool`,
	} {
		if _, refusal := b.Take(made("c", 0, request, "")); refusal == nil || refusal.Message != want {
			t.Errorf("asking for %q got %v, want %s", request, refusal, want)
		}
	}
}

// FuzzPool does to a pool what Services and restarts may, and compares the book with what the statuses show.
func FuzzPool(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x40, 0x80, 0xc0})
	f.Add([]byte("move, wait, restart, swap and go again: 0123456789 \x00\xff\x80\x7f\xc1\xd2\xe3"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		w := &world{claims: map[types.NamespacedName]Claim{}}
		w.restart(t)
		for i, step := range steps {
			w.step(t, step, int64(i))
			w.check(t)
		}
	})
}

// world is Services and the pool that serves them. What Claim.Has says is what their status shows.
type world struct {
	pool   *Pool
	claims map[types.NamespacedName]Claim
}

func (w *world) restart(t *testing.T) {
	var err error
	if w.pool, err = NewPool("10.0.0.0/29"); err != nil {
		t.Fatal(err)
	}
	w.pool.Adopt(slices.Collect(maps.Values(w.claims)))
	for owner, c := range w.claims {
		if c.Has.IsValid() && w.pool.owners[c.Has] != owner {
			t.Fatalf("%s showed %s, which is %s's after a restart", owner, c.Has, w.pool.owners[c.Has])
		}
	}
}

func (w *world) step(t *testing.T, step byte, now int64) {
	owner := key(string('a' + rune(step%10)))
	c, ok := w.claims[owner]
	if !ok {
		c = Claim{Owner: owner, Created: time.Unix(now, 0)}
	}
	switch step / 10 % 8 {
	case 0:
		w.restart(t)
		return
	case 1, 2:
		delete(w.claims, owner)
		w.pool.Release(owner)
		return
	case 3:
		c.Request = fmt.Sprintf("10.0.0.%d", step/80+byte(now%8))
	case 4:
		c.Request = ""
	}
	had := c.Has
	addr, refusal := w.pool.Take(c)
	if c.Request == "" && had.IsValid() && refusal != nil {
		t.Fatalf("%s showed %s and got %v", owner, had, refusal)
	}
	// In case 5 the write fails.
	if step/10%8 != 5 {
		c.Has = addr
		w.pool.Keep(owner, addr)
	}
	w.claims[owner] = c
}

func (w *world) check(t *testing.T) {
	shown := map[netip.Addr]types.NamespacedName{}
	for owner, c := range w.claims {
		if !c.Has.IsValid() {
			continue
		}
		if other, ok := shown[c.Has]; ok {
			t.Fatalf("%s and %s both show %s", owner, other, c.Has)
		}
		shown[c.Has] = owner
		if w.pool.owners[c.Has] != owner || !w.pool.Contains(c.Has) {
			t.Fatalf("%s shows %s, which the book has as %v", owner, c.Has, w.pool.owners[c.Has])
		}
	}
	count := 0
	for owner, held := range w.pool.held {
		count += len(held)
		for _, addr := range held {
			if w.pool.owners[addr] != owner {
				t.Fatalf("%s holds %s, which is %v's", owner, addr, w.pool.owners[addr])
			}
		}
	}
	if count != len(w.pool.owners) || count > w.pool.size {
		t.Fatalf("%d addresses are held, %d have owners, of %d", count, len(w.pool.owners), w.pool.size)
	}
	for owner, c := range w.pool.waiting {
		addr, err := netip.ParseAddr(c.Request)
		if err == nil && w.pool.free(addr) || err != nil && count < w.pool.size {
			t.Fatalf("%s waits for %q, which is free", owner, c.Request)
		}
	}
}
