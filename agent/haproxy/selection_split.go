// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"math/big"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// A split divides requests exactly by weights, which change at run time: a number of splitDigits digits is drawn (or
// comes from a hash), and looked up in a map whose keys are the beginnings of numbers. With 90 and 10:
//
//	key            value
//	<set>/10 … 18  the first     the leading 1 only keeps the zeros behind it
//	<set>/19       the second
//
// HAProxy finds the longest key that the number begins with in one descent of a tree. All splits stand in one map.

const (
	// splitDigits bounds the error of a share to 1 in 10 million, so that 1 in a million is still there.
	splitDigits = 7
	splitSlots  = 10_000_000
	// splitsMap is its file.
	splitsMap = "splits.map"
	// solesMap holds the routes all of whose requests go to one pool. Their splits are there, too: while a route goes
	// from one of both maps to the other, it is in one at least.
	solesMap = "soles.map"
)

// share is one part of a split.
type share struct {
	weight int64
	value  string
}

// split adds a split. Shares of weight 0 get nothing; a split of none but these is not there. set has no slash.
func (b *builder) split(set string, shares []share) {
	to := b.mapPath(splitsMap)
	b.structure.Maps[to] = append(b.structure.Maps[to], splitEntries(set, shares)...)
}

// sole gives the value of the share that has it all; empty if none has.
func sole(shares []share) string {
	only := ""
	for _, one := range shares {
		if one.weight > 0 && only != "" {
			return ""
		}
		if one.weight > 0 {
			only = one.value
		}
	}
	return only
}

// sole adds a route all of whose requests go to one target.
func (b *builder) sole(l *model.Listener, r *model.Route, target string) {
	key := r.Name
	if isStream(l) {
		key = splitSet(l, r.Name)
	}
	to := b.mapPath(solesMap)
	b.structure.Maps[to] = append(b.structure.Maps[to], socket.Entry{Key: key, Value: target})
}

// splitEntries gives the entries in order of the numbers.
func splitEntries(set string, shares []share) []socket.Entry {
	var entries []socket.Entry
	bounds := splitBounds(shares)
	for i := range shares {
		for _, prefix := range prefixes(bounds[i], bounds[i+1]) {
			entries = append(entries, socket.Entry{Key: set + "/1" + prefix, Value: shares[i].value})
		}
	}
	return entries
}

// splitBounds gives where the slots of each share begin, and where the last ends. A weight above 0 gets one at least.
func splitBounds(shares []share) []int64 {
	var total, positive int64
	for _, one := range shares {
		if one.weight > 0 {
			total += one.weight
			positive++
		}
	}
	bounds := make([]int64, len(shares)+1)
	if !fillBounds(bounds, shares, total, 0) {
		// Only if it must be: bounds are less round then, and take more entries.
		fillBounds(bounds, shares, total, positive)
	}
	return bounds
}

// fillBounds divides the slots but for as many as are spare, which go to the weights above 0, one each. It reports whether
// all of these have some.
func fillBounds(bounds []int64, shares []share, total, spare int64) bool {
	var sum, before int64
	fits := true
	for i, one := range shares {
		bounds[i+1] = bounds[i]
		if one.weight <= 0 {
			continue
		}
		sum += one.weight
		before++
		rest := new(big.Int).Mul(big.NewInt(splitSlots-spare), big.NewInt(sum))
		bounds[i+1] = min(before, spare) + rest.Div(rest, big.NewInt(total)).Int64()
		fits = fits && bounds[i+1] > bounds[i]
	}
	return fits
}

// prefixes gives the fewest beginnings of numbers of splitDigits digits that cover from (included) to end (excluded).
func prefixes(from, end int64) []string {
	var out []string
	for from < end {
		width, digits := int64(1), splitDigits
		for digits > 0 && from%(width*10) == 0 && from+width*10 <= end {
			width *= 10
			digits--
		}
		out = append(out, fmt.Sprintf("%0*d", splitDigits, from)[:digits])
		from += width
	}
	return out
}

// splitDraw gives an expression for a number from chance, splitHash one from a sample, the same for the same. round
// makes several draws of one sample differ.
func splitDraw() string {
	return fmt.Sprintf("rand(%d),add(%d)", splitSlots, splitSlots)
}

func splitHash(sample string, round int) string {
	return fmt.Sprintf("%s,xxh32(%d),mod(%d),add(%d)", sample, round, splitSlots, splitSlots)
}

// splitsPath gives the path of the map.
func (b *builder) splitsPath() string { return b.mapPath(splitsMap) }

// mapPath gives the path of a map, and makes it be there even if it stays empty.
func (b *builder) mapPath(name string) string {
	to := b.file("maps/" + name)
	if _, ok := b.structure.Maps[to]; !ok {
		b.structure.Maps[to] = nil
	}
	return to
}
