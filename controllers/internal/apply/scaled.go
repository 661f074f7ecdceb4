// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
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
	for _, hpa := range hpas.inNamespace(ref.Namespace) {
		tree, err := hpa.fields()
		if err != nil {
			continue
		}
		target, _ := lookup(tree, []string{"spec", "scaleTargetRef"})
		t, _ := target.(fields)
		version, _ := t["apiVersion"].(string)
		group, _, _ := strings.Cut(version, "/")
		if group == ref.Group && t["kind"] == ref.Kind && t["name"] == ref.Name && hpa.DeletionTimestamp == nil {
			return true
		}
	}
	return false
}
