// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestSamples applies every sample with strict field validation, so that one with an unknown field fails, and shows that
// the list of samples has them all.
func TestSamples(t *testing.T) {
	const dir = "../../config/samples"
	var list struct{ Resources []string }
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "fleet_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = filepath.Base(file)
	}
	slices.Sort(list.Resources)
	if !slices.Equal(list.Resources, names) {
		t.Errorf("kustomization.yaml lists %q; the samples are %q", list.Resources, names)
	}
	strict := client.WithFieldValidation(server, metav1.FieldValidationStrict)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sample := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &sample.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if kind := sample.GetKind(); kind != "LimitPolicy" && kind != "Mesh" {
			sample.SetNamespace(namespace)
		}
		if err := strict.Create(t.Context(), sample, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
