// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package catalogue

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func embeddedCatalogue(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEmbedded loads the charts of every version, from several goroutines at once.
func TestEmbedded(t *testing.T) {
	c := embeddedCatalogue(t)
	entries := c.Entries()
	if len(entries) < 4 {
		t.Fatalf("%d versions, want at least 4", len(entries))
	}
	for _, e := range entries {
		t.Run(e.Version.String(), func(t *testing.T) {
			var wg sync.WaitGroup
			var loaded [4]*Charts
			for i := range loaded {
				wg.Go(func() {
					charts, err := c.Charts(e)
					if err != nil {
						t.Error(err)
						return
					}
					loaded[i] = charts
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			for _, charts := range loaded {
				if charts != loaded[0] {
					t.Error("loaded more than once")
				}
			}
			for _, name := range Names() {
				chart, err := loaded[0].Chart(name)
				if err != nil {
					t.Fatal(err)
				}
				if chart.Metadata.AppVersion != e.Version.String() || len(chart.Templates) == 0 || len(loaded[0].Values(name)) == 0 {
					t.Errorf("chart %s is of %s and has %d templates, %d values", name, chart.Metadata.AppVersion, len(chart.Templates), len(loaded[0].Values(name)))
				}
			}
			want := []string{"ambient", "default", "demo", "minimal", "preview", "remote", "stable"}
			if got := loaded[0].Profiles(); !slices.Equal(got, want) {
				t.Errorf("profiles %v, want %v", got, want)
			}
		})
	}
}

func TestPartOfAChart(t *testing.T) {
	c := embeddedCatalogue(t)
	charts, err := c.Charts(c.Entries()[0])
	if err != nil {
		t.Fatal(err)
	}
	whole, err := charts.Chart(Base)
	if err != nil {
		t.Fatal(err)
	}
	part, err := charts.Chart(Base, "crds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Templates) != len(whole.Templates)-1 {
		t.Errorf("%d templates of %d, want one less", len(part.Templates), len(whole.Templates))
	}
	if _, err := charts.Chart("none"); err == nil {
		t.Error("a chart that does not exist is found")
	}
}

const listOfTwo = `versions:
- {version: 1.30.1, archive: a.tgz, sha256: "00", kubernetes: {min: "1.32"}, hub: example.com/istio, tag: 1.30.1}
- {version: 1.32.0-rc.1, archive: b.tgz, sha256: "00", kubernetes: {min: "1.33"}, endOfLife: "2030-01-01", hub: example.com/istio, tag: 1.32.0-rc.1}
`

func folder(t *testing.T, list string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, File), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAdd(t *testing.T) {
	dir := folder(t, listOfTwo)
	c, err := New(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Add(os.DirFS(dir)); err != nil {
		t.Errorf("the same versions twice: %v", err)
	}
	other := folder(t, strings.Replace(listOfTwo, `"00"`, `"01"`, 1))
	if err := c.Add(os.DirFS(other)); err == nil || !strings.Contains(err.Error(), "two archives of Istio 1.30.1") {
		t.Errorf("another digest of a version: %v", err)
	}
	_, err = c.Charts(c.Entries()[0])
	if err == nil || err.Error() != "the charts of Istio 1.30.1 are not in this build: run make charts" {
		t.Errorf("a missing archive: %v", err)
	}
	if _, err := c.Charts(Entry{Version: Version{Major: 1}}); err == nil {
		t.Error("charts of a version that is not there are found")
	}
}

// TestWrongArchive puts the charts of one version under the name of another.
func TestWrongArchive(t *testing.T) {
	dir := folder(t, listOfTwo)
	archives, err := filepath.Glob("charts/*.tgz")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: run make charts (%v)", err)
	}
	raw, err := os.ReadFile(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a.tgz": raw, "b.tgz": raw[:len(raw)/2]} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"the digest is", "unexpected EOF"} {
		if _, err := c.Charts(c.Entries()[i]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("archive %d: %v, want an error with %q", i, err, want)
		}
	}
}

func TestBadLists(t *testing.T) {
	for name, change := range map[string][2]string{
		"no version":   {"version: 1.30.1", "version: x"},
		"minor":        {"version: 1.30.1", "version: \"1.30\""},
		"outside":      {"archive: a.tgz", "archive: ../a.tgz"},
		"kubernetes":   {`min: "1.32"`, `min: new`},
		"date":         {"2030-01-01", "soon"},
		"no hub":       {"hub: example.com/istio, tag: 1.30.1", "tag: 1.30.1"},
		"other fields": {"archive: a.tgz", "archive: a.tgz, archve: b"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(listOfTwo, change[0], change[1], 1)
			if changed == listOfTwo {
				t.Fatal("nothing is changed")
			}
			if _, err := New(os.DirFS(folder(t, changed))); err == nil {
				t.Error("is taken")
			}
		})
	}
	if _, err := New(os.DirFS(t.TempDir())); err == nil {
		t.Error("a folder without a list is taken")
	}
}

const severalVersions = `versions:
- {version: 1.27.0, archive: a, sha256: "00", kubernetes: {min: "1.29"}, endOfLife: "2026-04-07", hub: h, tag: t}
- {version: 1.28.3, archive: a, sha256: "00", kubernetes: {min: "1.30"}, hub: h, tag: t}
- {version: 1.28.10, archive: a, sha256: "00", kubernetes: {min: "1.30"}, hub: h, tag: t}
- {version: 1.30.4, archive: a, sha256: "00", kubernetes: {min: "1.32"}, hub: h, tag: t}
- {version: 1.31.0, archive: a, sha256: "00", kubernetes: {min: "1.32"}, hub: h, tag: t}
- {version: 1.31.1-rc.0, archive: a, sha256: "00", kubernetes: {min: "1.32"}, hub: h, tag: t}
`

func several(t *testing.T) *Catalogue {
	t.Helper()
	c, err := New(os.DirFS(folder(t, severalVersions)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	beforeTheEnd = time.Date(2026, 4, 6, 23, 59, 0, 0, time.UTC)
	afterTheEnd  = time.Date(2026, 4, 7, 0, 0, 0, 0, time.UTC)
)

func TestResolve(t *testing.T) {
	c := several(t)
	for name, test := range map[string]struct {
		want, kubernetes string
		now              time.Time
		allow            bool
		got              string
		reason           Reason
		text             string
	}{
		"exact":           {want: "1.28.3", got: "1.28.3"},
		"newest patch":    {want: "1.28", got: "1.28.10"},
		"no test release": {want: "1.31", got: "1.31.0"},
		"test release":    {want: "1.31.1-rc.0", got: "1.31.1-rc.0"},
		"vendor's name":   {kubernetes: "v1.32.4-gke.100", want: "1.31", got: "1.31.0"},
		"last day":        {want: "1.27", now: beforeTheEnd, got: "1.27.0"},
		"allowed":         {want: "1.27", allow: true, got: "1.27.0"},
		"past its life": {
			want: "1.27", reason: EndOfLife,
			text: "Istio 1.27.0 is past its life since 2026-04-07; possible are 1.31.1-rc.0, 1.31.0, 1.30.4, 1.28.10, 1.28.3",
		},
		"unknown minor": {
			want: "1.29", reason: Unknown,
			text: "Istio 1.29 is not in the catalogue; possible are 1.31.1-rc.0, 1.31.0, 1.30.4, 1.28.10, 1.28.3",
		},
		"unknown patch": {want: "1.31.7", reason: Unknown, text: "Istio 1.31.7 is not in the catalogue; possible are 1.31.1-rc.0, 1.31.0, 1.30.4, 1.28.10, 1.28.3"},
		"other text":    {want: "latest", reason: Unknown, text: "Istio latest is not in the catalogue; possible are 1.31.1-rc.0, 1.31.0, 1.30.4, 1.28.10, 1.28.3"},
		"old cluster": {
			want: "1.31", kubernetes: "v1.30.14", reason: Kubernetes,
			text: "Istio 1.31.0 needs Kubernetes 1.32, and this is v1.30.14; possible are 1.28.10, 1.28.3",
		},
		"very old cluster": {
			want: "1.31", kubernetes: "v1.20.0", reason: Kubernetes,
			text: "Istio 1.31.0 needs Kubernetes 1.32, and this is v1.20.0; no version is possible here",
		},
		"no cluster": {want: "1.31", kubernetes: "?", reason: Kubernetes, text: `the cluster's version "?" is none that is known; no version is possible here`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.kubernetes == "" {
				test.kubernetes = "v1.37.2"
			}
			if test.now.IsZero() {
				test.now = afterTheEnd
			}
			e, err := c.Resolve(test.want, test.kubernetes, test.now, test.allow)
			if test.reason == "" {
				if err != nil || e.Version.String() != test.got {
					t.Errorf("%s, %v, want %s", e.Version, err, test.got)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != test.reason || refusal.Want != test.want || err.Error() != test.text {
				t.Errorf("%v, want %s: %s", err, test.reason, test.text)
			}
		})
	}
}

// TestTold: whoever waits for a version is told when some come, and not when none do.
func TestTold(t *testing.T) {
	c := several(t)
	var times int
	c.OnChange(func() {
		times++
		// What is told may ask at once.
		_ = c.Entries()
	})
	for _, step := range []struct {
		name string
		do   func() error
		want int
	}{
		{"a note", func() error { c.Absent("b", "is not read yet"); return nil }, 1},
		{"the same note", func() error { c.Absent("b", "is not read yet"); return nil }, 1},
		{"another note", func() error { c.Absent("a", "is refused: no list"); return nil }, 2},
		{"versions", func() error { return c.Add(os.DirFS(folder(t, listOfTwo))) }, 3},
		{"the same versions", func() error { return c.Add(os.DirFS(folder(t, listOfTwo))) }, 3},
	} {
		if err := step.do(); err != nil || times != step.want {
			t.Errorf("%s: told %d times, want %d (%v)", step.name, times, step.want, err)
		}
	}
	_, err := c.Resolve("1.29", "v1.37.2", afterTheEnd, false)
	want := "Istio 1.29 is not in the catalogue; a is refused: no list; b is not read yet; possible are 1.32.0-rc.1,"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	c.Absent("a", "")
	c.Absent("b", "")
	if _, err := c.Resolve("1.29", "v1.37.2", afterTheEnd, false); err == nil || strings.Contains(err.Error(), "read yet") || times != 5 {
		t.Errorf("told %d times: %v", times, err)
	}
}

// TestAllOrNothing: a list that contradicts what is there, or itself, gives no versions.
func TestAllOrNothing(t *testing.T) {
	own := "- {version: 1.40.0, archive: a, sha256: \"00\", kubernetes: {min: \"1.32\"}, hub: h, tag: t}\n"
	for name, other := range map[string]string{
		"what is there": strings.Replace(own, "1.40.0, archive: a, sha256: \"00\"", "1.30.4, archive: a, sha256: \"01\"", 1),
		"itself":        strings.Replace(own, "\"00\"", "\"01\"", 1),
	} {
		c := several(t)
		before := len(c.Entries())
		err := c.Add(os.DirFS(folder(t, "versions:\n"+own+other)))
		if err == nil || !strings.Contains(err.Error(), "two archives of Istio") || len(c.Entries()) != before {
			t.Errorf("%s: %v; %d versions were %d", name, err, len(c.Entries()), before)
		}
	}
}
