// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var autoscaler = schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}

// scaled reports whether the replicas of an object are an autoscaler's to set: one targets it, and they
// are not 0, which would switch the autoscaler off. Autoscalers of anybody count, so their cache must not
// be selective. Of the same set counts what is desired: where somebody deletes it, the number of replicas under load
// must not fall to what they began with; and one that is about to be pruned counts no more.
func (e *Engine) scaled(kind Kind, ref Ref, have fields, set *Set) bool {
	ex := kind.exemptions()
	if ex.scaled == "" {
		return false
	}
	if replicas, ok := lookup(have, split(ex.scaled)); ok && replicas == int64(0) {
		return false
	}
	return e.autoscaled(ref, set)
}

// autoscaled reports whether there is an autoscaler of an object, or will be.
func (e *Engine) autoscaled(ref Ref, set *Set) bool {
	if slices.ContainsFunc(set.Objects, func(object client.Object) bool { return scales(object, ref) }) {
		return true
	}
	hpas, ok := e.caches[autoscaler]
	if !ok {
		return false
	}
	scalers := hpas.byIndex(indexTarget, targetKey(ref.Namespace, ref.Group, ref.Kind, ref.Name))
	return slices.ContainsFunc(scalers, func(hpa *Object) bool { return hpa.DeletionTimestamp == nil && hpa.set != set.Key })
}

// scales reports whether a desired object is an autoscaler of another one.
func scales(object client.Object, ref Ref) bool {
	hpa, ok := object.(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok || hpa.Namespace != ref.Namespace {
		return false
	}
	target := hpa.Spec.ScaleTargetRef
	group, _, _ := strings.Cut(target.APIVersion, "/")
	return group == ref.Group && target.Kind == ref.Kind && target.Name == ref.Name
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
