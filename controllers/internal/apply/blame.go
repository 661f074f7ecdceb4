// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// owner is one entry of metadata.managedFields: who wrote which fields, and when.
type owner struct {
	manager     string
	subresource string
	time        time.Time
	// owns is the tree of the fields: "f:<name>" for a map key, `k:{…}` and "v:…" for list elements.
	owns fields
}

func parseOwners(managed []byte) []owner {
	var entries []metav1.ManagedFieldsEntry
	if json.Unmarshal(managed, &entries) != nil {
		return nil
	}
	owners := make([]owner, 0, len(entries))
	for _, entry := range entries {
		o := owner{manager: entry.Manager, subresource: entry.Subresource}
		if entry.Time != nil {
			o.time = entry.Time.Time
		}
		if entry.FieldsV1 != nil && json.Unmarshal(entry.FieldsV1.GetRawBytes(), &o.owns) != nil {
			continue
		}
		owners = append(owners, o)
	}
	return owners
}

func (o owner) ours() bool { return o.manager == v1alpha1.ManagedBy }

// blame names the manager that last wrote the field at the path. A field that nobody but us owns was
// changed by somebody who left no trace: Unknown.
func blame(owners []owner, at path) (manager string, when time.Time) {
	manager = Unknown
	for _, o := range owners {
		if !o.ours() && o.ownsPath(at) && (manager == Unknown || o.time.After(when)) {
			manager, when = o.manager, o.time
		}
	}
	return manager, when
}

// ownsPath walks the tree along the path. A leaf on the way owns everything below it (atomic lists and maps).
func (o owner) ownsPath(at path) bool {
	node := o.owns
	for _, s := range at {
		next, ok := s.find(node)
		if !ok {
			return false
		}
		node, _ = next.(fields)
		if len(node) == 0 {
			return true
		}
	}
	return true
}

func (s step) find(node fields) (any, bool) {
	if !s.list {
		next, ok := node["f:"+s.key]
		return next, ok
	}
	for key, next := range node {
		if strings.HasPrefix(key, "k:") && matchesKey(s.item, key[2:]) || key == "i:"+fmt.Sprint(s.index) {
			return next, true
		}
		if value, ok := strings.CutPrefix(key, "v:"); ok && value == rawValue(s.item) {
			return next, true
		}
	}
	return nil, false
}

func rawValue(item any) string {
	raw, err := json.Marshal(item)
	if err != nil {
		return ""
	}
	return string(raw)
}

func matchesKey(item any, key string) bool {
	element, ok := item.(fields)
	var want fields
	if !ok || json.Unmarshal([]byte(key), &want) != nil {
		return false
	}
	for name, value := range want {
		if fmt.Sprint(element[name]) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}

// changes tells each difference with the manager that made it. Values of a kind that holds secrets are not told.
func changes(differences []difference, live *Object, kind Kind, seen time.Time) []Change {
	owners := parseOwners(live.managed)
	out := make([]Change, 0, len(differences))
	for _, d := range differences {
		c := Change{Path: d.path.String(), Want: short(d.want), Found: short(d.found), Time: seen, slot: d.path.slot()}
		if len(c.slot) > 0 && slices.Contains(kind.exemptions().secret, c.slot[0]) {
			c.Want, c.Found = redact(d.want), redact(d.found)
		}
		if d.found == nil {
			// A removed field stands in nobody's managedFields any more.
			c.Manager = Unknown
		} else if manager, when := blame(owners, d.path); manager != Unknown {
			c.Manager, c.Time = manager, when
		} else {
			c.Manager = Unknown
		}
		out = append(out, c)
	}
	return out
}

func redact(value any) string {
	if value == nil {
		return ""
	}
	return "(secret)"
}
