// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/helper"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// oddNames are resources that some type of item, or all, must not hold.
var oddNames = []corev1.ResourceName{
	"pods", "requests.cpu", "limits.memory", "requests.storage", "services.nodeports", "count/pods", "nope", "",
	"UPPER.example.com/Good", "-bad", "example.com/", "/x", "a/b/c", "hugepages-", "hugepages-x", "hugepages-3Mi",
	"requests.hugepages-2Mi", "requests.example.com/gpu", "kubernetes.io/x", "example.com/hugepages-2Mi",
	"requests.kubernetes.io/x", "attachable-volumes-aws-ebs", "alpha.kubernetes.io/nvidia-gpu", "xkubernetes.io/y",
	"ephemeral-storage ", "configmaps", "resourcequotas", "persistentvolumeclaims", "services.loadbalancers",
	// A name that is good by itself and too long with the prefix that a quota gives it.
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb." +
		"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.e/f",
}

var limitTypes = []corev1.LimitType{
	corev1.LimitTypeContainer, corev1.LimitTypeContainer, corev1.LimitTypeContainer, corev1.LimitTypePod, corev1.LimitTypePod,
	corev1.LimitTypePersistentVolumeClaim, corev1.LimitTypePersistentVolumeClaim,
}

// newItem draws one item of a LimitRange, about half of them wrong in some way.
func newItem(c chooser) corev1.LimitRangeItem {
	p := pools{}
	item := corev1.LimitRangeItem{Type: pick(c, limitTypes...)}
	if chance(c, 4) {
		item.Type = pick(c, corev1.LimitType("Box"), "example.com/Box", "", "pod", "a b", "example.com/", "kubernetes.io/Pod")
	}
	for range 1 + c.below(2) {
		fillItem(c, p, &item)
	}
	return item
}

func fillItem(c chooser, p pools, item *corev1.LimitRangeItem) {
	name := pick(c, boundResources...)
	if item.Type == corev1.LimitTypePersistentVolumeClaim && chance(c, 70) || chance(c, 3) {
		name = corev1.ResourceStorage
	}
	v := p.ascending(c, name, 4)
	crossing := chance(c, 15)
	lists := []*corev1.ResourceList{&item.Min, &item.DefaultRequest, &item.Default, &item.Max}
	key := name
	if chance(c, 5) {
		key = pick(c, oddNames...)
	}
	for i, list := range lists {
		if crossing {
			v[i] = p.draw(c, name)
		}
		defaults := i == 1 || i == 2
		if chance(c, 55) && (!defaults || item.Type != corev1.LimitTypePod || chance(c, 5)) {
			put(list, key, v[i].DeepCopy())
		}
	}
	if chance(c, 25) {
		put(&item.MaxLimitRequestRatio, key, ratio(c, v[0], v[3]))
	}
	if chance(c, 2) {
		put(&item.Min, key, resource.MustParse(pick(c, "1500m", "700m", "1")))
		put(&item.Max, key, resource.MustParse(pick(c, "9223372036854774", "9223372036854775", "9223372036854776")))
		put(&item.MaxLimitRequestRatio, key, resource.MustParse(pick(c, "5e15", "1e16", "9223372036854774", "9223372036854775")))
	}
}

// validate is the API server's validation of a LimitRange that went through its defaults.
func validate(lr *corev1.LimitRange) field.ErrorList {
	internal := &core.LimitRange{}
	if err := legacyscheme.Scheme.Convert(lr, internal, nil); err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	return validation.ValidateLimitRange(internal)
}

func validLimitRange(lr *corev1.LimitRange) bool { return len(validate(lr)) == 0 }

// compareItem compares the defaults and the validity of one item.
func compareItem(item corev1.LimitRangeItem, t tally) error {
	before := item.DeepCopy()
	ours := check.Defaulted([]corev1.LimitRangeItem{item})
	got := check.Consistent(item)
	if !same(before, &item) {
		return errors.New("the check changed its input")
	}
	lr := limitRange([]corev1.LimitRangeItem{item})
	if !helper.Semantic.DeepEqual(lr.Spec.Limits, ours) || !slices.Equal(written(&lr.Spec.Limits[0]), written(&ours[0])) {
		return fmt.Errorf("defaults differ:\nAPI server: %+v\ncheck:      %+v", written(&lr.Spec.Limits[0]), written(&ours[0]))
	}
	want := validate(lr)
	t["items"]++
	t.count("items that the API server accepts", len(want) == 0)
	for _, err := range want {
		t["items refused: "+kindOf(err)]++
	}
	if (len(want) == 0) != (got == nil) {
		return fmt.Errorf("item %v:\nAPI server: %w\ncheck: %w", written(&item), want.ToAggregate(), got)
	}
	return nil
}

// kindOf names the rule that an error speaks of, without its values.
func kindOf(err *field.Error) string {
	for _, kind := range []string{
		"is greater than max value", "is greater than default request value", "is greater than default value",
		"is greater than default limit value", "is less than 1", "is greater than max/min", "must equal to defaultRequest",
		"either minimum or maximum storage", "may not be specified", "must be a standard resource for containers",
		"must be a standard resource type", "must be a standard limit type", "extended resource name",
	} {
		if strings.Contains(err.Detail, kind) {
			return kind
		}
	}
	return "malformed name"
}

// written lists the item's values as text, with their format.
func written(item *corev1.LimitRangeItem) []string {
	out := []string{"type " + string(item.Type)}
	for _, list := range []struct {
		name   string
		values corev1.ResourceList
	}{
		{"max", item.Max}, {"min", item.Min}, {"default", item.Default},
		{"defaultRequest", item.DefaultRequest}, {"ratio", item.MaxLimitRequestRatio},
	} {
		for _, name := range slices.Sorted(maps.Keys(list.values)) {
			q := list.values[name]
			out = append(out, fmt.Sprintf("%s[%s]=%s", list.name, name, q.String()))
		}
	}
	return out
}
