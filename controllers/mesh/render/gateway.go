// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// Gateway are the proxies of a doorway, which get their configuration from this plane. given are values of the chart gateway; of the plane's
// own values count those that say where a cluster runs and how images are pulled.
func (p *Plane) Gateway(namespace, name string, given map[string]any) ([]Object, error) {
	wrap := func(err error) error { return p.wrap(fmt.Errorf("gateway %s/%s: %w", namespace, name, err)) }
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := texts(namespace, name); err != nil {
		return nil, wrap(err)
	}
	global, _ := p.Values["global"].(map[string]any)
	r := p.release(catalogue.Gateway, name, values.Merge(
		images(p.Charts, catalogue.Gateway, p.Entry),
		pick(p.Values, "platform"), map[string]any{"global": pick(global, "platform", "imagePullPolicy", "networkPolicy")},
		given, map[string]any{"name": name, "revision": p.Revision},
	))
	r.by, r.namespace = "", namespace
	out, err := r.objects()
	if err != nil {
		return nil, wrap(err)
	}
	out, err = arrange(out, namespace)
	if err != nil {
		return nil, wrap(err)
	}
	return out, nil
}
