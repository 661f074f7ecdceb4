// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render merges the LimitPolicies of one namespace into one LimitRange and one ResourceQuota per
// distinct scope set. It is pure: same input, same bytes.
package render

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
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
	// Origin names the policy that each bound of the LimitRange comes from, derived defaults included.
	Origin map[check.Rule]string
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
		out.LimitRange = &corev1.LimitRange{
			ObjectMeta: meta(namespace, Name, owners(policies, func(p Policy) bool { return len(p.Limits) > 0 })),
			Spec:       corev1.LimitRangeSpec{Limits: items},
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

func meta(namespace, name string, owners []metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, OwnerReferences: owners}
}

// owners are the policies that have a part in an object, by name: when the last of them is deleted while no
// operator runs, garbage collection takes the object along.
func owners(policies []Policy, part func(Policy) bool) []metav1.OwnerReference {
	var out []metav1.OwnerReference
	for _, p := range policies {
		if part(p) {
			out = append(out, p.Owner)
		}
	}
	slices.SortFunc(out, func(a, b metav1.OwnerReference) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Parse reads the spec of a policy. The CRD refuses what cannot be parsed; an error here means that the
// object was stored under an older CRD.
func Parse(policy *v1alpha1.LimitPolicy) (Policy, error) {
	out := Policy{
		Name:     policy.Name,
		Priority: policy.Spec.Priority,
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(),
			Kind:       "LimitPolicy",
			Name:       policy.Name,
			UID:        policy.UID,
		},
	}
	for i := range policy.Spec.Limits {
		item, err := parseItem(&policy.Spec.Limits[i])
		if err != nil {
			return Policy{}, fmt.Errorf("spec.limits[%s].%w", policy.Spec.Limits[i].Type, err)
		}
		out.Limits = append(out.Limits, item)
	}
	quota, err := parseQuota(policy.Spec.Quota)
	if err != nil {
		return Policy{}, fmt.Errorf("spec.quota.%w", err)
	}
	out.Quota = quota
	return out, nil
}

func parseItem(in *v1alpha1.LimitItem) (corev1.LimitRangeItem, error) {
	out := corev1.LimitRangeItem{Type: in.Type}
	for _, bound := range []struct {
		name string
		from v1alpha1.Amounts
		to   *corev1.ResourceList
	}{
		{"max", in.Max, &out.Max},
		{"min", in.Min, &out.Min},
		{"default", in.Default, &out.Default},
		{"defaultRequest", in.DefaultRequest, &out.DefaultRequest},
		{"maxLimitRequestRatio", in.MaxLimitRequestRatio, &out.MaxLimitRequestRatio},
	} {
		list, err := parseAmounts(bound.from)
		if err != nil {
			return out, fmt.Errorf("%s%w", bound.name, err)
		}
		*bound.to = list
	}
	if err := check.Consistent(out); err != nil {
		return out, fmt.Errorf("type: %w", err)
	}
	return out, nil
}

func parseAmounts(in map[corev1.ResourceName]v1alpha1.Amount) (corev1.ResourceList, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(corev1.ResourceList, len(in))
	for name, amount := range in {
		quantity, err := resource.ParseQuantity(string(amount))
		if err != nil {
			return nil, fmt.Errorf("[%s]: %q is not a quantity", name, amount)
		}
		out[name] = quantity
	}
	return out, nil
}
