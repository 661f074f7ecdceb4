// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxValue bounds the values in a Change, in bytes: they end up in Events and statuses.
const maxValue = 64

// maxChanges bounds the changes told of one object: who replaced everything need not be told in full.
const maxChanges = 16

// Unknown is the manager of a change that left no trace of who made it.
const Unknown = "unknown"

// Change is one field that differed from what was expected.
type Change struct {
	// Path is the field as a person writes it, like spec.limits[type=Container].max[memory]; it is empty
	// where the whole object was deleted.
	Path string
	// Want and Found are the expected value and the value found, cut to 64 bytes; empty for none.
	Want, Found string
	// Manager is the field manager that made the change, or Unknown.
	Manager string
	// Time is when the manager made the change, to the second; the time it was seen where that is unknown.
	Time time.Time

	// slot is the leaf of the merge patch that the change falls under.
	slot []string
}

// step is one step of a path in an object: a map key or a list element.
type step struct {
	key   string
	item  any
	index int
	list  bool
}

type path []step

func (p path) key(key string) path { return append(slices.Clip(p), step{key: key}) }

func (p path) element(index int, item any) path {
	return append(slices.Clip(p), step{list: true, index: index, item: item})
}

// String writes keys of maps that hold free keys (labels, resource names) in brackets.
func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.list:
			b.WriteString("[" + s.label() + "]")
		case strings.ContainsAny(s.key, "./") || i > 0 && p[i-1].holdsFreeKeys() && s.key != "matchLabels" && s.key != "matchExpressions":
			b.WriteString("[" + s.key + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// freeKeyMaps are the fields whose keys a user chooses.
var freeKeyMaps = []string{
	"labels", "annotations", "matchLabels", "selector", "data", "binaryData", "stringData", "nodeSelector",
	"limits", "requests", "hard", "max", "min", "default", "defaultRequest", "maxLimitRequestRatio",
}

func (s step) holdsFreeKeys() bool { return !s.list && slices.Contains(freeKeyMaps, s.key) }

// identities are the fields that tell the elements of a list apart, the most telling first.
var identities = []string{"name", "type", "containerPort", "port", "ip", "key", "topologyKey", "uid"}

func (s step) label() string {
	if name, value, ok := identity(s.item); ok {
		return fmt.Sprintf("%s=%v", name, value)
	}
	return fmt.Sprint(s.index)
}

func identity(item any) (string, any, bool) {
	element, _ := item.(fields)
	for _, name := range identities {
		switch value := element[name].(type) {
		case string, int64:
			return name, value, true
		}
	}
	return "", nil, false
}

// diffFields lists the leaves in which found differs from want, in a stable order, at most maxChanges.
func diffFields(want, found fields) []difference {
	var out []difference
	diffMaps(&out, nil, want, found)
	return out
}

type difference struct {
	path        path
	want, found any
}

// note adds a difference while there is room.
func note(out *[]difference, d difference) {
	if len(*out) < maxChanges {
		*out = append(*out, d)
	}
}

func diffMaps(out *[]difference, at path, want, found fields) {
	keys := slices.Collect(maps.Keys(want))
	for key := range found {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		diffValues(out, at.key(key), want[key], found[key])
	}
}

func diffValues(out *[]difference, at path, want, found any) {
	if len(*out) >= maxChanges || reflect.DeepEqual(want, found) {
		return
	}
	wantMap, isMap := want.(fields)
	foundMap, foundIsMap := found.(fields)
	wantList, isList := want.([]any)
	foundList, foundIsList := found.([]any)
	switch {
	case isMap && foundIsMap, isMap && found == nil && len(wantMap) > 0, foundIsMap && want == nil && len(foundMap) > 0:
		diffMaps(out, at, wantMap, foundMap)
	case isList && foundIsList:
		diffLists(out, at, wantList, foundList)
	default:
		note(out, difference{path: at, want: want, found: found})
	}
}

// diffLists pairs elements by identity where they have one, by position where they do not.
func diffLists(out *[]difference, at path, want, found []any) {
	paired := make([]bool, len(found))
	before := len(*out)
	for i, item := range want {
		j := pair(item, i, found)
		if j < 0 {
			note(out, difference{path: at.element(i, item), want: item})
			continue
		}
		paired[j] = true
		// The element as it was found is the one that managedFields speak of.
		diffValues(out, at.element(j, found[j]), item, found[j])
	}
	for j, item := range found {
		if !paired[j] {
			note(out, difference{path: at.element(j, item), found: item})
		}
	}
	if len(*out) == before {
		// The same elements in another order.
		note(out, difference{path: at, want: want, found: found})
	}
}

func pair(item any, index int, among []any) int {
	name, value, ok := identity(item)
	if !ok {
		if index < len(among) {
			return index
		}
		return -1
	}
	return slices.IndexFunc(among, func(other any) bool {
		element, _ := other.(fields)
		return element[name] == value
	})
}

// slot is the part of the path that a merge patch can address: up to the first list.
func (p path) slot() []string {
	var out []string
	for _, s := range p {
		if s.list {
			break
		}
		out = append(out, s.key)
	}
	return out
}

// short writes a value for a person, cut to maxValue bytes at a rune boundary.
func short(value any) string {
	if value == nil {
		return ""
	}
	text, ok := value.(string)
	if !ok {
		raw, err := json.Marshal(value)
		if err != nil {
			return "?"
		}
		text = string(raw)
	}
	if len(text) <= maxValue {
		return text
	}
	cut := maxValue - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
