// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// Ref names one object in the cluster.
type Ref struct {
	schema.GroupVersionKind
	types.NamespacedName
}

// String gives the ref as a person writes it: "Kind namespace/name", or "Kind name" for cluster scope.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// fields is the tree of an object's own fields: maps, slices, strings, int64, float64, bool and nil.
type fields = map[string]any

// Object is the compact form in which the caches hold a live object. An unstructured object costs five
// to ten times the memory, and most of it is never read again.
type Object struct {
	// ObjectMeta has name, namespace, UID, resourceVersion and deletionTimestamp; nothing else is set.
	metav1.ObjectMeta

	// content is the object as canonical JSON, without status and without what the server keeps in metadata.
	content []byte
	// managed is metadata.managedFields as JSON.
	managed []byte
	// set and rendered are the values of the marks, empty on foreign objects.
	set, rendered string
	// adopt is true where a person allows us to take the object over.
	adopt bool
}

// Marked reports whether the object bears the mark of a set of ours.
func (o *Object) Marked() bool { return o.set != "" }

// fields parses the content.
func (o *Object) fields() (fields, error) { return parse(o.content) }

func parse(content []byte) (fields, error) {
	var tree fields
	if err := utiljson.Unmarshal(content, &tree); err != nil {
		return nil, fmt.Errorf("parse object: %w", err)
	}
	return tree, nil
}

// keptAnnotation leaves out the copy of the object that kubectl apply writes: it is foreign, and large.
func keptAnnotation(key string) bool { return key != corev1.LastAppliedConfigAnnotation }

// compact turns what the API server sent into an Object.
func compact(u *unstructured.Unstructured) (*Object, error) {
	annotations := u.GetAnnotations()
	obj := &Object{
		ObjectMeta: metav1.ObjectMeta{
			Name:              u.GetName(),
			Namespace:         u.GetNamespace(),
			UID:               u.GetUID(),
			ResourceVersion:   u.GetResourceVersion(),
			DeletionTimestamp: u.GetDeletionTimestamp(),
		},
		set:      annotations[v1alpha1.AnnotationSet],
		rendered: annotations[v1alpha1.AnnotationRendered],
		adopt:    annotations[v1alpha1.AnnotationAdopt] == "true",
	}
	if by := u.GetLabels()[discoveryv1.LabelManagedBy]; by != "" && by != v1alpha1.ManagedBy {
		// Kubernetes mirrors Endpoints, marks included.
		obj.set, obj.rendered = "", ""
	}
	var err error
	if obj.content, err = json.Marshal(ownFields(u.Object)); err != nil {
		return nil, fmt.Errorf("compact %s: %w", u.GetName(), err)
	}
	managed, _, _ := unstructured.NestedFieldNoCopy(u.Object, "metadata", "managedFields")
	if managed != nil {
		if obj.managed, err = json.Marshal(managed); err != nil {
			return nil, fmt.Errorf("compact %s: %w", u.GetName(), err)
		}
	}
	return obj, nil
}

// ownFields is the part of an object that a writer decides: no status, and of metadata only labels,
// annotations and owner references. It shares subtrees with the argument.
func ownFields(object fields) fields {
	out := make(fields, len(object))
	for key, value := range object {
		switch key {
		case "apiVersion", "kind", "status":
		case "metadata":
			if meta, ok := value.(fields); ok {
				out[key] = ownMetadata(meta)
			}
		default:
			out[key] = value
		}
	}
	return out
}

func ownMetadata(meta fields) fields {
	out := fields{}
	for _, key := range []string{"labels", "ownerReferences"} {
		if value, ok := meta[key]; ok {
			out[key] = value
		}
	}
	if annotations, ok := meta["annotations"].(fields); ok {
		kept := make(fields, len(annotations))
		for key, value := range annotations {
			if keptAnnotation(key) {
				kept[key] = value
			}
		}
		if len(kept) > 0 {
			out["annotations"] = kept
		}
	}
	return out
}

// newer reports whether a is a later version of an object than b. Versions that cannot be compared
// count as newer, so that a write of ours is never hidden by a stale cache.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// OwnedBy reports whether the object has an owner reference to the UID.
func (o *Object) OwnedBy(uid types.UID) bool {
	tree, err := o.fields()
	if err != nil {
		return false
	}
	meta, _ := tree["metadata"].(fields)
	references, _ := meta["ownerReferences"].([]any)
	for _, reference := range references {
		if r, ok := reference.(fields); ok && r["uid"] == string(uid) {
			return true
		}
	}
	return false
}
