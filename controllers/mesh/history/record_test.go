// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/history"
)

func values(text string) *v1alpha1.Values { return &v1alpha1.Values{Raw: []byte(text)} }

// TestSourceNamesSettings shows which settings are the same and which are not.
func TestSourceNamesSettings(t *testing.T) {
	base := history.Settings{Profile: "default", Values: values(`{"a":1,"b":{"c":[1,2],"d":null}}`)}
	for name, test := range map[string]struct {
		settings history.Settings
		same     bool
	}{
		"itself":                  {base, true},
		"another order":           {history.Settings{Profile: "default", Values: values(` { "b":{"d":null,"c":[1,2]}, "a":1 } `)}, true},
		"another form of number":  {history.Settings{Profile: "default", Values: values(`{"a":1.0,"b":{"c":[1,2],"d":null}}`)}, true},
		"the default of profile":  {history.Settings{Values: base.Values}, true},
		"an image of nothing":     {history.Settings{Values: base.Values, Image: &v1alpha1.MeshImage{}}, true},
		"another profile":         {history.Settings{Profile: "demo", Values: base.Values}, false},
		"another value":           {history.Settings{Values: values(`{"a":2,"b":{"c":[1,2],"d":null}}`)}, false},
		"a text for a number":     {history.Settings{Values: values(`{"a":"1","b":{"c":[1,2],"d":null}}`)}, false},
		"another order of a list": {history.Settings{Values: values(`{"a":1,"b":{"c":[2,1],"d":null}}`)}, false},
		"null removes a default":  {history.Settings{Values: values(`{"a":1,"b":{"c":[1,2]}}`)}, false},
		"an image":                {history.Settings{Values: base.Values, Image: &v1alpha1.MeshImage{Hub: "a"}}, false},
		"no values":               {history.Settings{}, false},
		"values that are broken":  {history.Settings{Values: values(`{"a`)}, false},
	} {
		if got := test.settings.Source() == base.Source(); got != test.same {
			t.Errorf("%s: the same is %t", name, got)
		}
	}
	if (history.Settings{}).Source() != (history.Settings{Values: values(`{}`)}).Source() {
		t.Error("no values and empty values differ")
	}
	if (history.Settings{Values: values(`{"a`)}).Source() == (history.Settings{Values: values(`{"b`)}).Source() {
		t.Error("values that are broken are all the same")
	}
}

// TestSourceStays shows that a source is what it was in earlier versions of the operator: with another one, every mesh would
// get a new release.
func TestSourceStays(t *testing.T) {
	s := history.Settings{
		Profile: v1alpha1.ProfileDemo, Values: values(`{"pilot":{"autoscaleMin":2,"env":{"A":"<&>"}}}`),
		Image: &v1alpha1.MeshImage{Hub: "registry.example.com/istio", PullSecrets: []string{"a"}},
	}
	for got, want := range map[string]string{s.Source(): "31fe44cb829e6460", (history.Settings{}).Source(): "8efc1b4467e8e3c8"} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestSettingsOfSpec shows that settings are a copy of what the spec says.
func TestSettingsOfSpec(t *testing.T) {
	spec := v1alpha1.MeshSpec{Profile: "demo", Values: values(`{"a":1}`), Image: &v1alpha1.MeshImage{Hub: "a"}, MTLS: "Strict"}
	s := history.SettingsOf(&spec)
	before := s.Source()
	if before != (history.Settings{Profile: "demo", Values: values(`{"a":1}`), Image: &v1alpha1.MeshImage{Hub: "a"}}).Source() {
		t.Error("the settings are others than those of the spec")
	}
	spec.Values.Raw[5], spec.Image.Hub = '2', "b"
	if s.Source() != before {
		t.Error("the settings change with the spec")
	}
}

// TestSettingsAreNotShown shows that values get into no text by accident.
func TestSettingsAreNotShown(t *testing.T) {
	entry := history.Entry{Number: 1, Settings: history.Settings{Values: values(`{"password":"hunter2"}`)}}
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		for _, value := range []any{entry, &entry, history.Record{Entries: []history.Entry{entry}}, entry.Settings} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf(format, []byte("hunter2"))) {
				t.Errorf("%s shows them: %s", format, text)
			}
		}
	}
}

// TestRecordIsLookedUp finds entries and shows some in a status.
func TestRecordIsLookedUp(t *testing.T) {
	var r history.Record
	for i := int64(12); i > 0; i-- {
		r.Entries = append(r.Entries, history.Entry{
			Number: i, Version: fmt.Sprintf("1.%d.0", i), Source: fmt.Sprint("s", i%2), Failed: i == 11,
			Settings: history.Settings{Profile: v1alpha1.MeshProfile(fmt.Sprint("p", i%2))}, Since: time.Unix(i, 5),
		})
	}
	if e, ok := r.Find(3); !ok || e.Version != "1.3.0" {
		t.Errorf("found %v, %t", e, ok)
	}
	if _, ok := r.Find(13); ok {
		t.Error("found what is not there")
	}
	if s, ok := r.Settings("s1"); !ok || s.Profile != "p1" {
		t.Errorf("found %v, %t", s, ok)
	}
	if _, ok := r.Settings("s2"); ok {
		t.Error("found settings that are not there")
	}
	text, err := json.Marshal(r.Status()[:2])
	want := `[{"number":12,"version":"1.12.0","time":"1970-01-01T00:00:12Z"},{"number":11,"version":"1.11.0","time":"1970-01-01T00:00:11Z","failed":true}]`
	if err != nil || string(text) != want || len(r.Status()) != 10 {
		t.Errorf("the status has %d entries and begins with %s, %v", len(r.Status()), text, err)
	}
	if empty := (&history.Record{}).Status(); empty != nil {
		t.Errorf("the status of nothing is %v", empty)
	}
}
