// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// TestRecipesOfTheDocs has the API server accept every recipe of docs/loadbalancer.md, each put into a LoadBalancer that
// has what the recipe leaves out.
func TestRecipesOfTheDocs(t *testing.T) {
	recipes := 0
	for i, match := range yamlBlock.FindAllSubmatch(page(t, "docs/loadbalancer.md"), -1) {
		block := string(match[1])
		lb := &v1alpha1.LoadBalancer{}
		var err error
		switch {
		case strings.Contains(block, "kind: ReferenceGrant"):
			continue
		case strings.HasPrefix(block, "apiVersion:"):
			err = yaml.UnmarshalStrict([]byte(block), lb)
		default:
			err = yaml.UnmarshalStrict([]byte(block), &lb.Spec)
			complete(&lb.Spec)
		}
		if err != nil {
			t.Errorf("block %d: %v\n%s", i, err, block)
			continue
		}
		lb.ObjectMeta = metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("recipe-%d", i)}
		if err := suite.client.Create(t.Context(), lb, client.DryRunAll); err != nil {
			t.Errorf("block %d: %v\n%s", i, err, block)
		}
		recipes++
	}
	if recipes < 15 {
		t.Errorf("only %d recipes were found", recipes)
	}
}

// complete adds a listener and the pool web where a recipe has none.
func complete(spec *v1alpha1.LoadBalancerSpec) {
	if len(spec.Listeners) == 0 {
		spec.Listeners = []v1alpha1.Listener{{Name: "http", Port: 80, Protocol: v1alpha1.ProtocolHTTP, Pool: "web"}}
	}
	if !slices.ContainsFunc(spec.Pools, func(p v1alpha1.Pool) bool { return p.Name == "web" }) {
		spec.Pools = append(spec.Pools, v1alpha1.Pool{
			Name: "web", Members: []v1alpha1.Member{{Service: &v1alpha1.ServiceReference{Name: "web"}}},
		})
	}
}

// meshVersion is that of recipes that leave it out.
const meshVersion = "1.31"

// TestRecipesOfMeshes has the API server accept every recipe of docs/mesh.md, each as a Mesh, and holds their values, and those
// of the samples, against the charts: the API server takes any.
func TestRecipesOfMeshes(t *testing.T) {
	known := versionsOfIstio(t)
	recipes := 0
	for i, match := range yamlBlock.FindAllSubmatch(page(t, "docs/mesh.md"), -1) {
		block := string(match[1])
		m := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("recipe-%d", i)}}
		var err error
		switch {
		case strings.HasPrefix(block, "versions:"):
			if _, err := catalogue.Read(fstest.MapFS{catalogue.File: {Data: match[1]}}); err != nil {
				t.Errorf("block %d: %v\n%s", i, err, block)
			}
			continue
		case strings.HasPrefix(block, "apiVersion:"):
			err = yaml.UnmarshalStrict([]byte(block), m)
		default:
			err = yaml.UnmarshalStrict([]byte(block), &m.Spec)
		}
		m.Spec.Version = cmp.Or(m.Spec.Version, meshVersion)
		if err == nil {
			err = suite.client.Create(t.Context(), m.DeepCopy(), client.DryRunAll)
		}
		if err != nil {
			t.Errorf("block %d: %v\n%s", i, err, block)
			continue
		}
		checkValues(t, fmt.Sprintf("block %d", i), known, m)
		recipes++
	}
	if recipes < 10 {
		t.Errorf("only %d recipes were found", recipes)
	}
	samples, err := filepath.Glob(filepath.Join(suite.root, "config", "samples", "*_mesh*.yaml"))
	if err != nil || len(samples) == 0 {
		t.Fatalf("samples: %v, %v", samples, err)
	}
	for _, file := range samples {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := &v1alpha1.Mesh{}
		if err := yaml.UnmarshalStrict(text, m); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		checkValues(t, filepath.Base(file), known, m)
	}
}

// TestVersionsInTheDocs: docs/mesh.md lists the versions that the operator has.
func TestVersionsInTheDocs(t *testing.T) {
	text := string(page(t, "docs/mesh.md"))
	for _, entry := range versionsOfIstio(t).Entries() {
		end := "not settled"
		if !entry.EndOfLife.IsZero() {
			end = entry.EndOfLife.Format(time.DateOnly)
		}
		if row := fmt.Sprintf("| %s | %s | %s |\n", entry.Version, entry.MinKubernetes, end); !strings.Contains(text, row) {
			t.Errorf("there is no row %s", row)
		}
	}
}

func versionsOfIstio(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	known, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// checkValues says what the operator would of the values of a mesh.
func checkValues(t *testing.T, what string, known *catalogue.Catalogue, m *v1alpha1.Mesh) {
	t.Helper()
	// An example is one of its time: whether its version still lives is another matter.
	entry, err := known.Resolve(string(m.Spec.Version), "v1.37.0", time.Time{}, true)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	given, err := m.Spec.Values.Map()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	charts, err := known.Charts(entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range values.Check(charts, given) {
		t.Errorf("%s: values.%s", what, problem)
	}
}

func page(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.root, file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
