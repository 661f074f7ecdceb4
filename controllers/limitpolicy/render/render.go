// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render merges the LimitPolicies of one namespace into one LimitRange and one ResourceQuota per
// distinct scope set. It is pure: same input, same bytes.
package render

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// Name is the name of the LimitRange and of the ResourceQuota without scopes, in every namespace.
const Name = "fairlead"

// Policy is a LimitPolicy with its quantities parsed.
type Policy struct {
	Name     string
	Priority int32
	Owner    metav1.OwnerReference
	Limits   []corev1.LimitRangeItem
	Quota    *corev1.ResourceQuotaSpec
}

// Lost is a field of a policy that another policy won.
type Lost struct {
	// Policy lost, Winner won.
	Policy, Winner string
	// Field is the path in the spec of the policy that lost, Value what it asked for.
	Field, Value string
	// Winning is what is in force instead; with its field where that is another one.
	Winning string
}

// Effective is what the policies of one namespace come to.
type Effective struct {
	// LimitRange is nil where no policy sets limits.
	LimitRange *corev1.LimitRange
	// Quotas are sorted by name.
	Quotas []*corev1.ResourceQuota
	// Lost is sorted by policy and field.
	Lost []Lost
	// Origin names the policies that ask for each bound of the LimitRange, the first in rank first. It has the
	// defaults, too, that the API server derives.
	Origin map[check.Rule][]string
}

// Namespace merges the policies for a namespace. Their order does not matter.
func Namespace(namespace string, policies []Policy) Effective {
	policies = slices.Clone(policies)
	slices.SortFunc(policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	limits := mergeLimits(policies)
	out := Effective{Origin: limits.origins(), Lost: limits.lost}
	if items := limits.list(); len(items) > 0 {
		bounding := slices.DeleteFunc(slices.Clone(policies), func(p Policy) bool { return len(p.Limits) == 0 })
		out.LimitRange = &corev1.LimitRange{
			ObjectMeta: meta(namespace, Name, bounding), Spec: corev1.LimitRangeSpec{Limits: items},
		}
	}
	var lost []Lost
	out.Quotas, lost = mergeQuotas(namespace, policies)
	out.Lost = append(out.Lost, lost...)
	slices.SortFunc(out.Lost, func(a, b Lost) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Field, b.Field))
	})
	return out
}

// meta names the policies that have a part in an object as its owners, by name: when the last of them is
// deleted while no operator runs, garbage collection takes the object along.
func meta(namespace, name string, policies []Policy) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Namespace: namespace, Name: name}
	for i := range policies {
		out.OwnerReferences = append(out.OwnerReferences, policies[i].Owner)
	}
	slices.SortFunc(out.OwnerReferences, func(a, b metav1.OwnerReference) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
