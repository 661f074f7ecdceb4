// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var autoscaler = schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}

// scaled reports whether the replicas of an object are an autoscaler's to set: one targets it, and they
// are not 0, which would switch the autoscaler off. Autoscalers of anybody count, so their cache must not
// be selective.
func (e *Engine) scaled(kind Kind, ref Ref, have fields) bool {
	ex := kind.exemptions()
	hpas, ok := e.caches[autoscaler]
	if ex.scaled == "" || !ok {
		return false
	}
	if replicas, ok := lookup(have, split(ex.scaled)); ok && replicas == int64(0) {
		return false
	}
	scalers := hpas.byIndex(indexTarget, targetKey(ref.Namespace, ref.Group, ref.Kind, ref.Name))
	return slices.ContainsFunc(scalers, func(hpa *Object) bool { return hpa.DeletionTimestamp == nil })
}

// scaleTarget is the index of autoscalers by what they scale.
func scaleTarget(obj any) ([]string, error) {
	hpa, ok := obj.(*Object)
	if !ok {
		return nil, nil
	}
	tree, err := hpa.fields()
	if err != nil {
		return nil, err
	}
	found, _ := lookup(tree, []string{"spec", "scaleTargetRef"})
	target, _ := found.(fields)
	version, _ := target["apiVersion"].(string)
	kind, _ := target["kind"].(string)
	name, _ := target["name"].(string)
	group, _, _ := strings.Cut(version, "/")
	return []string{targetKey(hpa.Namespace, group, kind, name)}, nil
}

func targetKey(parts ...string) string { return strings.Join(parts, "/") }
