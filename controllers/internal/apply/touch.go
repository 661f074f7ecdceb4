// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"
)

// touches reports whether a field manager owns anything of an object that is not exempt.
func (k Kind) touches(o owner, rendered fields, scaled bool) bool {
	for name, sub := range o.owns {
		field := strings.TrimPrefix(name, "f:")
		inner, _ := sub.(fields)
		switch field {
		case "status":
		case "metadata":
			if touchesMetadata(inner, rendered) {
				return true
			}
		default:
			if !k.onlyIgnored(inner, []string{field}, scaled) {
				return true
			}
		}
	}
	return false
}

func touchesMetadata(owned, rendered fields) bool {
	meta, _ := rendered["metadata"].(fields)
	for _, where := range []string{"labels", "annotations"} {
		ours, _ := meta[where].(fields)
		theirs, _ := owned["f:"+where].(fields)
		for key := range theirs {
			if _, mine := ours[strings.TrimPrefix(key, "f:")]; mine {
				return true
			}
		}
	}
	return false
}

// onlyIgnored reports whether every leaf of an ownership tree lies on an ignored path.
func (k Kind) onlyIgnored(owned fields, at []string, scaled bool) bool {
	if k.ignores(at) || scaled && slices.Equal(at, split(k.exemptions().scaled)) {
		return true
	}
	if len(owned) == 0 {
		return false
	}
	for name, sub := range owned {
		if name == "." {
			// To own a map or a list element by itself says nothing about what stands in it.
			continue
		}
		next := "[]"
		if field, ok := strings.CutPrefix(name, "f:"); ok {
			next = field
		}
		inner, _ := sub.(fields)
		if !k.onlyIgnored(inner, append(at[:len(at):len(at)], next), scaled) {
			return false
		}
	}
	return true
}

func (k Kind) ignores(at []string) bool {
	for _, dotted := range k.exemptions().ignored {
		if hasPrefix(at, split(dotted)) {
			return true
		}
	}
	return false
}

func hasPrefix(at, prefix []string) bool {
	if len(at) < len(prefix) {
		return false
	}
	for i := range prefix {
		if at[i] != prefix[i] {
			return false
		}
	}
	return true
}
