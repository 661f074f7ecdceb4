// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

var update = flag.Bool("update", false, "write config/rbac/istio_role.yaml")

const (
	istioRole = "../../config/rbac/istio_role.yaml"
	// rolesOn is the cluster that charts are rendered for.
	rolesOn = "v1.37.2"
)

// TestIstioRole: the operator holds what Istio's charts grant in any version of the catalogue and any profile, and nothing
// more for that reason. Where charts grant other rights, go test ./controllers/setup -run TestIstioRole -update writes
// them down, for a person to look at.
func TestIstioRole(t *testing.T) {
	want := istioRoleFile(granted(t))
	if *update {
		if err := os.WriteFile(istioRole, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(istioRole)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what charts grant; after a look run go test ./controllers/setup -run TestIstioRole -update. It should be\n%s", istioRole, want)
	}
}

// TestIstioRoleWildcards: what Istio's own charts grant without naming it is known. A new one is for a person to look at.
func TestIstioRoleWildcards(t *testing.T) {
	var got []string
	for _, rule := range granted(t) {
		if slices.Contains(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), "*") {
			got = append(got, ruleText(rule))
		}
	}
	var want []string
	for _, group := range []string{
		"authentication.istio.io", "config.istio.io", "extensions.istio.io", "gateway.networking.k8s.io", "gateway.networking.x-k8s.io",
		"networking.istio.io", "rbac.istio.io", "security.istio.io", "telemetry.istio.io",
	} {
		want = append(want, ruleText(rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}}))
	}
	want = append(want, ruleText(rbacv1.PolicyRule{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"ingresses/status"}, Verbs: []string{"*"}}))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("wildcards in what charts grant:\n%s\nwant\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
}

// granted are the rules of all roles that charts make.
func granted(t *testing.T) []rbacv1.PolicyRule {
	t.Helper()
	versions, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	var all []render.Object
	for _, entry := range versions.Entries() {
		charts, err := versions.Charts(entry)
		if err != nil {
			t.Fatal(err)
		}
		for _, profile := range charts.Profiles() {
			for _, values := range variants(profile) {
				all = append(all, roles(t, charts, entry, profile, values)...)
			}
		}
	}
	// Namespaces of meshes are not known before: what Roles grant is held everywhere.
	cluster, namespaced := render.Grants(all)
	both, _ := render.Grants([]render.Object{&rbacv1.ClusterRole{Rules: slices.Concat(cluster, namespaced)}})
	return both
}

// variants are values by which charts grant more. Left out are those that few ask for and that grant much, like the
// approval of certificates or the tainting of nodes: whoever sets them has to give the operator the right, too.
func variants(profile string) []map[string]any {
	switch profile {
	case "remote":
		return []map[string]any{{"global": map[string]any{"remotePilotAddress": "192.0.2.1"}}}
	case render.ProfileDefault:
		return []map[string]any{
			nil,
			{"global": map[string]any{"platform": "openshift"}},
			{"cni": map[string]any{"repair": map[string]any{"repairPods": false, "labelPods": true}}},
			{"cni": map[string]any{"repair": map[string]any{"repairPods": false, "deletePods": true}}},
		}
	default:
		return []map[string]any{nil}
	}
}

// roles are all objects of one mesh with everything that it can have.
func roles(t *testing.T, charts *catalogue.Charts, entry catalogue.Entry, profile string, values map[string]any) []render.Object {
	t.Helper()
	plane := render.Plane{
		Mesh: "m", Namespace: "istio", Revision: "m", Charts: charts, Entry: entry, Profile: profile, Values: values, Kubernetes: rolesOn,
		Default: true, Ambient: profile == render.ProfileAmbient,
	}
	nodes := render.Nodes{
		Namespace: "istio", MeshNamespace: "istio", Revision: "m", Charts: charts, Entry: entry, Profile: profile, Values: values,
		Kubernetes: rolesOn, Ambient: true,
	}
	var out []render.Object
	for _, objects := range []func() ([]render.Object, error){plane.Objects, plane.Common, nodes.Objects} {
		more, err := objects()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, more...)
	}
	return out
}

const istioRoleHead = `# What Istio's charts grant to istiod, istio-cni and gateways, in any version and profile that the operator installs. It makes
# these roles, and the API server lets nobody grant what he does not hold. A test generates this file from the charts and
# fails where it differs; docs/operations.md weighs it. The wildcards are Istio's own.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: istio
  labels:
    app.kubernetes.io/name: fairlead
    app.kubernetes.io/managed-by: kustomize
rules:
`

func istioRoleFile(rules []rbacv1.PolicyRule) string {
	var out strings.Builder
	out.WriteString(istioRoleHead)
	for _, rule := range rules {
		out.WriteString(ruleText(rule))
	}
	return out.String()
}

func ruleText(rule rbacv1.PolicyRule) string {
	var out strings.Builder
	line := func(before, key string, values []string) {
		if len(values) == 0 {
			return
		}
		quoted := make([]string, len(values))
		for i, value := range values {
			quoted[i] = value
			if value == "" || value == "*" {
				quoted[i] = fmt.Sprintf("%q", value)
			}
		}
		_, _ = fmt.Fprintf(&out, "%s%s: [%s]\n", before, key, strings.Join(quoted, ", "))
	}
	if len(rule.NonResourceURLs) > 0 {
		line("- ", "nonResourceURLs", rule.NonResourceURLs)
	} else {
		line("- ", "apiGroups", rule.APIGroups)
		line("  ", "resources", rule.Resources)
		line("  ", "resourceNames", rule.ResourceNames)
	}
	line("  ", "verbs", rule.Verbs)
	return out.String()
}
