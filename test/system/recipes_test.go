// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// TestRecipesOfTheDocs has the API server accept every recipe of docs/loadbalancer.md, each put into a LoadBalancer that
// has what the recipe leaves out.
func TestRecipesOfTheDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(suite.root, "docs", "loadbalancer.md"))
	if err != nil {
		t.Fatal(err)
	}
	recipes := 0
	for i, match := range yamlBlock.FindAllSubmatch(text, -1) {
		block := string(match[1])
		lb := &v1alpha1.LoadBalancer{}
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
