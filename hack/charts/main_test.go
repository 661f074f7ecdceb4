// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// TestPack packs the same files twice, in an order of the map's liking.
func TestPack(t *testing.T) {
	module := fstest.MapFS{"LICENSE": {Data: []byte("license")}, "go.mod": {Data: []byte("module x")}}
	for _, folder := range folders {
		module[folder+"/Chart.yaml"] = &fstest.MapFile{Data: []byte("name: x")}
		module[folder+"/README.md"] = &fstest.MapFile{Data: []byte("read")}
		module[folder+"/templates/NOTES.txt"] = &fstest.MapFile{Data: []byte("note")}
		module[folder+"/templates/a.yaml"] = &fstest.MapFile{Data: []byte("a")}
	}
	first, err := pack(module)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pack(module)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two archives of the same files differ")
	}
	for _, name := range []string{"README.md", "NOTES.txt", "go.mod"} {
		if bytes.Contains(first, []byte(name)) {
			t.Errorf("%s is packed", name)
		}
	}
	path := filepath.Join(t.TempDir(), "a.tgz")
	if err := write(path, first); err != nil {
		t.Fatal(err)
	}
	if got, err := digestOf(path); err != nil || got != digest(first) {
		t.Errorf("digest of the file %s, %v, want %s", got, err, digest(first))
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	if got, err := digestOf(path); err != nil || got != "" {
		t.Errorf("digest of half a file %q, %v", got, err)
	}
}

func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), catalogue.File)
	before := "# A comment.\nversions:\n- version: 1.30.0\n  sum: old\n  sha256: \"\"\n  tag: a\n- version: 1.30.01\n  sha256: b\n- version: 1.31.0\n  tag: c\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range []catalogue.Version{{Major: 1, Minor: 30}, {Major: 1, Minor: 31}} {
		if err := record(path, catalogue.Entry{Version: v}, module{Sum: "h1:s", GoModSum: "h1:m"}, "d"); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(raw)
	for _, want := range []string{"# A comment.\n", "  sum: h1:s\n  sha256: d\n  tag: a\n- version: 1.30.01\n  sha256: b\n", "  tag: c\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "goModSum: h1:m"); n != 2 {
		t.Errorf("%d sums of go.mod in\n%s", n, got)
	}
	if err := record(path, catalogue.Entry{Version: catalogue.Version{Major: 2}}, module{}, "d"); err == nil {
		t.Error("a version that is not listed is recorded")
	}
}
