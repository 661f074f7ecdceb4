// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// resource is a foreign client's way to an object.
func (o *operator) resource(ref Ref) dynamic.ResourceInterface {
	resource := o.foreign.Resource(o.kind(ref).gvr())
	if ref.Namespace == "" {
		return resource
	}
	return resource.Namespace(ref.Namespace)
}

func (o *operator) path(ref Ref) string {
	path := "/apis/" + ref.Group + "/" + ref.Version
	if ref.Group == "" {
		path = "/api/" + ref.Version
	}
	if ref.Namespace != "" {
		path += "/namespaces/" + ref.Namespace
	}
	return path + "/" + o.kind(ref).Resource + "/" + ref.Name
}

func (o *operator) get(ref Ref) *unstructured.Unstructured {
	o.tb.Helper()
	u, err := o.resource(ref).Get(o.tb.Context(), ref.Name, metav1.GetOptions{})
	if err != nil {
		o.tb.Fatal(err)
	}
	return u
}

// content is the part of the live object that the engine answers for.
func (o *operator) content(ref Ref) string {
	o.tb.Helper()
	u, err := o.resource(ref).Get(o.tb.Context(), ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		o.tb.Fatal(err)
	}
	obj, err := compact(u)
	if err != nil {
		o.tb.Fatal(err)
	}
	return string(obj.content)
}

// edit changes an object as a person with an editor does.
func (o *operator) edit(ref Ref, change func(fields)) *unstructured.Unstructured {
	o.tb.Helper()
	for {
		u := o.get(ref)
		change(u.Object)
		u, err := o.resource(ref).Update(o.tb.Context(), u, metav1.UpdateOptions{FieldManager: editor})
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			o.tb.Fatal(err)
		}
		return u
	}
}

func (o *operator) remove(ref Ref) {
	o.tb.Helper()
	if err := o.resource(ref).Delete(o.tb.Context(), ref.Name, metav1.DeleteOptions{}); err != nil {
		o.tb.Fatal(err)
	}
}

// replace deletes an object and creates another of its name, which keeps of the first what keep says.
func (o *operator) replace(key string, ref Ref, change func(fields)) *unstructured.Unstructured {
	o.tb.Helper()
	var made *unstructured.Unstructured
	o.hold(key, func() {
		u := o.get(ref)
		o.remove(ref)
		meta := fields{"name": ref.Name, "labels": anyMap(u.GetLabels()), "annotations": anyMap(u.GetAnnotations())}
		if ref.Namespace != "" {
			meta["namespace"] = ref.Namespace
		}
		u.Object["metadata"] = meta
		delete(u.Object, "status")
		change(u.Object)
		var err error
		if made, err = o.resource(ref).Create(o.tb.Context(), u, metav1.CreateOptions{FieldManager: editor}); err != nil {
			o.tb.Fatal(err)
		}
	})
	return made
}

func anyMap(in map[string]string) fields {
	out := fields{}
	for key, value := range in {
		out[key] = value
	}
	return out
}

// patchBy changes an object by a JSON patch (RFC 6902), as a manager of that name.
func (o *operator) patchBy(manager string, ref Ref, patch string, subresources ...string) {
	o.tb.Helper()
	if _, err := o.resource(ref).Patch(o.tb.Context(), ref.Name, types.JSONPatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: manager}, subresources...); err != nil {
		o.tb.Fatal(err)
	}
}

func (o *operator) patch(ref Ref, patch string) {
	o.tb.Helper()
	o.patchBy(editor, ref, patch)
}

// add creates a foreign object.
func (o *operator) add(ref Ref, object fields) *unstructured.Unstructured {
	o.tb.Helper()
	u := &unstructured.Unstructured{Object: object}
	u.SetGroupVersionKind(ref.GroupVersionKind)
	u.SetName(ref.Name)
	u.SetNamespace(ref.Namespace)
	made, err := o.resource(ref).Create(o.tb.Context(), u, metav1.CreateOptions{FieldManager: editor})
	if err != nil {
		o.tb.Fatal(err)
	}
	return made
}

// done lists the writes to an object that the API server did, the oldest first.
func (o *operator) done(ref Ref) []testutil.Request {
	return slices.DeleteFunc(o.served.Writes(o.path(ref)), func(r testutil.Request) bool { return !r.Done() || r.Path != o.path(ref) })
}

// tryAdd creates a foreign object if the API server lets it.
func (o *operator) tryAdd(ref Ref, u *unstructured.Unstructured) (ok bool, why string) {
	u.SetGroupVersionKind(ref.GroupVersionKind)
	u.SetName(ref.Name)
	if _, err := o.resource(ref).Create(o.tb.Context(), u, metav1.CreateOptions{FieldManager: editor}); err != nil {
		return false, err.Error()
	}
	return true, ""
}

func isConflict(err error) bool { return apierrors.IsConflict(err) }
