// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// further is a folder with a version that no operator has, made of the charts of another one.
func further(t *testing.T, version string) fs.FS {
	t.Helper()
	all, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	entries := all.Entries()
	newest := entries[len(entries)-1]
	raw, err := os.ReadFile(filepath.Join("catalogue", "charts", newest.Archive))
	if err != nil {
		t.Fatal(err)
	}
	list := fmt.Sprintf("versions:\n- {version: %s, archive: a.tgz, sha256: %q, kubernetes: {min: %q}, hub: registry.example.com/istio, tag: t}\n",
		version, newest.SHA256, newest.MinKubernetes)
	dir := t.TempDir()
	for name, data := range map[string][]byte{catalogue.File: []byte(list), "a.tgz": raw} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return os.DirFS(dir)
}

// identities are the UIDs of all objects of a mesh, of what is shared and of what runs on nodes.
func (o *operator) identities(t *testing.T, m *v1alpha1.Mesh) []types.UID {
	t.Helper()
	var out []types.UID
	for _, mark := range []string{m.Name, "nodes", "definitions"} {
		for _, object := range o.objects(t, mark) {
			out = append(out, object.GetUID())
		}
	}
	slices.Sort(out)
	return out
}

// TestVersionsThatComeLate: a mesh waits for a version that a registry has, and goes on by itself when it comes. An operator that
// restarts while the registry is away takes away nothing of what is there.
func TestVersionsThatComeLate(t *testing.T) {
	o := running(t)
	const version = "1.31.77"
	source := further(t, version)
	o.versions.Absent("oci://registry.example.com/charts", "is not read yet")
	m := o.mesh(t, "late", version, func(m *v1alpha1.Mesh) { m.Spec.Profile = v1alpha1.ProfileAmbient })
	got := o.awaitReady(t, m, "False/UnknownVersion")
	if text := message(got, v1alpha1.ConditionStalled); !strings.Contains(text, "oci://registry.example.com/charts is not read yet") {
		t.Errorf("it says %s", text)
	}
	if err := o.versions.Add(source); err != nil {
		t.Fatal(err)
	}
	o.applied(t, m)
	testutil.Eventually(t, soon, "there is something on nodes", func() (bool, string) {
		return len(o.objects(t, "nodes")) > 0, ""
	})
	before := o.identities(t, m)
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	o.start(t)
	o.await(t, m, "it says that the version is unknown", func(m *v1alpha1.Mesh) bool {
		return strings.Contains(message(m, v1alpha1.ConditionStalled), "is not in the catalogue")
	})
	// Another mesh asks for what is shared.
	other := o.mesh(t, "other", "1.31.0")
	o.await(t, other, "what is shared was looked at", func(m *v1alpha1.Mesh) bool {
		return strings.Contains(message(m, v1alpha1.ConditionStalled), "the definitions of Istio's kinds are of version "+version)
	})
	if after := o.identities(t, m); !slices.Equal(before, after) {
		t.Errorf("of %d objects, %d are left or are others", len(before), len(after))
	}
	if err := o.versions.Add(source); err != nil {
		t.Fatal(err)
	}
	o.applied(t, m)
	if after := o.identities(t, m); !slices.Equal(before, after) {
		t.Errorf("of %d objects, %d are left or are others", len(before), len(after))
	}
	// Others get the newest 1.31 that there is without it, and only who knows the version takes its definitions away.
	o.uninstall(t, m)
	o.uninstall(t, other)
	testutil.Eventually(t, soon, "its definitions are gone", func() (bool, string) {
		left := o.objects(t, "definitions")
		return len(left) == 0, fmt.Sprintf("there are %d", len(left))
	})
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	o.start(t)
}
