// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"errors"
	"fmt"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// Nodes is what runs on every node: istio-cni, and ztunnel for ambient. A cluster has one set of it, whose names have no revision.
type Nodes struct {
	// Namespace is where the pods are.
	Namespace string
	Charts    *catalogue.Charts
	Entry     catalogue.Entry
	Profile   string
	// Values are a person's, checked; of them the sections cni, ztunnel, global and meshConfig count.
	Values     map[string]any
	Kubernetes string
	// Ambient says that ztunnels run. They ask the control plane of Revision in MeshNamespace.
	Ambient                 bool
	Revision, MeshNamespace string
	// ManagedBy stands in the labels of pods; empty means this operator.
	ManagedBy string
}

// Objects are all of them.
func (n *Nodes) Objects() ([]Object, error) {
	if n.Charts == nil || n.Namespace == "" || n.MeshNamespace == "" {
		return nil, errors.New("nodes: charts and namespaces are required")
	}
	if err := texts(n.Namespace, n.MeshNamespace, n.Revision); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	cni, err := n.cni()
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	out, err := n.release(catalogue.CNI, ReleaseCNI, cni).objects()
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	if n.Ambient {
		tunnels, err := n.ztunnel()
		if err != nil {
			return nil, fmt.Errorf("nodes: %w", err)
		}
		more, err := n.release(catalogue.ZTunnel, ReleaseZTunnel, tunnels).objects()
		if err != nil {
			return nil, fmt.Errorf("nodes: %w", err)
		}
		out = append(out, more...)
	}
	return arrange(out, n.Namespace)
}

func (n *Nodes) release(chart, name string, given map[string]any) release {
	return release{
		charts: n.Charts, chart: chart, name: name, by: n.ManagedBy, namespace: n.Namespace, kubernetes: n.Kubernetes, values: given,
	}
}

func (n *Nodes) cni() (map[string]any, error) {
	chosen, err := profile(n.Charts, catalogue.CNI, n.Profile, n.Ambient)
	if err != nil {
		return nil, err
	}
	given := pick(n.Values, "cni", "global", "compatibilityVersion")
	return values.Merge(images(n.Charts, catalogue.CNI, n.Entry), chosen, given, map[string]any{"revision": n.Revision}), nil
}

func (n *Nodes) ztunnel() (map[string]any, error) {
	chosen, err := profile(n.Charts, catalogue.ZTunnel, n.Profile, n.Ambient)
	if err != nil {
		return nil, err
	}
	own, _ := n.Values["ztunnel"].(map[string]any)
	shared := pick(n.Values, "global", "meshConfig", "compatibilityVersion")
	return values.Merge(images(n.Charts, catalogue.ZTunnel, n.Entry), chosen, shared, own, map[string]any{
		"revision": n.Revision, "istioNamespace": n.MeshNamespace,
	}), nil
}

// pick are the values of some keys.
func pick(from map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, key := range keys {
		if value, ok := from[key]; ok {
			out[key] = value
		}
	}
	return out
}
