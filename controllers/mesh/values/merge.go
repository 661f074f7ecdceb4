// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import "maps"

// Merge gives a tree of its own with the values of all, later ones over earlier ones. Maps are merged, lists are replaced.
func Merge(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, values := range all {
		over(out, values)
	}
	return out
}

func over(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		if !isMap {
			into[key] = clone(value)
			continue
		}
		// A tree of our own, since every map in it came through here.
		if existing, ok := into[key].(map[string]any); ok {
			over(existing, below)
		} else {
			into[key] = Merge(below)
		}
	}
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return Merge(v)
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = clone(element)
		}
		return out
	default:
		return v
	}
}

// Set gives a tree of its own with one more value, at a path of keys.
func Set(values map[string]any, value any, path ...string) map[string]any {
	for i := len(path) - 1; i > 0; i-- {
		value = map[string]any{path[i]: value}
	}
	return Merge(values, map[string]any{path[0]: value})
}

// Get is the value at a path of keys, and whether there is one.
func Get(values map[string]any, path ...string) (any, bool) {
	for _, key := range path[:len(path)-1] {
		below, ok := values[key].(map[string]any)
		if !ok {
			return nil, false
		}
		values = below
	}
	value, ok := values[path[len(path)-1]]
	return value, ok
}

// Without gives a copy of the first level without some keys.
func Without(values map[string]any, keys ...string) map[string]any {
	out := maps.Clone(values)
	for _, key := range keys {
		delete(out, key)
	}
	return out
}
