// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/doorway"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

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

// planeOf is a plane of a version as a mesh has it.
func planeOf(t testing.TB, e catalogue.Entry) *render.Plane {
	t.Helper()
	c, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	charts, err := c.Charts(e)
	if err != nil {
		t.Fatal(err)
	}
	return &render.Plane{
		Mesh: "prod", Namespace: "istio-system", Revision: "prod-1", Charts: charts, Entry: e, Kubernetes: "v1.37.2",
	}
}

// newest is a plane of the newest version.
func newest(t testing.TB) *render.Plane {
	t.Helper()
	all := versions(t)
	return planeOf(t, all[len(all)-1])
}

const (
	minimal = `{name: ingress, namespace: edge}`
	full    = `
name: shop
namespace: edge
hosts: [shop.example.com, "*.example.org", "*"]
ports: [{port: 80, protocol: HTTP}, {port: 8080, protocol: HTTP}, {port: 443, protocol: HTTPS}]
tls: {secretName: shop-tls, httpsRedirect: true}
routes:
- {pathPrefix: /, service: {name: web}}
- {pathPrefix: /api, service: {name: api, namespace: backend, port: 8443}}
- {hosts: [shop.example.com], pathPrefix: /cart/, service: {name: cart, port: 80}}
- {hosts: ["*.example.org", shop.example.com], pathPrefix: /docs, service: {name: docs}}
- {hosts: [a.example.org], pathPrefix: /, service: {name: a}}
service:
  type: LoadBalancer
  annotations: {example.com/size: "2"}
  externalTrafficPolicy: Cluster
  loadBalancerClass: example.com/edge
scaling: {minReplicas: 3, maxReplicas: 9, targetCPUUtilization: 60}
`
)

// fullValues are those of a mesh that has something to say to gateways.
var fullValues = map[string]any{"global": map[string]any{
	"imagePullPolicy": "IfNotPresent", "imagePullSecrets": []any{"pull"}, "platform": "openshift",
	"proxy": map[string]any{"clusterDomain": "example.local"},
}}

func gatewayOf(t testing.TB, text string) v1alpha1.MeshGateway {
	t.Helper()
	var out v1alpha1.MeshGateway
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// doorways are the objects of a gateway and of the mode Strict.
func doorways(t testing.TB, plane *render.Plane, gateways ...string) []client.Object {
	t.Helper()
	var all []v1alpha1.MeshGateway
	for _, text := range gateways {
		all = append(all, gatewayOf(t, text))
	}
	out, err := doorway.Gateways(plane, all)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, doorway.PeerAuthentication(plane, v1alpha1.MTLSStrict)...)
}

// TestGolden renders a gateway that says as little as possible and one that says everything, of every version.
func TestGolden(t *testing.T) {
	for _, e := range versions(t) {
		for name, text := range map[string]string{"minimal": minimal, "full": full} {
			t.Run(e.Version.String()+"-"+name, func(t *testing.T) {
				plane := planeOf(t, e)
				if name == "full" {
					plane.Values = fullValues
				}
				compare(t, e.Version.String()+"-"+name, documents(t, doorways(t, plane, text)))
			})
		}
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

func documents(t *testing.T, objects []client.Object) []byte {
	t.Helper()
	var out [][]byte
	for _, o := range objects {
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		delete(tree, "status")
		text, err := yaml.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	return bytes.Join(slices.Clip(out), []byte("---\n"))
}
