// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"

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
	page
	name   string
	uid    types.UID
	paused bool
}

// observed is everything that decides what a namespace gets.
type observed struct {
	name string
	// active is false where the namespace is gone or going.
	active, terminating bool
	policies            []selected
	// held is true where a policy that has a part in the namespace cannot be read: nothing is touched.
	held bool
	// foreign are LimitRanges that others made, as namespace/name. A second quota only adds a bound; a second
	// LimitRange can contradict ours and block every pod.
	foreign []string
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
	out.terminating = namespace.DeletionTimestamp != nil
	out.active = !out.terminating
	var policies v1alpha1.LimitPolicyList
	if err := o.client.List(ctx, &policies, client.UnsafeDisableDeepCopy); err != nil {
		return out, fmt.Errorf("list limit policies: %w", err)
	}
	for i := range policies.Items {
		o.consider(&out, namespace, &policies.Items[i])
	}
	out.foreign = o.foreign(name)
	return out, nil
}

func (o *observer) consider(out *observed, namespace *metav1.PartialObjectMetadata, policy *v1alpha1.LimitPolicy) {
	if policy.DeletionTimestamp != nil {
		return
	}
	page, readable, _ := o.book.open(policy)
	if !readable {
		out.held = out.held || o.hasPart(namespace.Name, policy.UID)
		return
	}
	if o.book.selects(page, namespace) {
		out.policies = append(out.policies, selected{
			page: page, name: policy.Name, uid: policy.UID,
			paused: policy.Annotations[v1alpha1.AnnotationPaused] == "true",
		})
	}
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

// foreign lists LimitRanges of others beside ours.
func (o *observer) foreign(namespace string) []string {
	var out []string
	for _, object := range o.engine.Live(limitRanges, namespace) {
		if !object.Marked() && object.Name != render.Name && object.DeletionTimestamp == nil {
			out = append(out, namespace+"/"+object.Name)
		}
	}
	return out
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
	set := apply.Set{Key: "limits/" + o.name, Paused: o.held || o.terminating, Mode: apply.Warn}
	enforced := false
	for _, policy := range o.policies {
		set.Paused = set.Paused || policy.paused
		if policy.enforced {
			enforced = true
			if !policy.warn {
				// One policy that wants repairs is enough: what it bounds stands in the same object.
				set.Mode = apply.Repair
			}
		}
	}
	if !enforced {
		set.Mode = apply.Repair
	}
	if effective.LimitRange != nil {
		set.Objects = append(set.Objects, effective.LimitRange)
	}
	for _, quota := range effective.Quotas {
		set.Objects = append(set.Objects, quota)
	}
	return set
}
