// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

var (
	limitRanges    = corev1.SchemeGroupVersion.WithKind("LimitRange")
	resourceQuotas = corev1.SchemeGroupVersion.WithKind("ResourceQuota")
	namespaces     = corev1.SchemeGroupVersion.WithKind("Namespace")
	namespaceLists = corev1.SchemeGroupVersion.WithKind("NamespaceList")
)

// Kinds are the kinds that the LimitPolicy controllers write. Their caches hold foreign objects too, for
// those are reported.
func Kinds() []apply.Kind {
	return []apply.Kind{
		{GVK: limitRanges, Resource: "limitranges"},
		{GVK: resourceQuotas, Resource: "resourcequotas"},
	}
}

// selected is one policy that picks the namespace.
type selected struct {
	*page
	name string
	uid  types.UID
}

// observed is everything that decides what a namespace gets.
type observed struct {
	name string
	// uid is empty where the namespace is gone.
	uid         types.UID
	terminating bool
	// policies are those that pick the namespace, by name.
	policies []selected
	// hold is why nothing may be touched; empty where everything may.
	hold string
	// foreign are LimitRanges that others made, as the cache shows it. A second quota only adds a bound; a second
	// LimitRange can contradict ours and block every pod.
	foreign []apply.Ref
}

// observer gathers it from the caches.
type observer struct {
	client client.Reader
	engine *apply.Engine
	book   *book
}

func (o *observer) namespace(ctx context.Context, name string) (observed, error) {
	out := observed{name: name}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(namespaces)
	err := o.client.Get(ctx, types.NamespacedName{Name: name}, namespace)
	if apierrors.IsNotFound(err) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("get namespace %s: %w", name, err)
	}
	out.uid, out.terminating = namespace.UID, namespace.DeletionTimestamp != nil
	var policies v1alpha1.LimitPolicyList
	if err := o.client.List(ctx, &policies, client.UnsafeDisableDeepCopy); err != nil {
		return out, fmt.Errorf("list limit policies: %w", err)
	}
	slices.SortFunc(policies.Items, func(a, b v1alpha1.LimitPolicy) int { return cmp.Compare(a.Name, b.Name) })
	for i := range policies.Items {
		o.consider(&out, namespace, &policies.Items[i])
	}
	out.foreign = o.foreign(name)
	return out, nil
}

// consider adds a policy where it picks the namespace. One that is paused, or was never readable since the
// start, keeps everything as it is where it has a part, even if it does not pick the namespace any more.
func (o *observer) consider(out *observed, namespace *metav1.PartialObjectMetadata, policy *v1alpha1.LimitPolicy) {
	if policy.DeletionTimestamp != nil {
		return
	}
	page, _ := o.book.open(policy)
	picks := page != nil && o.book.selects(page, namespace)
	if picks {
		out.policies = append(out.policies, selected{page: page, name: policy.Name, uid: policy.UID})
	}
	paused := paused(policy)
	if page != nil && !paused || !(picks && page.enforced) && !o.hasPart(namespace.Name, policy.UID) {
		return
	}
	out.hold = "policy " + policy.Name + " cannot be read"
	if paused {
		out.hold = "policy " + policy.Name + " is paused"
	}
}

func paused(policy *v1alpha1.LimitPolicy) bool {
	return policy.Annotations[v1alpha1.AnnotationPaused] == "true"
}

// hasPart reports whether something of ours in the namespace names the policy as an owner.
func (o *observer) hasPart(namespace string, policy types.UID) bool {
	for _, gvk := range []schema.GroupVersionKind{limitRanges, resourceQuotas} {
		for _, object := range o.engine.Live(gvk, namespace) {
			if object.Marked() && object.OwnedBy(policy) {
				return true
			}
		}
	}
	return false
}

func (o *observer) foreign(namespace string) []apply.Ref {
	var out []apply.Ref
	for _, object := range o.engine.Live(limitRanges, namespace) {
		if !object.Marked() && object.DeletionTimestamp == nil {
			out = append(out, apply.Ref{GroupVersionKind: limitRanges, NamespacedName: types.NamespacedName{Namespace: namespace, Name: object.Name}})
		}
	}
	return out
}

// beside are the foreign LimitRanges beside ours. Whether one of our name is in the way, or is adopted, is
// what applying ours finds.
func (o *observed) beside(effective render.Effective) []apply.Ref {
	return slices.DeleteFunc(slices.Clone(o.foreign), func(ref apply.Ref) bool {
		return effective.LimitRange != nil && ref.Name == effective.LimitRange.Name
	})
}

// inForce are the policies that the namespace's objects are made from.
func (o *observed) inForce() []render.Policy {
	var out []render.Policy
	for _, policy := range o.policies {
		if policy.enforced {
			out = append(out, policy.parsed)
		}
	}
	return out
}

// set is the namespace's desired set.
func (o *observed) set(effective render.Effective) apply.Set {
	set := apply.Set{Key: "limits/" + o.name, Paused: o.hold != "" || o.terminating, Mode: o.mode()}
	if effective.LimitRange != nil {
		set.Objects = append(set.Objects, effective.LimitRange)
	}
	for _, quota := range effective.Quotas {
		set.Objects = append(set.Objects, quota)
	}
	return set
}

// mode is Warn where all policies in force only want to be told. One that wants repairs is enough: what it
// bounds stands in the same objects.
func (o *observed) mode() apply.Mode {
	for _, policy := range o.policies {
		if policy.enforced && !policy.warn {
			return apply.Repair
		}
	}
	return apply.Warn
}
