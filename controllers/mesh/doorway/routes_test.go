// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

const manyRoutes = `
name: shop
namespace: edge
hosts: [shop.example.com, other.example.com, "*.example.org", "*.a.example.org", "*"]
routes:
- {pathPrefix: /, service: {name: any}}
- {pathPrefix: /api, service: {name: any-api}}
- {hosts: [shop.example.com], pathPrefix: /api, service: {name: shop-api}}
- {hosts: [shop.example.com], pathPrefix: /api/v2/, service: {name: shop-api-v2}}
- {hosts: ["*"], pathPrefix: /wild, service: {name: wild}}
- {hosts: ["*.example.org", shop.example.com], pathPrefix: /docs, service: {name: docs}}
- {hosts: ["*.example.org"], pathPrefix: /docs/a/b, service: {name: docs-long}}
- {hosts: ["*.a.example.org"], pathPrefix: /docs, service: {name: near-docs}}
- {hosts: [x.a.example.org], pathPrefix: /, service: {name: exact}}
`

// TestRoutes asks, as a proxy does, where requests go.
func TestRoutes(t *testing.T) {
	services := istio(doorways(t, newest(t), manyRoutes), "VirtualService")
	for request, want := range map[string]string{
		"shop.example.com/":              "any",
		"shop.example.com/api":           "shop-api",
		"shop.example.com/api/x":         "shop-api",
		"shop.example.com/apiary":        "any",
		"shop.example.com/api/v2":        "shop-api-v2",
		"shop.example.com/api/v2/x":      "shop-api-v2",
		"shop.example.com/api/v20":       "shop-api",
		"shop.example.com/docs":          "docs",
		"shop.example.com/wild/x":        "wild",
		"other.example.com/api":          "any-api",
		"other.example.com/docs":         "any",
		"x.example.org/docs/a":           "docs",
		"x.example.org/docs/a/b":         "docs-long",
		"y.a.example.org/docs/a/b":       "near-docs",
		"y.a.example.org/api":            "any-api",
		"x.a.example.org/docs/a/b":       "exact",
		"x.a.example.org/api":            "exact",
		"example.org/docs":               "any",
		"unknown.example.net/wild":       "wild",
		"unknown.example.net/wilderness": "any",
	} {
		host, path, _ := strings.Cut(request, "/")
		if got := answers(services, host, "/"+path); got != want {
			t.Errorf("%s goes to %q, want %q", request, got, want)
		}
		if oracle := documented(gatewayOf(t, manyRoutes), host, "/"+path); oracle != want {
			t.Errorf("%s should go to %q by the API, and the test wants %q", request, oracle, want)
		}
	}
}

// TestEveryRequest compares with the order that the API documents, for all hosts and paths that make a difference.
func TestEveryRequest(t *testing.T) {
	hosts := []string{
		"shop.example.com", "other.example.com", "example.com", "x.example.org", "x.a.example.org", "y.a.example.org", "a.example.org", "b",
	}
	var paths []string
	for _, base := range []string{"", "/api", "/api/v2", "/docs", "/docs/a/b", "/wild", "/a"} {
		for _, end := range []string{"", "/", "/x", "x", "/x/"} {
			if path := base + end; strings.HasPrefix(path, "/") {
				paths = append(paths, path)
			}
		}
	}
	for name, text := range map[string]string{"many": manyRoutes, "full": full} {
		services := istio(doorways(t, newest(t), text), "VirtualService")
		for _, host := range hosts {
			for _, path := range paths {
				if got, want := answers(services, host, path), documented(gatewayOf(t, text), host, path); got != want {
					t.Errorf("%s: %s%s goes to %q, want %q", name, host, path, got, want)
				}
			}
		}
	}
}

// TestNames has objects keep their names when routes of other hosts come.
func TestNames(t *testing.T) {
	names := func(routes string) map[string]string {
		out := map[string]string{}
		for _, o := range istio(doorways(t, newest(t), `{name: a, namespace: b, hosts: [x.y, "*.y"], routes: [`+routes+`]}`), "VirtualService") {
			hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
			for _, host := range hosts {
				if out[host] != "" {
					t.Errorf("host %s is in %s and %s", host, out[host], o.GetName())
				}
				out[host] = o.GetName()
			}
		}
		return out
	}
	for routes, want := range map[string]int{
		`{service: {name: s}}`:                                                        1,
		`{hosts: [x.y], service: {name: s}}`:                                          1,
		`{hosts: ["*.y"], service: {name: s}}`:                                        1,
		`{hosts: [z.y], service: {name: s}}, {service: {name: t}}`:                    2,
		`{hosts: [z.y], pathPrefix: /a, service: {name: s}}, {service: {name: s}}`:    2,
		`{hosts: [z.y, v.y], service: {name: s}}, {hosts: [x.y], service: {name: s}}`: 2,
	} {
		got := names(routes)
		distinct := map[string]bool{}
		for _, name := range got {
			distinct[name] = true
		}
		if len(distinct) != want || got["x.y"] != "" && got["x.y"] != "a" || got["z.y"] == "a" {
			t.Errorf("%s: got %v, want %d objects", routes, got, want)
		}
	}
}

// answers is the Service that a proxy sends a request to: by the nearest host alone, then by the first route that matches.
func answers(services []*unstructured.Unstructured, host, path string) string {
	var nearest *unstructured.Unstructured
	best := -1
	for _, o := range services {
		hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hosts")
		for _, h := range hosts {
			ending, wildcard := strings.CutPrefix(h, "*")
			if (h == host || wildcard && strings.HasSuffix(host, ending)) && len(ending) > best {
				nearest, best = o, len(ending)
			}
		}
	}
	if nearest == nil {
		return ""
	}
	routes, _, _ := unstructured.NestedSlice(nearest.Object, "spec", "http")
	for _, r := range routes {
		route := r.(map[string]any)
		matches, _, _ := unstructured.NestedSlice(route, "match")
		for _, m := range matches {
			exact, isExact, _ := unstructured.NestedString(m.(map[string]any), "uri", "exact")
			prefix, isPrefix, _ := unstructured.NestedString(m.(map[string]any), "uri", "prefix")
			if isExact && path == exact || isPrefix && strings.HasPrefix(path, prefix) {
				destinations, _, _ := unstructured.NestedSlice(route, "route")
				to, _, _ := unstructured.NestedString(destinations[0].(map[string]any), "destination", "host")
				name, _, _ := strings.Cut(to, ".")
				return name
			}
		}
	}
	return ""
}

// documented is the Service that the API's documentation names.
func documented(g v1alpha1.MeshGateway, host, path string) string {
	const exact = 1000
	name, best, longest := "", -1, -1
	for _, r := range g.Routes {
		near := 0
		if len(r.Hosts) > 0 {
			near = -1
		}
		for _, h := range r.Hosts {
			switch ending, wildcard := strings.CutPrefix(string(h), "*"); {
			case string(h) == host:
				near = exact
			case wildcard && strings.HasSuffix(host, ending):
				near = max(near, 1+len(ending))
			}
		}
		elements := strings.TrimSuffix(string(r.PathPrefix), "/") + "/"
		if near < 0 || !strings.HasPrefix(strings.TrimSuffix(path, "/")+"/", elements) {
			continue
		}
		if near > best || near == best && len(elements) > longest {
			name, best, longest = r.Service.Name, near, len(elements)
		}
	}
	return name
}
