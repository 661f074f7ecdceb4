// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"math/rand/v2"
)

// chooser makes the generator's decisions, at random or from the bytes of a fuzzer.
type chooser interface {
	// below gives a number from 0 to n-1.
	below(n int) int
}

type randomChooser struct{ *rand.Rand }

func newRandomChooser(seed, stream uint64) chooser {
	return randomChooser{rand.New(rand.NewPCG(seed, stream))}
}

func (r randomChooser) below(n int) int { return r.IntN(n) }

// byteChooser spends one byte for each decision, so that a fuzzer which changes one byte changes one thing.
// When the bytes run out, it chooses the first of everything.
type byteChooser struct{ data []byte }

func (b *byteChooser) below(n int) int {
	if len(b.data) == 0 {
		return 0
	}
	v := int(b.data[0])
	b.data = b.data[1:]
	return v % n
}

// chance is true in about percent of 100 cases.
func chance(c chooser, percent int) bool { return c.below(100) < percent }

// pick chooses one of the list.
func pick[T any](c chooser, list ...T) T { return list[c.below(len(list))] }
