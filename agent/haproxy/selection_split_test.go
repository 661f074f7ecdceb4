// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestSplitEntries(t *testing.T) {
	for name, c := range map[string]struct {
		shares []share
		want   []string
	}{
		"one":          {[]share{{7, "a"}}, []string{"s/1 a"}},
		"90 and 10":    {[]share{{90, "a"}, {10, "b"}}, []string{"s/10 a", "s/11 a", "s/12 a", "s/13 a", "s/14 a", "s/15 a", "s/16 a", "s/17 a", "s/18 a", "s/19 b"}},
		"none":         {nil, nil},
		"zeros":        {[]share{{0, "a"}, {0, "b"}}, nil},
		"zero and one": {[]share{{0, "a"}, {1, "b"}}, []string{"s/1 b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, entry := range splitEntries("s", c.shares) {
				got = append(got, entry.Key+" "+entry.Value)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if err := checkSplit(c.shares); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkSplit looks up the bounds of all ranges as HAProxy does, by the longest key, and measures the shares.
func checkSplit(shares []share) error {
	entries := splitEntries("s", shares)
	slots := map[string]int64{}
	var covered int64
	keys := map[string]string{}
	for _, entry := range entries {
		digits := strings.TrimPrefix(entry.Key, "s/1")
		if len(digits) > splitDigits || keys[digits] != "" {
			return fmt.Errorf("key %q", entry.Key)
		}
		keys[digits] = entry.Value
		width := int64(math.Pow10(splitDigits - len(digits)))
		slots[entry.Value] += width
		covered += width
	}
	for digits := range keys {
		for i := range len(digits) {
			if keys[digits[:i]] != "" {
				return fmt.Errorf("%q lies in %q", digits, digits[:i])
			}
		}
	}
	var total float64
	for _, one := range shares {
		total += float64(max(one.weight, 0))
	}
	if total == 0 {
		if covered != 0 {
			return fmt.Errorf("%d slots without any weight", covered)
		}
		return nil
	}
	if covered != splitSlots {
		return fmt.Errorf("%d slots are covered", covered)
	}
	for i, one := range shares {
		want := float64(max(one.weight, 0)) / total
		got := float64(slots[one.value]) / splitSlots
		if math.Abs(want-got) > float64(len(shares)+1)/splitSlots || (one.weight > 0) != (got > 0) {
			return fmt.Errorf("share %d has %g, want %g", i, got, want)
		}
	}
	return nil
}

// FuzzSplit: whatever the weights, every number has exactly one key, and every share its part of them.
func FuzzSplit(f *testing.F) {
	f.Add(int32(90), int32(10), int32(0), int32(0))
	f.Add(int32(1_000_000), int32(1), int32(1), int32(0))
	f.Add(int32(1), int32(1), int32(1), int32(0))
	f.Add(int32(0), int32(0), int32(0), int32(0))
	f.Fuzz(func(t *testing.T, a, b, c, d int32) {
		var shares []share
		for i, weight := range []int32{a, b, c, d} {
			if weight < 0 || weight > 1_000_000 {
				t.Skip()
			}
			shares = append(shares, share{int64(weight), fmt.Sprint("v", i)})
		}
		if err := checkSplit(shares); err != nil {
			t.Error(shares, err)
		}
		// So much beside the others that their part is less than a slot.
		shares = append(shares, share{20_000_000_000, "most"})
		if err := checkSplit(shares); err != nil {
			t.Error(shares, err)
		}
	})
}

// TestSplitStaysSmall: a split of many parts takes few entries, and no digits beyond those that are drawn.
func TestSplitStaysSmall(t *testing.T) {
	var shares []share
	for i := range 100 {
		shares = append(shares, share{int64(i*7919%1000) + 1, fmt.Sprint("v", i)})
	}
	entries := splitEntries("s", shares)
	if err := checkSplit(shares); err != nil {
		t.Error(err)
	}
	if len(entries) > 100*9*splitDigits {
		t.Errorf("%d entries", len(entries))
	}
}
