// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// Profiles with a meaning of their own. Default and minimal are the charts' default values: they differ in gateways only, and a profile
// makes none here.
const (
	ProfileDefault = "default"
	ProfileMinimal = "minimal"
	ProfileAmbient = "ambient"
)

// profile are the values that choose one. Where ambient is asked for beside another profile, its values stand below a person's.
func profile(charts *catalogue.Charts, chart, name string, ambient bool) (map[string]any, error) {
	if name == "" || name == ProfileMinimal {
		name = ProfileDefault
	}
	if known := charts.Profiles(); !slices.Contains(known, name) {
		return nil, fmt.Errorf("no profile %q in Istio %s, which has %s", name, charts.Version, strings.Join(known, ", "))
	}
	if ambient && name == ProfileDefault {
		name = ProfileAmbient
	}
	switch {
	case name == ProfileDefault:
		return nil, nil
	case !ambient || name == ProfileAmbient:
		return map[string]any{"profile": name}, nil
	}
	var out map[string]any
	if err := yaml.Unmarshal(charts.Texts(chart)["files/profile-"+ProfileAmbient+".yaml"], &out); err != nil {
		return nil, fmt.Errorf("profile %s of Istio %s: %w", ProfileAmbient, charts.Version, err)
	}
	return values.Set(out, name, "profile"), nil
}

// images are the values for images of a release instead of the charts' testing image, and the network policy, where the chart has one.
func images(charts *catalogue.Charts, chart string, e catalogue.Entry) map[string]any {
	global := map[string]any{"hub": e.Hub, "tag": e.Tag}
	if _, ok := values.Get(charts.Values(chart), "global", "networkPolicy"); ok {
		global["networkPolicy"] = map[string]any{"enabled": true}
	}
	return map[string]any{"global": global}
}
