// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// shape is what a value has to be.
type shape int

const (
	anything shape = iota
	mapping
	list
	boolean
	scalar
)

// node is a key that charts know.
type node struct {
	shape    shape
	children map[string]*node
	// open maps take keys that no chart names.
	open bool
}

// free says that what is below is not looked at.
func (n *node) free() bool { return n.open || len(n.children) == 0 }

func (n *node) names() []string { return slices.Sorted(maps.Keys(n.children)) }

func (n *node) child(key string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	if n.children[key] == nil {
		n.children[key] = &node{}
	}
	return n.children[key]
}

// open are maps whose keys are the person's, wherever they stand. A map whose default value is empty is one, too.
var open = map[string]bool{
	"env": true, "resources": true, "requests": true, "limits": true, "nodeSelector": true, "affinity": true, "seccompProfile": true,
	"securityContext": true, "seLinuxOptions": true, "updateStrategy": true, "podAnnotations": true, "podLabels": true, "meshConfig": true,
	"annotations": true, "labels": true,
}

// commented are keys that a chart's values.yaml names in a comment only and that no template names by its whole path.
var commented = []string{
	"pdb.maxUnavailable", "pdb.minAvailable", "pdb.unhealthyPodEvictionPolicy", "global.podDNSSearchNamespaces",
	"global.readerServiceAccount.name", "global.readerServiceAccount.namespace", "global.enableReaderRBAC",
}

// known is the tree of all keys: what charts have as default values, and what their templates ask for.
func known(charts *catalogue.Charts) *node {
	root := &node{shape: mapping}
	for _, name := range []string{catalogue.Istiod, catalogue.Base, catalogue.Default} {
		root.defaults(charts.Values(name))
		root.references(charts.Texts(name))
	}
	for _, path := range commented {
		if head, _, _ := strings.Cut(path, "."); root.children[head] != nil {
			root.reference(path)
		}
	}
	// The chart copies its section to its top level, and the section as it was meant by people who know istioctl.
	istiod := &node{shape: mapping}
	istiod.defaults(charts.Values(catalogue.Istiod))
	istiod.references(charts.Texts(catalogue.Istiod))
	scoped(root, "pilot", istiod)
	for _, name := range []string{catalogue.CNI, catalogue.ZTunnel} {
		chart := &node{shape: mapping}
		chart.defaults(charts.Values(name))
		chart.references(charts.Texts(name))
		if global := chart.children["global"]; global != nil {
			root.child("global").merge(global)
		}
		scoped(root, name, chart)
	}
	for _, key := range []string{"defaults", "_original", "_internal_defaults_do_not_set"} {
		delete(root.children, key)
	}
	return root
}

// scoped adds a chart's top level as a section. What all charts share is at the top only.
func scoped(root *node, section string, chart *node) {
	for _, key := range append([]string{"global", "meshConfig", "defaults", "_original", "_internal_defaults_do_not_set", "compatibilityVersion"}, scopes...) {
		if key != "cni" || section != "pilot" {
			delete(chart.children, key)
		}
	}
	into := root.child(section)
	into.shape = mapping
	into.merge(chart)
}

func (n *node) merge(other *node) {
	if n.shape == anything {
		n.shape = other.shape
	}
	n.open = n.open || other.open
	for key, child := range other.children {
		n.child(key).merge(child)
	}
}

func (n *node) defaults(values map[string]any) {
	for key, value := range values {
		child := n.child(key)
		child.open = child.open || open[key]
		switch v := value.(type) {
		case map[string]any:
			child.shape = mapping
			child.open = child.open || len(v) == 0
			child.defaults(v)
		case []any:
			child.shape = list
		case bool:
			child.shape = boolean
		case nil:
		default:
			child.shape = scalar
		}
	}
}

var (
	referenced = regexp.MustCompile(`\.Values((?:\.[A-Za-z][A-Za-z0-9_]*)+)`)
	dug        = regexp.MustCompile(`dig((?: "[A-Za-z0-9_]*")+) [^"].*?\.Values`)
	parens     = strings.NewReplacer("(", "", ")", "")
)

// references adds the keys that templates ask for, (.Values.a.b).c among them.
func (n *node) references(texts map[string][]byte) {
	for path, text := range texts {
		if !strings.HasPrefix(path, "templates/") && !strings.HasSuffix(path, "-template.yaml") {
			continue
		}
		for _, match := range referenced.FindAllStringSubmatch(parens.Replace(string(text)), -1) {
			n.reference(match[1][1:])
		}
		for _, match := range dug.FindAllStringSubmatch(string(text), -1) {
			n.reference(strings.ReplaceAll(strings.Trim(match[1], ` "`), `" "`, "."))
		}
	}
}

func (n *node) reference(path string) {
	at := n
	for _, key := range strings.Split(path, ".") {
		if at.open || at.shape > mapping {
			return
		}
		at = at.child(key)
		at.open = at.open || open[key]
	}
}
