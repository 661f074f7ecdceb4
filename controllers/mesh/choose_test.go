// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

func embedded(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	all, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func prod(version string, strategy v1alpha1.UpgradeStrategy) *v1alpha1.Mesh {
	return &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: "prod"},
		Spec: v1alpha1.MeshSpec{
			Version: v1alpha1.IstioVersion(version), Namespace: "istio-prod", Upgrade: v1alpha1.MeshUpgrade{Strategy: strategy},
		},
	}
}

func TestChoose(t *testing.T) {
	all := embedded(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	late := now.AddDate(20, 0, 0)
	for name, c := range map[string]struct {
		want, kubernetes string
		strategy         v1alpha1.UpgradeStrategy
		allow            bool
		there            []string
		told             map[string]string
		now              time.Time

		revision, version, desired, reason string
	}{
		"a minor":             {want: "1.31", revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0"},
		"an exact version":    {want: "1.30.4", revision: "prod-1-30-4", version: "1.30.4", desired: "1.30.4"},
		"in place":            {want: "1.31", strategy: v1alpha1.UpgradeInPlace, revision: "prod", version: "1.31.0", desired: "1.31.0"},
		"unknown":             {want: "1.99", reason: "UnknownVersion"},
		"past its life":       {want: "1.27", reason: "EndOfLife"},
		"past and allowed":    {want: "1.27", allow: true, revision: "prod-1-27-0", version: "1.27.0", desired: "1.27.0"},
		"an old cluster":      {want: "1.31", kubernetes: "v1.20.0", reason: "UnsupportedKubernetes"},
		"it runs":             {want: "1.31", there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0"},
		"its life ends":       {want: "1.31", now: late, there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0"},
		"the cluster moves":   {want: "1.31", kubernetes: "v1.20.0", there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0"},
		"unknown, another on": {want: "1.99", there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", reason: "UnknownVersion"},
		"down":                {want: "1.30", there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.30.4", reason: "UnsupportedUpgrade"},
		"too far":             {want: "1.31", there: []string{"istiod-prod-1-27-0"}, revision: "prod-1-27-0", version: "1.27.0", desired: "1.31.0", reason: "UnsupportedUpgrade"},
		"up, in place": {
			want: "1.31", strategy: v1alpha1.UpgradeInPlace, there: []string{"istiod-prod"}, told: map[string]string{"prod": "1.30.4"},
			revision: "prod", version: "1.31.0", desired: "1.31.0",
		},
		"up, canary": {want: "1.31", there: []string{"istiod-prod-1-30-4"}, revision: "prod-1-30-4", version: "1.30.4", desired: "1.31.0", reason: "UnsupportedUpgrade"},
		"the strategy changes": {
			want: "1.31", strategy: v1alpha1.UpgradeInPlace, there: []string{"istiod-prod-1-31-0"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0",
		},
		"others' Deployments": {
			want: "1.31", there: []string{"istiod-test-1-30-4", "gateway", "istiod-prod-9-9-9"}, revision: "prod-1-31-0", version: "1.31.0", desired: "1.31.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			mesh := prod(c.want, c.strategy)
			if c.allow {
				mesh.Spec.EndOfLife = v1alpha1.EndOfLifeAllow
			}
			for revision, version := range c.told {
				mesh.Status.Revisions = append(mesh.Status.Revisions, v1alpha1.MeshRevision{Name: revision, Version: version})
			}
			if c.kubernetes == "" {
				c.kubernetes = "v1.37.2"
			}
			if c.now.IsZero() {
				c.now = now
			}
			got := choose(all, mesh, c.kubernetes, revisions(all, mesh, c.there), c.now)
			version := got.version.String()
			if got.version == (catalogue.Version{}) {
				version = ""
			}
			if got.revision != c.revision || version != c.version || got.desired != c.desired || got.stuck.reason != c.reason {
				t.Errorf("chosen is %q of %q, desired %q, %+v", got.revision, version, got.desired, got.stuck)
			}
			if got.version != got.entry.Version {
				t.Errorf("version %s is of entry %s", got.version, got.entry.Version)
			}
			if c.reason != "" && c.reason != "UnsupportedUpgrade" && c.kubernetes == "v1.37.2" && !strings.Contains(got.stuck.message, "1.31.0") {
				t.Errorf("what is possible is not said: %s", got.stuck.message)
			}
		})
	}
}

// TestPlace: the oldest mesh is the first one, and holds its namespace.
func TestPlace(t *testing.T) {
	mesh := func(name, namespace string, second int64) v1alpha1.Mesh {
		return v1alpha1.Mesh{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(second, 0)},
			Spec:       v1alpha1.MeshSpec{Namespace: v1alpha1.NamespaceName(namespace)},
		}
	}
	all := []v1alpha1.Mesh{mesh("c", "x", 3), mesh("b", "y", 1), mesh("a", "x", 1), mesh("d", "x", 4)}
	for name, want := range map[string]observed{
		"a": {first: true}, "b": {}, "c": {holder: "a"}, "d": {holder: "a"},
	} {
		m := mesh(name, "x", 0)
		if name == "b" {
			m.Spec.Namespace = "y"
		}
		seen := observed{mesh: &m}
		seen.place(all)
		if seen.first != want.first || seen.holder != want.holder || seen.alone {
			t.Errorf("%s: %+v", name, seen)
		}
	}
	only := observed{mesh: &all[0]}
	only.place(all[:1])
	if !only.first || !only.alone || only.holder != "" {
		t.Errorf("the only one: %+v", only)
	}
}
