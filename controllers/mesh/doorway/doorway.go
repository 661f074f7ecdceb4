// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doorway makes what a mesh has at its edge: gateways with their proxies, hosts and routes, and the mode of its
// connections. It is pure: the same input gives the same objects in the same order.
package doorway

import (
	"cmp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// Istio's kinds.
var (
	gatewayKind            = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "Gateway"}
	virtualServiceKind     = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"}
	peerAuthenticationKind = schema.GroupVersionKind{Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"}
)

// defaultClusterDomain is the domain of Services where values name none.
const defaultClusterDomain = "cluster.local"

// Gateways are all objects of gateways that get their configuration from a plane, in the order of the gateways: the proxies
// by Istio's own chart, then the Gateway and the VirtualServices.
func Gateways(plane *render.Plane, gateways []v1alpha1.MeshGateway) ([]client.Object, error) {
	var out []client.Object
	for i := range gateways {
		g := &gateways[i]
		proxies, err := plane.Gateway(string(g.Namespace), g.Name, proxyValues(plane, g))
		if err != nil {
			return nil, err
		}
		for _, o := range proxies {
			out = append(out, o)
		}
		if len(g.Hosts) > 0 {
			out = append(out, gateway(g))
		}
		out = append(out, virtualServices(g, clusterDomain(plane))...)
	}
	return out, nil
}

// PeerAuthentication says what connections the workloads of a plane's mesh take, by an object in its root namespace; none
// for no mode.
func PeerAuthentication(plane *render.Plane, mode v1alpha1.MTLSMode) []client.Object {
	modes := map[v1alpha1.MTLSMode]string{
		v1alpha1.MTLSStrict: "STRICT", v1alpha1.MTLSPermissive: "PERMISSIVE", v1alpha1.MTLSDisable: "DISABLE",
	}
	if modes[mode] == "" {
		return nil
	}
	// Istio takes the one of this name in the root namespace for the mesh's.
	return []client.Object{object(peerAuthenticationKind, plane.Namespace, "default", map[string]any{
		"mtls": map[string]any{"mode": modes[mode]},
	})}
}

func clusterDomain(plane *render.Plane) string {
	domain, _ := values.Get(plane.Values, "global", "proxy", "clusterDomain")
	text, _ := domain.(string)
	return cmp.Or(text, defaultClusterDomain)
}

func object(kind schema.GroupVersionKind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	out.SetGroupVersionKind(kind)
	out.SetNamespace(namespace)
	out.SetName(name)
	return out
}

// Kinds are Istio's kinds that the objects are of, beside those that charts make. Istio's definitions make them, which come
// with the first mesh.
func Kinds() []apply.Kind {
	return []apply.Kind{
		{GVK: gatewayKind, Resource: "gateways", Selective: true, Optional: true},
		{GVK: virtualServiceKind, Resource: "virtualservices", Selective: true, Optional: true},
		{GVK: peerAuthenticationKind, Resource: "peerauthentications", Selective: true, Optional: true},
	}
}
