// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// grower makes trees of bytes, so that every input of a fuzzer is one.
type grower struct{ bytes []byte }

func (g *grower) next(n int) int {
	if len(g.bytes) == 0 {
		return 0
	}
	b := g.bytes[0]
	g.bytes = g.bytes[1:]
	return int(b) % n
}

func (g *grower) tree(depth int) fields {
	out := fields{}
	for range g.next(5) {
		out[[]string{"a", "b", "spec", "labels", "x.y/z"}[g.next(5)]] = g.value(depth - 1)
	}
	return out
}

func (g *grower) value(depth int) any {
	kinds := 7
	if depth <= 0 {
		kinds = 4
	}
	switch g.next(kinds) {
	case 0:
		return int64(g.next(3))
	case 1:
		return []string{"", "x", "y"}[g.next(3)]
	case 2:
		return g.next(2) == 0
	case 3:
		return 0.5
	case 4:
		var list []any
		for range g.next(4) {
			list = append(list, g.value(depth-1))
		}
		return append([]any{}, list...)
	case 5:
		element := g.tree(depth - 1)
		element["name"] = []string{"one", "two"}[g.next(2)]
		return []any{element, g.value(0)}
	default:
		return g.tree(depth)
	}
}

func addTreeSeeds(f *testing.F) {
	f.Helper()
	for _, seed := range []string{"", "\x01\x02\x06\x01\x00\x01", "\x03\x00\x05\x02\x01\x06\x03\x02\x01\x04\x03\x00\x01\x02", "\x04\x00\x06\x02\x01\x04\x02\x06\x04\x01\x05\x01\x02\x03\x01"} {
		f.Add([]byte(seed), []byte("\x02"+seed))
		f.Add([]byte(seed+"\x04\x01"), []byte(seed))
	}
}

// patched applies a merge patch by an implementation that is not ours.
func patched(t *testing.T, live, patch fields) fields {
	t.Helper()
	text, err := jsonpatch.MergePatch(marshal(t, live), marshal(t, patch))
	if err != nil {
		t.Fatal(err)
	}
	out, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func marshal(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func FuzzMergePatch(f *testing.F) {
	addTreeSeeds(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		live, target := (&grower{a}).tree(4), (&grower{b}).tree(4)
		patch := mergePatch(live, target)
		if got := patched(t, live, patch); !reflect.DeepEqual(got, target) {
			t.Fatalf("live %s\ntarget %s\npatch %s\ngives %s", marshal(t, live), marshal(t, target), marshal(t, patch), marshal(t, got))
		}
		if (len(patch) == 0) != reflect.DeepEqual(live, target) {
			t.Fatalf("patch is %v of %v and %v", patch, live, target)
		}
		for _, leaf := range leaves(patch) {
			less := cloneFields(patch)
			without(less, leaf)
			if reflect.DeepEqual(patched(t, live, less), target) {
				t.Fatalf("leaf %v of %s is not needed", leaf, marshal(t, patch))
			}
			if covers(less, patch) || !covers(patch, less) {
				t.Fatalf("%v does not tell that %v is missing", less, leaf)
			}
		}
		if !covers(patch, patch) {
			t.Fatalf("%v does not cover itself", patch)
		}
	})
}

func FuzzDiff(f *testing.F) {
	addTreeSeeds(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		found, want := (&grower{a}).tree(4), (&grower{b}).tree(4)
		differences := diffFields(want, found)
		patch := mergePatch(found, want)
		if (len(differences) == 0) != (len(patch) == 0) || len(differences) > maxChanges {
			t.Fatalf("%d differences, patch %v", len(differences), patch)
		}
		sent := leaves(patch)
		for _, d := range differences {
			if reflect.DeepEqual(d.want, d.found) {
				t.Fatalf("%s does not differ: %v", d.path, d.want)
			}
			slot := d.path.slot()
			if !slices.ContainsFunc(sent, func(leaf []string) bool { return hasPrefix(slot, leaf) || hasPrefix(leaf, slot) }) {
				t.Fatalf("%s is no part of the patch %v", d.path, patch)
			}
			if d.path.String() == "" {
				t.Fatal("a difference has no path")
			}
		}
	})
}

// FuzzCarry shows that a patch never touches what is exempt.
func FuzzCarry(f *testing.F) {
	addTreeSeeds(f)
	kind := deployments
	f.Fuzz(func(t *testing.T, a, b []byte) {
		live, target := (&grower{a}).tree(4), (&grower{b}).tree(4)
		grow := func(bytes []byte) fields {
			g := &grower{bytes}
			labels, annotations := g.tree(1), g.tree(1)
			labels["theirs"], annotations["theirs"] = "x", "x" // The API server shows no empty maps.
			return fields{"labels": labels, "annotations": annotations}
		}
		live["metadata"], target["metadata"] = grow(b), grow(a)
		live["spec"] = fields{"replicas": int64(3), "template": fields{"metadata": fields{"annotations": (&grower{b}).tree(1)}}}
		rendered := fields{"metadata": fields{"labels": fields{"a": "ours"}}}
		kind.carry(live, target, rendered, true)
		once := cloneFields(target)
		kind.carry(live, target, rendered, true)
		if !reflect.DeepEqual(once, target) {
			t.Fatalf("carried once %v, twice %v", once, target)
		}
		for _, leaf := range leaves(mergePatch(live, target)) {
			if leaf[0] == "metadata" && !slices.Equal(leaf, []string{"metadata", "labels", "a"}) {
				t.Fatalf("the patch touches %v", leaf)
			}
			if slices.Equal(leaf, []string{"spec", "replicas"}) {
				t.Fatal("the patch touches replicas while they are scaled")
			}
		}
	})
}

func FuzzCopyPath(f *testing.F) {
	addTreeSeeds(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		src, dst := (&grower{a}).tree(4), (&grower{b}).tree(4)
		for _, at := range [][]string{{"a"}, {"spec", "a"}, {"spec", "labels", "x.y/z"}} {
			copyPath(src, dst, at)
			want, there := lookup(src, at)
			got, has := lookup(dst, at)
			if there != has || !reflect.DeepEqual(want, got) {
				t.Fatalf("%v is %v, want %v", at, got, want)
			}
		}
	})
}

func FuzzShort(f *testing.F) {
	f.Add("")
	f.Add(strings.Repeat("x", 64))
	f.Add(strings.Repeat("x", 65))
	f.Add(strings.Repeat("ä", 33))
	f.Add("x" + strings.Repeat("€", 40))
	f.Fuzz(func(t *testing.T, text string) {
		got := short(text)
		if len(got) > maxValue || len(text) <= maxValue && got != text || utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Fatalf("%q is cut to %q", text, got)
		}
	})
}

// FuzzOwners reads managedFields that nobody should have written.
func FuzzOwners(f *testing.F) {
	f.Add([]byte(`[{"manager":"a","fieldsV1":{"f:spec":{"f:limits":{}}}}]`))
	f.Add([]byte(`[{"manager":"a","fieldsV1":{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:port":{}},"v:\"x\"":{},"i:0":{}}}}}]`))
	f.Add([]byte(`[{"fieldsV1":[]},null,{"manager":7}]`))
	f.Fuzz(func(t *testing.T, managed []byte) {
		found := fields{"spec": fields{"limits": []any{"x"}, "ports": []any{fields{"port": int64(80)}}}}
		live := &Object{managed: managed}
		for _, change := range changes(diffFields(fields{}, found), live, configMaps, epoch) {
			if change.Manager == "" && change.Path == "" {
				t.Fatalf("change is %+v", change)
			}
		}
		for _, o := range parseOwners(managed) {
			configMaps.touches(o, found, false)
		}
	})
}

func TestContains(t *testing.T) {
	for name, c := range map[string]struct {
		have, want string
		contains   bool
	}{
		"equal":           {`{"a":1}`, `{"a":1}`, true},
		"more":            {`{"a":1,"b":2}`, `{"a":1}`, true},
		"other":           {`{"a":2}`, `{"a":1}`, false},
		"less":            {`{}`, `{"a":1}`, false},
		"nothing wanted":  {`{}`, `{"a":{},"b":[],"c":null,"d":{"e":{}}}`, true},
		"defaults inside": {`{"a":[{"b":1,"c":2}]}`, `{"a":[{"b":1}]}`, true},
		"longer list":     {`{"a":[1,2]}`, `{"a":[1]}`, false},
		"other order":     {`{"a":[2,1]}`, `{"a":[1,2]}`, false},
		"no map":          {`{"a":"x"}`, `{"a":{"b":1}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			have, err := parse([]byte(c.have))
			want, wantErr := parse([]byte(c.want))
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			if got := contains(have, want); got != c.contains {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestDiffPaths(t *testing.T) {
	for name, c := range map[string]struct{ want, found, told string }{
		"value":           {`{"a":{"b":1}}`, `{"a":{"b":2}}`, `a.b: 1 → 2`},
		"removed":         {`{"a":{"b":1}}`, `{}`, `a.b: 1 → `},
		"added":           {`{}`, `{"a":{"b":{"c":"x"}}}`, `a.b.c:  → x`},
		"map key":         {`{"data":{}}`, `{"data":{"k.conf":"v","plain":"w"}}`, `data[k.conf]:  → v; data[plain]:  → w`},
		"selector":        {`{"spec":{"selector":{"matchLabels":{"a":"b"}}}}`, `{"spec":{"selector":{"matchLabels":{"a":"c"}}}}`, `spec.selector.matchLabels[a]: b → c`},
		"by name":         {`{"l":[{"name":"a","v":1},{"name":"b","v":1}]}`, `{"l":[{"name":"b","v":2},{"name":"a","v":1}]}`, `l[name=b].v: 1 → 2`},
		"by type":         {`{"l":[{"type":"Pod","max":{"cpu":"1"}}]}`, `{"l":[{"type":"Pod","max":{"cpu":"2"}}]}`, `l[type=Pod].max[cpu]: 1 → 2`},
		"element added":   {`{"l":[]}`, `{"l":[{"name":"x"}]}`, `l[name=x]:  → {"name":"x"}`},
		"element removed": {`{"l":[{"name":"x"},{"name":"y"}]}`, `{"l":[{"name":"y"}]}`, `l[name=x]: {"name":"x"} → `},
		"by place":        {`{"l":["a","b"]}`, `{"l":["a","c"]}`, `l[1]: b → c`},
		"order":           {`{"a":1,"l":[{"name":"x"},{"name":"y"}]}`, `{"a":2,"l":[{"name":"y"},{"name":"x"}]}`, `a: 1 → 2; l: [{"name":"x"},{"name":"y"}] → [{"name":"y"},{"name":"x"}]`},
		"another type":    {`{"a":{"b":1}}`, `{"a":"x"}`, `a: {"b":1} → x`},
		"empty map":       {`{"a":{}}`, `{}`, `a: {} → `},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := parse([]byte(c.want))
			found, foundErr := parse([]byte(c.found))
			if err != nil || foundErr != nil {
				t.Fatal(err, foundErr)
			}
			var told []string
			for _, d := range diffFields(want, found) {
				told = append(told, fmt.Sprintf("%s: %s → %s", d.path, short(d.want), short(d.found)))
			}
			if got := strings.Join(told, "; "); got != c.told {
				t.Errorf("told is %q, want %q", got, c.told)
			}
		})
	}
}
