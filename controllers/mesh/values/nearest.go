// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import "fmt"

// nearest offers the key that a person may have meant, or nothing.
func nearest(key string, names []string) string {
	best, distance := "", len(key)/3+2
	for _, name := range names {
		if d := edits(key, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", %q is known", best)
}

// edits is the number of letters to change, add or take away; case does not count.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i]|0x20 == b[j]|0x20 {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, before+cost)
		}
	}
	return row[len(b)]
}
