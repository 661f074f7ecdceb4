// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/operator"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestExamplesOfTheDocs applies every example of the README, the docs and the samples, and checks what
// docs/limitpolicy.md says of its own.
func TestExamplesOfTheDocs(t *testing.T) {
	ctx := t.Context()
	process, err := operator.Start(suite.binary, suite.plane.Kubeconfig(), filepath.Join(suite.dir, "docs.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for name, labels := range map[string]map[string]string{
		"docs-shop": {"tier": "team", "stage": "production"},
		"docs-lab":  {"tier": "team"},
	} {
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	for _, file := range []string{"README.md", "config/samples/fleet_v1alpha1_limitpolicy.yaml"} {
		for _, policy := range policiesIn(t, file) {
			if err := suite.client.Create(ctx, policy, client.DryRunAll); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	example := policiesIn(t, "docs/limitpolicy.md")
	if len(example) != 3 {
		t.Fatalf("%d policies in docs/limitpolicy.md; want 3", len(example))
	}
	for _, policy := range example {
		create(t, policy)
	}
	for namespace, want := range map[string]string{"docs-shop": "4Gi", "docs-lab": "512Mi"} {
		eventually(t, "the limits of "+namespace, func(ctx context.Context) (bool, error) {
			found := &corev1.LimitRange{}
			err := suite.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "fairlead"}, found)
			return err == nil && found.Spec.Limits[0].Max.Memory().String() == want && found.Spec.Limits[0].Max.Cpu().String() == "2",
				client.IgnoreNotFound(err)
		})
	}
	eventually(t, "team-default says what it lost", func(ctx context.Context) (bool, error) {
		found := &v1alpha1.LimitPolicy{}
		err := suite.client.Get(ctx, types.NamespacedName{Name: "team-default"}, found)
		lost := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionOverridden)
		return lost != nil && strings.HasPrefix(lost.Message,
			"limits[Container].max[memory] 512Mi lost to 4Gi of policy production in 1 namespaces"), err
	})
	for _, policy := range example {
		if err := suite.client.Delete(ctx, policy); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the limits go with the policies", func(ctx context.Context) (bool, error) {
		return count(ctx, t, &corev1.LimitRangeList{})+count(ctx, t, &corev1.ResourceQuotaList{}) == 0, nil
	})
}

// policiesIn reads the LimitPolicies of a manifest, or of the yaml blocks of a page.
func policiesIn(t *testing.T, file string) []*v1alpha1.LimitPolicy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.root, file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".md") {
		var blocks [][]byte
		for _, match := range yamlBlock.FindAllSubmatch(text, -1) {
			blocks = append(blocks, match[1])
		}
		text = bytes.Join(blocks, []byte("\n---\n"))
	}
	var out []*v1alpha1.LimitPolicy
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		policy := &v1alpha1.LimitPolicy{}
		if err := documents.Decode(policy); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if policy.Kind == "LimitPolicy" {
			out = append(out, policy)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s: no LimitPolicy", file)
	}
	return out
}
