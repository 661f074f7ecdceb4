// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// LabelVersion tells the version of Istio that an object was made by.
const LabelVersion = "app.kubernetes.io/version"

// Shared are the definitions of Istio's kinds, of which a cluster has one set: that of the newest version. They depend on no values.
func Shared(charts *catalogue.Charts, kubernetes string) ([]Object, error) {
	out, err := release{
		charts: charts, chart: catalogue.Base, name: ReleaseBase, namespace: "istio-system", kubernetes: kubernetes,
		without: []string{
			"reader-serviceaccount.yaml", "defaultrevision-validatingadmissionpolicy.yaml", "defaultrevision-validatingwebhookconfiguration.yaml",
		},
	}.objects()
	if err != nil {
		return nil, fmt.Errorf("definitions of Istio %s: %w", charts.Version, err)
	}
	return arrange(out)
}

// VersionOf is the version of Istio that an object's labels tell: those that Shared makes, and Helm's chart and istioctl's for definitions
// that others installed. It is false where they tell none.
func VersionOf(labels map[string]string) (catalogue.Version, bool) {
	for _, text := range []string{labels[LabelVersion], labels["operator.istio.io/version"], chartVersion(labels["helm.sh/chart"])} {
		if v, err := catalogue.ParseVersion(text); err == nil && (v != catalogue.Version{Major: 1}) {
			return v, true
		}
	}
	return catalogue.Version{}, false
}

// chartVersion takes the version from a label like base-1.31.0-rc.1.
func chartVersion(label string) string {
	for i := range label {
		if label[i] == '-' && i+1 < len(label) && label[i+1] >= '0' && label[i+1] <= '9' {
			return label[i+1:]
		}
	}
	return ""
}
