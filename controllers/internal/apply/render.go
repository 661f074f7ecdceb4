// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// rendered is one desired object with our marks on it.
type rendered struct {
	ref  Ref
	tree fields
	hash string
}

// render turns a typed object into its fields and adds the marks.
func (e *Engine) render(set string, object client.Object) (rendered, error) {
	ref, err := e.ref(object)
	if err != nil {
		return rendered{}, fmt.Errorf("render %s: %w", object.GetName(), err)
	}
	if _, ok := e.caches[ref.GroupVersionKind]; !ok {
		return rendered{}, fmt.Errorf("render %s: the engine was not told of kind %s", ref, ref.Kind)
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return rendered{}, fmt.Errorf("render %s: %w", ref, err)
	}
	// Through JSON once, so that numbers have the types that parsed live objects have.
	text, err := json.Marshal(ownFields(raw))
	if err != nil {
		return rendered{}, fmt.Errorf("render %s: %w", ref, err)
	}
	tree, err := parse(text)
	if err != nil {
		return rendered{}, fmt.Errorf("render %s: %w", ref, err)
	}
	sum := sha256.Sum256(append(text, set...))
	hash := hex.EncodeToString(sum[:8])
	mark(tree, "labels", v1alpha1.LabelManagedBy, v1alpha1.ManagedBy)
	mark(tree, "annotations", v1alpha1.AnnotationSet, set)
	mark(tree, "annotations", v1alpha1.AnnotationRendered, hash)
	return rendered{ref: ref, tree: tree, hash: hash}, nil
}

// ref names a typed object.
func (e *Engine) ref(object client.Object) (Ref, error) {
	gvk, err := apiutil.GVKForObject(object, e.scheme)
	return Ref{GroupVersionKind: gvk, NamespacedName: client.ObjectKeyFromObject(object)}, err
}

func mark(tree fields, where, key, value string) {
	meta, ok := tree["metadata"].(fields)
	if !ok {
		meta = fields{}
		tree["metadata"] = meta
	}
	marks, ok := meta[where].(fields)
	if !ok {
		marks = fields{}
		meta[where] = marks
	}
	marks[key] = value
}
