// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

var update = flag.Bool("update", false, "write the golden files anew")

const kubernetes = "v1.37.2"

// embedded is one for all tests, so that charts are loaded once.
var embedded = sync.OnceValues(catalogue.Embedded)

func versions(t testing.TB) []catalogue.Entry {
	t.Helper()
	c, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c.Entries()
}

func chartsOf(t testing.TB, e catalogue.Entry) *catalogue.Charts {
	t.Helper()
	c, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	charts, err := c.Charts(e)
	if err != nil {
		t.Fatal(err)
	}
	return charts
}

// planeOf is a plane of a version with a revision, as a mesh has it.
func planeOf(t testing.TB, e catalogue.Entry) *Plane {
	t.Helper()
	return &Plane{
		Mesh: "prod", Namespace: "istio-system", Revision: "prod-1", Charts: chartsOf(t, e), Entry: e, Kubernetes: kubernetes,
		Default: true, Tags: []string{"stable-tag"},
	}
}

// all are the objects of a mesh with one plane, without what all meshes share.
func all(t testing.TB, p *Plane) []Object {
	t.Helper()
	out, err := p.Objects()
	if err != nil {
		t.Fatal(err)
	}
	common, err := p.Common()
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, common...)
	if p.Ambient || p.Profile == ProfileAmbient {
		n := &Nodes{
			Namespace: p.Namespace, Charts: p.Charts, Entry: p.Entry, Profile: p.Profile, Values: p.Values, Kubernetes: p.Kubernetes,
			Ambient: true, Revision: p.Revision, MeshNamespace: p.Namespace,
		}
		nodes, err := n.Objects()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, nodes...)
	}
	return out
}

// TestGolden renders every version in every profile. The file of profile default has all objects, those of others what differs from it.
func TestGolden(t *testing.T) {
	for _, e := range versions(t) {
		t.Run(e.Version.String(), func(t *testing.T) {
			definitions, err := Shared(chartsOf(t, e), kubernetes)
			if err != nil {
				t.Fatal(err)
			}
			var sums bytes.Buffer
			for _, o := range definitions {
				fmt.Fprintf(&sums, "%s: %s\n", o.GetName(), sum(t, o))
			}
			compare(t, e.Version.String()+"-definitions", sums.Bytes())
			plain := documents(t, all(t, planeOf(t, e)))
			for _, profile := range chartsOf(t, e).Profiles() {
				p := planeOf(t, e)
				p.Profile = profile
				if profile == "remote" {
					p.Values = map[string]any{"global": map[string]any{"remotePilotAddress": "192.0.2.1"}}
				}
				got := documents(t, all(t, p))
				if profile == ProfileMinimal {
					if !slices.EqualFunc(got, plain, bytes.Equal) {
						t.Error("profile minimal differs from default")
					}
					continue
				}
				if profile != ProfileDefault {
					got = slices.DeleteFunc(got, func(d []byte) bool {
						return slices.ContainsFunc(plain, func(other []byte) bool { return bytes.Equal(d, other) })
					})
				}
				compare(t, e.Version.String()+"-"+profile, bytes.Join(got, []byte("---\n")))
			}
		})
	}
}

func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	golden := filepath.Join("testdata", name+".yaml")
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
		t.Errorf("%s is not what is rendered; -update shows the difference", golden)
	}
}

// documents are objects as text. Long texts in ConfigMaps, which are Istio's own templates, stand there by their digest.
func documents(t *testing.T, objects []Object) [][]byte {
	t.Helper()
	out := make([][]byte, len(objects))
	for i, o := range objects {
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		delete(tree, "status")
		if data, ok := tree["data"].(map[string]any); ok {
			for key, value := range data {
				if text, ok := value.(string); ok && len(text) > 1500 {
					data[key] = digest([]byte(text))
				}
			}
		}
		if out[i], err = yaml.Marshal(tree); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func sum(t *testing.T, o Object) string {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return digest(raw)
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return fmt.Sprintf("%d bytes, sha256 %s", len(raw), hex.EncodeToString(sum[:]))
}

// TestKinds renders what each chart can make in each version, and fails where a listed kind never comes out; one that is not listed is
// an error of rendering.
func TestKinds(t *testing.T) {
	seen := map[schema.GroupVersionKind]bool{}
	for _, e := range versions(t) {
		definitions, err := Shared(chartsOf(t, e), kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		rendered := definitions
		for _, profile := range chartsOf(t, e).Profiles() {
			for _, values := range []map[string]any{
				nil,
				{"pilot": map[string]any{"autoscaleMin": 2, "jwksResolverExtraRootCA": "x", "taint": map[string]any{"enabled": true}}},
				{"global": map[string]any{"platform": "openshift"}, "ztunnel": map[string]any{"platform": "openshift"}},
				{"global": map[string]any{"platform": "gke", "remotePilotAddress": "192.0.2.1"}, "gatewayClasses": map[string]any{"istio": map[string]any{"service": map[string]any{}}}},
			} {
				if values != nil && profile != ProfileDefault && profile != "remote" {
					continue
				}
				p := planeOf(t, e)
				p.Profile, p.Values, p.Ambient = profile, values, true
				rendered = append(rendered, all(t, p)...)
			}
		}
		for _, o := range rendered {
			gvk := o.GetObjectKind().GroupVersionKind()
			seen[gvk] = true
			if (o.GetNamespace() != "") != kinds[gvk].Namespaced {
				t.Errorf("%s: its kind is namespaced: %v", RefOf(o), kinds[gvk].Namespaced)
			}
		}
	}
	for _, k := range Kinds() {
		if !seen[k.GVK] {
			t.Errorf("%s is listed and never rendered", k.GVK)
		}
	}
}
