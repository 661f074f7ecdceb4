// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package values checks and merges the values that a person gives for Istio's charts. Charts ignore a key that they do not know, so that a
// misspelled one has no effect and no error; here it is refused by name.
package values

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// Problem is one thing that is wrong with values.
type Problem struct {
	// Path is dotted, like pilot.resources.
	Path    string
	Message string
}

func (p Problem) String() string { return p.Path + ": " + p.Message }

// owned are the keys that follow from other fields, by path.
var owned = map[string]string{
	"revision":                            "the operator names revisions",
	"revisionTags":                        "the operator moves the tags",
	"defaultRevision":                     "the operator says which revision is the default",
	"profile":                             "set spec.profile",
	"istioNamespace":                      "set spec.namespace",
	"resourceName":                        "a cluster has one ztunnel, and istiod trusts it by its name",
	"resourceScope":                       "the operator installs all of it",
	"operatorManageWebhooks":              "istiod's webhooks are part of the installation",
	"trustedZtunnelNamespace":             "it follows from where ztunnel is",
	"trustedZtunnelName":                  "a cluster has one ztunnel, and istiod trusts it by its name",
	"ownerName":                           "the operator marks what it owns",
	"base.enableCRDTemplates":             "all meshes share the CRDs",
	"base.excludedCRDs":                   "all meshes share the CRDs",
	"base.enableIstioConfigCRDs":          "all meshes share the CRDs",
	"global.istioNamespace":               "set spec.namespace",
	"global.profile":                      "set spec.profile",
	"global.resourceScope":                "the operator installs all of it",
	"global.operatorManageWebhooks":       "istiod's webhooks are part of the installation",
	"istiodRemote.enabled":                "set spec.profile to remote",
	"meshConfig.rootNamespace":            "it is spec.namespace",
	"global.omitSidecarInjectorConfigMap": "set spec.profile to remote",
}

// scopes are the sections that stand for a chart's own top level.
var scopes = []string{"pilot", "cni", "ztunnel"}

// Check tells what is wrong with values, in the order of their paths: keys that no chart of this version knows, keys that follow from other
// fields, a map where one value belongs and the reverse, and a meshConfig that Istio's API does not know. Values are those of the chart istiod, with
// the sections pilot, cni and ztunnel for the charts of these names.
func Check(charts *catalogue.Charts, values map[string]any) []Problem {
	c := checker{}
	c.section("", known(charts), values)
	if mesh, ok := values["meshConfig"]; ok && mesh != nil {
		c.problems = append(c.problems, checkMeshConfig("meshConfig", mesh)...)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return slices.Compact(c.problems)
}

type checker struct{ problems []Problem }

func (c *checker) report(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) section(path string, node *node, values map[string]any) {
	for key, value := range values {
		at := join(path, key)
		if why, ok := owned[unscoped(at)]; ok {
			c.report(at, "belongs to the operator: %s", why)
			continue
		}
		child := node.children[key]
		if child == nil {
			c.report(at, "unknown%s", nearest(key, node.names()))
			continue
		}
		// Helm takes null as the wish to have the default value removed.
		if value != nil {
			c.value(at, child, value)
		}
	}
}

func (c *checker) value(path string, node *node, value any) {
	section, isMap := value.(map[string]any)
	_, isList := value.([]any)
	_, isBool := value.(bool)
	switch {
	case node.shape == anything:
	case node.shape == mapping && !isMap:
		c.report(path, "must be a map")
	case node.shape == list && !isList:
		c.report(path, "must be a list")
	case node.shape == boolean && !isBool:
		// A template takes every text as true, "false" as well.
		c.report(path, "must be true or false")
	case node.shape == scalar && (isMap || isList):
		c.report(path, "must be one value")
	case isMap && !node.free():
		c.section(path, node, section)
	}
}

// unscoped takes the section of a chart off a path.
func unscoped(path string) string {
	for _, scope := range scopes {
		if rest, ok := strings.CutPrefix(path, scope+"."); ok {
			return rest
		}
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
