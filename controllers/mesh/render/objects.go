// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// Object is an object of Kubernetes. It says its apiVersion and kind.
type Object interface {
	metav1.Object
	runtime.Object
}

// Ref names an object in a cluster.
type Ref struct {
	schema.GroupVersionKind
	types.NamespacedName
}

func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// RefOf is the name of an object.
func RefOf(o Object) Ref {
	return Ref{o.GetObjectKind().GroupVersionKind(), types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}}
}

// objects reads the text that a chart gave. namespace is that of the release.
func objects(text, namespace string) ([]Object, error) {
	var out []Object
	documents := utilyaml.NewYAMLReader(bufferedReader(text))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		raw, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, fmt.Errorf("a document that is no YAML: %w", err)
		}
		// Conditions of templates leave comments and empty documents behind.
		if bytes.Equal(raw, []byte("null")) {
			continue
		}
		o, err := object(raw, namespace)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
}

// object gives one document its type. A field that the type does not have is an error.
func object(raw []byte, namespace string) (Object, error) {
	plain := &unstructured.Unstructured{}
	if err := plain.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	known, ok := kinds[plain.GroupVersionKind()]
	if !ok {
		return nil, fmt.Errorf("%s %s: a chart makes an object of a kind that is not expected, %s", plain.GetKind(), plain.GetName(), plain.GroupVersionKind())
	}
	var out Object = plain
	if scheme.Recognizes(known.GVK) {
		typed, err := scheme.New(known.GVK)
		if err != nil {
			return nil, err
		}
		unknown, err := strictjson.UnmarshalStrict(raw, typed, strictjson.DisallowUnknownFields)
		if err := errors.Join(append(unknown, err)...); err != nil {
			return nil, fmt.Errorf("%s %s: %w", plain.GetKind(), plain.GetName(), err)
		}
		out, ok = typed.(Object)
		if !ok {
			return nil, fmt.Errorf("%s %s: no object", plain.GetKind(), plain.GetName())
		}
	}
	if known.Namespaced && out.GetNamespace() == "" {
		out.SetNamespace(namespace)
	}
	ours(out)
	return out, nil
}

// helmAnnotations are instructions to Helm.
const helmAnnotations = "helm.sh/"

// ours makes an object one of this operator instead of Helm's. Pods in it keep their labels, since a change restarts them.
func ours(o Object) {
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	o.SetLabels(labels)
	annotations := map[string]string{}
	for key, value := range o.GetAnnotations() {
		if !strings.HasPrefix(key, helmAnnotations) {
			annotations[key] = value
		}
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
}

// settle gives validating webhooks the policy that istiod sets as soon as it answers, so that the operator and istiod want the same.
// Charts write Ignore or nothing.
func settle(all []Object, policy admissionv1.FailurePolicyType) {
	for _, o := range all {
		if webhooks, ok := o.(*admissionv1.ValidatingWebhookConfiguration); ok {
			for i := range webhooks.Webhooks {
				webhooks.Webhooks[i].FailurePolicy = &policy
			}
		}
	}
}

// arrange sorts objects by kind, namespace and name, and refuses two of one name and objects in other namespaces.
func arrange(all []Object, namespaces ...string) ([]Object, error) {
	slices.SortFunc(all, func(a, b Object) int {
		x, y := RefOf(a), RefOf(b)
		return cmp.Or(
			cmp.Compare(kinds[x.GroupVersionKind].rank, kinds[y.GroupVersionKind].rank),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name),
		)
	})
	for i, o := range all {
		ref := RefOf(o)
		if i > 0 && RefOf(all[i-1]) == ref {
			return nil, fmt.Errorf("charts make %s twice", ref)
		}
		if ref.Namespace != "" && !slices.Contains(namespaces, ref.Namespace) && !kinds[ref.GroupVersionKind].Optional {
			return nil, fmt.Errorf("charts make %s in a namespace that is not theirs", ref)
		}
	}
	return all, nil
}
