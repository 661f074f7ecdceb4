// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

var (
	cases = flag.Uint64("specs", 3000, "number of generated specs")
	seed  = flag.Uint64("seed", 1, "seed of the generated specs")
)

// TestAcceptedPolicyIsAcceptedLater shows for generated specs that the API server accepts what the operator writes for
// every policy that the CRD accepts, and that the CRD refuses nothing else but what stricter lists.
func TestAcceptedPolicyIsAcceptedLater(t *testing.T) {
	classes := spec{"quota": map[string]any{"hard": map[string]any{"persistentvolumeclaims": "1"}, "scopes": []any{"VolumeAttributesClass"}}}
	noClasses, err := refused(classes.createChildren(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var (
		workers  sync.WaitGroup
		mu       sync.Mutex
		outcomes = map[string]int{}
		numbers  = make(chan uint64)
	)
	start := time.Now()
	for range 4 {
		workers.Go(func() {
			for n := range numbers {
				typed := newGenerator(*seed, n).spec()
				if noClasses && usesClasses(typed.Quota) {
					continue
				}
				outcome, err := compare(t.Context(), typed)
				if err != nil {
					t.Errorf("spec %d of seed %d: %v", n, *seed, err)
				}
				mu.Lock()
				outcomes[outcome]++
				mu.Unlock()
			}
		})
	}
	for n := range *cases {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
	t.Logf("%d specs in %s: %v", *cases, time.Since(start).Round(time.Second), outcomes)
	for _, outcome := range []string{"accepted by both", "refused by both", "refused by the CRD"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no generated spec was %s", outcome)
		}
	}
}

// compare asks the API server about a policy and about what the operator makes of it. The error is a difference that
// should not be, or anything that is neither acceptance nor refusal.
func compare(ctx context.Context, typed v1alpha1.LimitPolicySpec) (outcome string, err error) {
	s, err := fromTyped(typed)
	if err != nil {
		return "", err
	}
	first, second := s.create(ctx), s.createChildren(ctx)
	now, errNow := refused(first)
	later, errLater := refused(second)
	switch {
	case errNow != nil || errLater != nil:
		return "", fmt.Errorf("%w; spec %s", errors.Join(errNow, errLater), s)
	case later && !now:
		return "", fmt.Errorf("accepted, but later %w; spec %s", second, s)
	case now && !later && len(stricter(typed)) == 0:
		return "", fmt.Errorf("nothing is wrong with it later, but %w; spec %s", first, s)
	case now && later:
		return "refused by both", nil
	case now:
		return "refused by the CRD", nil
	default:
		return "accepted by both", nil
	}
}

// usesClasses tells whether a quota has the scope that API servers before Kubernetes 1.34 do not know.
func usesClasses(q *v1alpha1.Quota) bool {
	const classes = corev1.ResourceQuotaScopeVolumeAttributesClass
	return q != nil && (slices.Contains(q.Scopes, classes) || q.ScopeSelector != nil &&
		slices.ContainsFunc(q.ScopeSelector.MatchExpressions, func(e v1alpha1.ScopeExpression) bool { return e.ScopeName == classes }))
}

var (
	syntax    = regexp.MustCompile(`^([0-9]+m|[0-9]*([0-9]|\.[0-9]{1,3})([kMGTPE]|[KMGTPE]i)?)$`)
	hugepages = regexp.MustCompile(`^(requests\.)?hugepages-[0-9]{1,9}[KMGT]i$`)
	limited   = regexp.MustCompile(`/|^(cpu|memory|(ephemeral-)?storage|hugepages-.*)$`)
	name      = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
)

// stricter says why the CRD may refuse a spec whose LimitRange and ResourceQuota the API server accepts.
func stricter(s v1alpha1.LimitPolicySpec) []string {
	var why []string
	add := func(applies bool, reason string) {
		if applies {
			why = append(why, reason)
		}
	}
	add(s.Quota == nil && len(s.Limits) == 0, "a policy without limits and quota")
	for _, item := range s.Limits {
		amounts := []v1alpha1.Amounts{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio}
		add(!slices.ContainsFunc(amounts, func(a v1alpha1.Amounts) bool { return len(a) > 0 }), "an item without a bound")
		for _, all := range amounts {
			for k, a := range all {
				add(!syntax.MatchString(string(a)), "an amount that is negative, has an exponent or is finer than a thousandth")
				add(above(a, "1P"), "a limit of more than 1P")
				add(above(a, "100G") && !whole(a) && item.MaxLimitRequestRatio[k] != "", "a ratio of large amounts that are no whole numbers")
				add(oddName(k), "a resource name that is too long, of unusual huge pages, or starts with requests.")
				add(item.Type == corev1.LimitTypePersistentVolumeClaim && !limited.MatchString(string(k)), "a claim bounded by a resource of quotas")
				add(strings.Contains(string(k), "kubernetes.io/"), "overcommit of a resource of Kubernetes' own domain")
			}
		}
	}
	if s.Quota != nil {
		why = append(why, stricterQuota(s.Quota)...)
	}
	for _, key := range labelKeys(s.NamespaceSelector) {
		add(len(key) > 253, "a label key of more than 253 characters")
	}
	return why
}

func stricterQuota(q *v1alpha1.Quota) []string {
	var why []string
	add := func(applies bool, reason string) {
		if applies {
			why = append(why, reason)
		}
	}
	add(len(q.Hard) == 0, "a quota without a bound")
	for k, a := range q.Hard {
		add(!syntax.MatchString(string(a)), "an amount that has an exponent or is finer than a thousandth")
		add(above(a, "9E"), "an amount of more than 9E")
		add(above(a, "1P"), "a count of more than 1P")
		add(oddName(k), "a resource name that is too long or of unusual huge pages")
		add(strings.Contains(string(k), "kubernetes.io/"), "half a resource of Kubernetes' own domain")
	}
	scopes := slices.Clone(q.Scopes)
	slices.Sort(scopes)
	add(len(slices.Compact(scopes)) < len(q.Scopes), "a scope twice")
	if q.ScopeSelector == nil {
		return why
	}
	add(len(q.ScopeSelector.MatchExpressions) == 0, "a scope selector without an expression")
	for _, e := range q.ScopeSelector.MatchExpressions {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		add(len(slices.Compact(values)) < len(e.Values), "a value twice")
		for _, v := range e.Values {
			add(len(v) > 63 || !name.MatchString(v), "a value that no class can have")
		}
	}
	return why
}

func above(a v1alpha1.Amount, bound string) bool {
	q, err := resource.ParseQuantity(string(a))
	return err == nil && q.Cmp(resource.MustParse(bound)) > 0
}

func whole(a v1alpha1.Amount) bool {
	q, err := resource.ParseQuantity(string(a))
	return err == nil && q.CmpInt64(q.Value()) == 0
}

func oddName(k corev1.ResourceName) bool {
	text := string(k)
	return len(text) > 240 || strings.Contains(text, "hugepages-") && !hugepages.MatchString(text) || strings.HasPrefix(text, "requests.")
}

func labelKeys(s v1alpha1.NamespaceSelector) []string {
	var keys []string
	for k := range s.MatchLabels {
		keys = append(keys, k)
	}
	for _, e := range s.MatchExpressions {
		keys = append(keys, e.Key)
	}
	return keys
}
