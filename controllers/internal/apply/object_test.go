// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// TestMirrored: an EndpointSlice that Kubernetes makes of Endpoints bears their marks, and is not ours to prune.
func TestMirrored(t *testing.T) {
	for by, ours := range map[string]bool{"": true, v1alpha1.ManagedBy: true, "endpointslicemirroring-controller.k8s.io": false} {
		u := &unstructured.Unstructured{Object: fields{}}
		u.SetAnnotations(map[string]string{v1alpha1.AnnotationSet: "mesh/a", v1alpha1.AnnotationRendered: "x"})
		if by != "" {
			u.SetLabels(map[string]string{"endpointslice.kubernetes.io/managed-by": by})
		}
		obj, err := compact(u)
		if err != nil {
			t.Fatal(err)
		}
		if (obj.set != "") != ours || (obj.rendered != "") != ours {
			t.Errorf("managed by %q, it is of the set %q", by, obj.set)
		}
	}
}
