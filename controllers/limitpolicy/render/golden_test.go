// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden renders the policies of each testdata/*.yaml for the namespace shop.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".yaml")
		t.Run(name, func(t *testing.T) {
			got := text(t, render.Namespace("shop", load(t, input)))
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("rendered is\n%s\n%s is\n%s", got, golden, want)
			}
		})
	}
}

func load(t *testing.T, path string) []render.Policy {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []render.Policy
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 1024)
	for {
		var in v1alpha1.LimitPolicy
		err := decoder.Decode(&in)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		in.UID = types.UID("uid-of-" + in.Name)
		out = append(out, parsed(t, &in))
	}
}

func text(t *testing.T, e render.Effective) []byte {
	t.Helper()
	var documents [][]byte
	add := func(document any) {
		raw, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, raw)
	}
	if e.LimitRange != nil {
		add(e.LimitRange)
	}
	for _, quota := range e.Quotas {
		add(quota)
	}
	origin := map[string]string{}
	for rule, policies := range e.Origin {
		origin[rule.String()] = strings.Join(policies, ", ")
	}
	add(map[string]any{"lost": e.Lost, "origin": origin})
	return bytes.Join(documents, []byte("---\n"))
}
