// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"maps"
	"reflect"
)

// mergePatch is the minimal JSON merge patch (RFC 7386) that turns live into target: only what differs,
// null for what target does not have. Lists are replaced whole. It is empty where nothing differs.
func mergePatch(live, target fields) fields {
	patch := fields{}
	for key, want := range target {
		if step, differs := patchValue(live[key], want); differs {
			patch[key] = step
		}
	}
	for key, found := range live {
		if _, ok := target[key]; !ok && found != nil {
			patch[key] = nil
		}
	}
	return patch
}

func patchValue(found, want any) (any, bool) {
	foundMap, isMap := found.(fields)
	wantMap, wantsMap := want.(fields)
	if isMap && wantsMap {
		step := mergePatch(foundMap, wantMap)
		return step, len(step) > 0
	}
	return want, !reflect.DeepEqual(found, want)
}

// isEmpty reports whether a rendered value says nothing: Go types render empty maps and lists that the
// API server leaves out of its answers.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case fields:
		for _, inner := range v {
			if !isEmpty(inner) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

// covers reports whether every leaf of other is a leaf of patch, or lies below one.
func covers(patch, other fields) bool {
	for key, value := range other {
		mine, ok := patch[key]
		if !ok {
			return false
		}
		mineMap, isMap := mine.(fields)
		otherMap, otherIsMap := value.(fields)
		if isMap && otherIsMap && !covers(mineMap, otherMap) {
			return false
		}
	}
	return true
}

// without removes the leaf at path from the patch, and the maps that become empty by it.
func without(patch fields, path []string) {
	if len(path) == 1 {
		delete(patch, path[0])
		return
	}
	if inner, ok := patch[path[0]].(fields); ok {
		without(inner, path[1:])
		if len(inner) == 0 {
			delete(patch, path[0])
		}
	}
}

// leaves are the paths at which the patch sets or removes something.
func leaves(patch fields) [][]string {
	var out [][]string
	for key, value := range patch {
		inner, ok := value.(fields)
		if !ok || len(inner) == 0 {
			out = append(out, []string{key})
			continue
		}
		for _, tail := range leaves(inner) {
			out = append(out, append([]string{key}, tail...))
		}
	}
	return out
}

// contains reports whether every value of want stands in have; lists must have equal length.
func contains(have, want any) bool {
	switch want := want.(type) {
	case fields:
		haveMap, _ := have.(fields)
		for key, value := range want {
			if !isEmpty(value) && !contains(haveMap[key], value) {
				return false
			}
		}
		return true
	case []any:
		haveList, _ := have.([]any)
		if len(haveList) != len(want) {
			return false
		}
		for i := range want {
			if !contains(haveList[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(have, want)
	}
}

// clone copies a tree, so that a carry into one copy leaves the other alone.
func clone(value any) any {
	switch v := value.(type) {
	case fields:
		out := make(fields, len(v))
		for key, inner := range maps.All(v) {
			out[key] = clone(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = clone(inner)
		}
		return out
	default:
		return v
	}
}

func cloneFields(tree fields) fields { return clone(tree).(fields) }
