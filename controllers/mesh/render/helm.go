// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// release is one chart with its values. Helm's engine is used as a library: nothing is asked of a cluster, and nothing is stored in one.
type release struct {
	charts *catalogue.Charts
	chart  string
	// without are templates that are left out.
	without []string
	// name and by stand in labels, those of pods included.
	name, by, namespace string
	kubernetes          string
	values              map[string]any
}

func bufferedReader(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// texts refuses names that are texts in Kubernetes and something else in YAML, like y and 123: charts write them without quotes.
func texts(names ...string) error {
	for _, name := range names {
		var read any
		if err := yaml.Unmarshal([]byte(name), &read); name != "" && (err != nil || read != name) {
			return fmt.Errorf("the charts of Istio cannot have %q as a name: it is no text in YAML", name)
		}
	}
	return nil
}

// objects renders the chart.
func (r release) objects() ([]Object, error) {
	version, err := common.ParseKubeVersion(r.kubernetes)
	if err != nil {
		return nil, fmt.Errorf("version %q of Kubernetes: %w", r.kubernetes, err)
	}
	chart, err := r.charts.Chart(r.chart, r.without...)
	if err != nil {
		return nil, err
	}
	if r.by == "" {
		r.by = v1alpha1.ManagedBy
	}
	rendered, err := engine.Engine{}.RenderWithContext(context.Background(), chart, common.Values{
		"Capabilities": &common.Capabilities{KubeVersion: *version, APIVersions: common.DefaultVersionSet},
		// As an upgrade, charts leave alone what istiod changes after its first start.
		"Release": map[string]any{
			"Name": r.name, "Namespace": r.namespace, "Service": r.by, "Revision": 1, "IsUpgrade": true, "IsInstall": false,
		},
		// Templates change what they are given.
		"Values": values.Merge(chart.Values, r.values),
	})
	if err != nil {
		return nil, fmt.Errorf("chart %s of Istio %s: %w", r.chart, r.charts.Version, err)
	}
	var out []Object
	for _, path := range slices.Sorted(maps.Keys(rendered)) {
		if !strings.HasSuffix(path, ".yaml") {
			continue
		}
		made, err := objects(rendered[path], r.namespace)
		if err != nil {
			return nil, fmt.Errorf("%s of Istio %s: %w", path, r.charts.Version, err)
		}
		out = append(out, made...)
	}
	return out, nil
}
