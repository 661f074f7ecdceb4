// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Claim is what one Service wants of the pool.
type Claim struct {
	Owner types.NamespacedName
	// Created orders the claims: the older wins.
	Created time.Time
	// Request is spec.loadBalancerIP as it stands there; empty takes any address.
	Request string
	// Has is the address that its status shows, zero without one. Only Adopt believes it.
	Has netip.Addr
}

// Refusal is why a claim gets no address: an event's reason and message.
type Refusal struct{ Reason, Message string }

// The reasons of a refusal.
const (
	reasonNoAddress = "NoAddress"
	reasonInUse     = "AddressInUse"
	reasonInvalid   = "AddressNotInPool"
)

// Pool is the book of a range of IPv4 addresses: who holds which, and who waits for one. It has no lock.
//
// An address has one owner at most. While a Service moves, it owns two: the old one is its own until Keep says
// that the status no longer shows it. A claim waits only while no free address would do for it.
type Pool struct {
	prefix      netip.Prefix
	first, last netip.Addr
	size        int
	owners      map[netip.Addr]types.NamespacedName
	// held is owners by the owner; the address to keep is the last.
	held    map[types.NamespacedName][]netip.Addr
	waiting map[types.NamespacedName]Claim
}

// NewPool returns an empty book of all addresses of a CIDR but the first and the last, those of the network and
// of broadcast.
func NewPool(cidr string) (*Pool, error) {
	prefix, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parse the pool: %w", err)
	case !prefix.Addr().Is4():
		return nil, fmt.Errorf("the pool %s is not IPv4", prefix)
	case prefix != prefix.Masked():
		return nil, fmt.Errorf("the pool %s has host bits set; did you mean %s", prefix, prefix.Masked())
	case prefix.Bits() < 8 || prefix.Bits() > 30:
		return nil, fmt.Errorf("the pool %s must be of /8 to /30", prefix)
	}
	size := 1<<(32-prefix.Bits()) - 2
	network := prefix.Addr().As4()
	var last [4]byte
	binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(network[:])+uint32(size))
	return &Pool{
		prefix: prefix, first: prefix.Addr().Next(), last: netip.AddrFrom4(last), size: size,
		owners:  map[netip.Addr]types.NamespacedName{},
		held:    map[types.NamespacedName][]netip.Addr{},
		waiting: map[types.NamespacedName]Claim{},
	}, nil
}

// Contains says whether the pool gives out an address.
func (p *Pool) Contains(addr netip.Addr) bool {
	return addr.Is4() && p.first.Compare(addr) <= 0 && addr.Compare(p.last) <= 0
}

// Adopt fills an empty book with what all Services show. Of two that show one address the older keeps it. Those
// without one then take theirs, or wait, the oldest first.
func (p *Pool) Adopt(claims []Claim) {
	claims = slices.SortedFunc(slices.Values(claims), compareAge)
	for _, c := range claims {
		if p.Contains(c.Has) && p.free(c.Has) {
			p.give(c.Has, c.Owner)
		}
	}
	for _, c := range claims {
		p.Take(c)
	}
}

// Take returns the address that a Service is to show: the one it has if that is what it asks for. A refusal comes
// with the zero address, and the claim waits unless the pool can never meet it.
func (p *Pool) Take(c Claim) (netip.Addr, *Refusal) {
	delete(p.waiting, c.Owner)
	addr, refusal := p.choose(c)
	switch {
	case refusal == nil:
		p.give(addr, c.Owner)
	case refusal.Reason != reasonInvalid:
		p.waiting[c.Owner] = c
	}
	return addr, refusal
}

func (p *Pool) choose(c Claim) (netip.Addr, *Refusal) {
	if c.Request != "" {
		return p.requested(c)
	}
	if held := p.held[c.Owner]; len(held) > 0 {
		return held[len(held)-1], nil
	}
	if len(p.owners) < p.size {
		for addr := p.first; p.Contains(addr); addr = addr.Next() {
			if p.free(addr) {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, &Refusal{reasonNoAddress, fmt.Sprintf("no address of the pool %s is free: %d of %d are used", p.prefix, len(p.owners), p.size)}
}

func (p *Pool) requested(c Claim) (netip.Addr, *Refusal) {
	addr, err := netip.ParseAddr(c.Request)
	if err != nil || !p.Contains(addr) {
		return netip.Addr{}, &Refusal{reasonInvalid, fmt.Sprintf("spec.loadBalancerIP %q is none of the addresses %s to %s of the pool", c.Request, p.first, p.last)}
	}
	if owner, ok := p.owners[addr]; ok && owner != c.Owner {
		return netip.Addr{}, &Refusal{reasonInUse, fmt.Sprintf("spec.loadBalancerIP %s is used by the Service %s", addr, owner)}
	}
	return addr, nil
}

// Keep says that the status of a Service shows this address now, zero for none: it loses all others. Each goes to
// the oldest claim that waited for one like it; the owners of those are returned.
func (p *Pool) Keep(owner types.NamespacedName, addr netip.Addr) []types.NamespacedName {
	var lost []netip.Addr
	for _, held := range p.held[owner] {
		if held != addr {
			lost = append(lost, held)
			delete(p.owners, held)
		}
	}
	p.held[owner] = slices.DeleteFunc(p.held[owner], func(held netip.Addr) bool { return held != addr })
	if len(p.held[owner]) == 0 {
		delete(p.held, owner)
	}
	var next []types.NamespacedName
	for _, free := range lost {
		if c, ok := p.oldestWaiter(free); ok {
			delete(p.waiting, c.Owner)
			p.give(free, c.Owner)
			next = append(next, c.Owner)
		}
	}
	return next
}

// Release forgets a Service that is no longer the pool's, and returns what Keep does.
func (p *Pool) Release(owner types.NamespacedName) []types.NamespacedName {
	delete(p.waiting, owner)
	return p.Keep(owner, netip.Addr{})
}

func (p *Pool) oldestWaiter(addr netip.Addr) (Claim, bool) {
	var oldest Claim
	found := false
	for _, c := range p.waiting {
		if (c.Request == "" || c.Request == addr.String()) && (!found || compareAge(c, oldest) < 0) {
			oldest, found = c, true
		}
	}
	return oldest, found
}

// give makes an address the one to keep of an owner.
func (p *Pool) give(addr netip.Addr, owner types.NamespacedName) {
	p.owners[addr] = owner
	others := slices.DeleteFunc(p.held[owner], func(held netip.Addr) bool { return held == addr })
	p.held[owner] = append(others, addr)
}

func (p *Pool) free(addr netip.Addr) bool {
	_, used := p.owners[addr]
	return !used
}

// compareAge orders by age; the API server's clock counts whole seconds, so that names decide between equals.
func compareAge(a, b Claim) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Owner.Namespace, b.Owner.Namespace), cmp.Compare(a.Owner.Name, b.Owner.Name))
}
