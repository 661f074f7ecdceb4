// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// A generator makes specs of which about half are valid, and most others break one rule or miss it by a thousandth.
type generator struct {
	*rand.Rand
	// odd is the chance, in a thousand, of a value from outside of what makes sense at its place.
	odd int
	// base is an amount in thousandths that the amounts of one resource are near.
	base map[corev1.ResourceName]int64
}

func newGenerator(seed, n uint64) *generator {
	r := rand.New(rand.NewPCG(seed, n))
	return &generator{Rand: r, odd: []int{0, 5, 30, 200}[r.IntN(4)], base: map[corev1.ResourceName]int64{}}
}

func pick[T any](g *generator, usual, odd []T) T {
	if len(odd) > 0 && g.IntN(1000) < g.odd {
		return odd[g.IntN(len(odd))]
	}
	return usual[g.IntN(len(usual))]
}

// name returns a resource name; the odd ones are by half names that belong elsewhere.
func (g *generator) name(usual []corev1.ResourceName) corev1.ResourceName {
	return pick(g, usual, [][]corev1.ResourceName{misplacedNames, oddNames}[g.IntN(2)])
}

// chance is true n times in ten.
func (g *generator) chance(n int) bool { return g.IntN(10) < n }

func (g *generator) spec() v1alpha1.LimitPolicySpec {
	s := v1alpha1.LimitPolicySpec{Priority: g.Int32N(3)}
	if g.chance(3) {
		s.NamespaceSelector = g.selector()
	}
	bound := g.IntN(5)
	if bound > 0 {
		types := []corev1.LimitType{corev1.LimitTypeContainer, corev1.LimitTypePod, corev1.LimitTypePersistentVolumeClaim}
		g.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
		for _, t := range types[:1+g.IntN(2)] {
			s.Limits = append(s.Limits, g.limit(pick(g, []corev1.LimitType{t}, types)))
		}
	}
	if bound < 2 && g.IntN(1000) >= g.odd {
		s.Quota = g.quota()
	}
	return s
}

func (g *generator) limit(t corev1.LimitType) v1alpha1.LimitItem {
	usual := []corev1.ResourceName{"cpu", "cpu", "memory", "memory", "memory", "nvidia.com/gpu", "hugepages-2Mi"}
	if t == corev1.LimitTypePersistentVolumeClaim {
		usual = []corev1.ResourceName{"storage", "storage", "storage", "a.com/b"}
	}
	keys := make([]corev1.ResourceName, 1+g.IntN(2))
	for i := range keys {
		keys[i] = g.name(usual)
	}
	amounts := func(n int, amount func(corev1.ResourceName) v1alpha1.Amount) v1alpha1.Amounts {
		var all v1alpha1.Amounts
		for _, k := range keys {
			if g.chance(n) {
				if all == nil {
					all = v1alpha1.Amounts{}
				}
				all[k] = amount(k)
			}
		}
		return all
	}
	item := v1alpha1.LimitItem{Type: t, Min: amounts(6, g.small), Max: amounts(8, g.large)}
	if t != corev1.LimitTypePod || g.IntN(1000) < g.odd {
		item.DefaultRequest = amounts(3, g.small)
		item.Default = amounts(3, g.large)
	}
	item.MaxLimitRequestRatio = amounts(3, func(corev1.ResourceName) v1alpha1.Amount { return g.ratio() })
	return item
}

// small and large are amounts at, or a thousandth beside, the base of a resource and a multiple of it.
func (g *generator) small(k corev1.ResourceName) v1alpha1.Amount {
	return g.amount(g.baseOf(k) + g.nudge())
}

func (g *generator) large(k corev1.ResourceName) v1alpha1.Amount {
	return g.amount(g.baseOf(k)*pick(g, []int64{1, 1, 2, 2, 3, 1500}, []int64{0})/pick(g, []int64{1}, []int64{2, 1000}) + g.nudge())
}

func (g *generator) ratio() v1alpha1.Amount {
	return g.amount(pick(g, []int64{1000, 1000, 1001, 1500, 2000, 2000, 3000}, []int64{0, 333, 999, 1500000}) + pick(g, []int64{0}, []int64{-1, 1}))
}

func (g *generator) nudge() int64 {
	return pick(g, []int64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, 1000, -1000}, nil)
}

func (g *generator) baseOf(k corev1.ResourceName) int64 {
	const unit = 1000
	if _, ok := g.base[k]; !ok {
		g.base[k] = pick(g, []int64{
			unit, 2 * unit, 100, 333, 1_000_000 * unit, unit << 20, 256 * unit << 20, unit << 30, 400 * unit << 30, 100_000_000_000 * unit, 3 * unit << 40, g.Int64N(3000) * unit << 33, 1<<40 + 7,
			g.Int64N(1e6), g.Int64N(1e14), g.Int64N(1e17),
		}, []int64{0, 1, 1_000_000_000_000_000 * unit, unit << 50})
	}
	return g.base[k]
}

// suffixes are what an amount can end with, and how many thousandths of one are a thousandth of it.
var suffixes = []struct {
	text string
	unit int64
}{{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}}

// amount writes thousandths in one of the forms that there are for them.
func (g *generator) amount(thousandths int64) v1alpha1.Amount {
	if g.IntN(1000) < g.odd {
		return oddAmounts[g.IntN(len(oddAmounts))]
	}
	thousandths = max(thousandths, 0)
	forms := []string{fmt.Sprintf("%dm", thousandths)}
	for _, s := range suffixes {
		if thousandths%s.unit != 0 {
			continue
		}
		whole, rest := thousandths/s.unit/1000, thousandths/s.unit%1000
		forms = append(forms, fmt.Sprintf("%d.%03d%s", whole, rest, s.text))
		if whole == 0 {
			forms = append(forms, fmt.Sprintf(".%03d%s", rest, s.text))
		}
		if rest == 0 {
			forms = append(forms, fmt.Sprintf("%d%s", whole, s.text))
		}
	}
	return v1alpha1.Amount(forms[g.IntN(len(forms))])
}

func (g *generator) quota() *v1alpha1.Quota {
	scopes := []corev1.ResourceQuotaScope{"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"}
	q := &v1alpha1.Quota{Hard: map[corev1.ResourceName]v1alpha1.Amount{}}
	usual := []corev1.ResourceName{
		"pods", "pods", "cpu", "requests.cpu", "limits.memory", "requests.storage", "persistentvolumeclaims", "requests.hugepages-2Mi", "count/deployments.apps",
		"services.loadbalancers", "nvidia.com/gpu", "requests.nvidia.com/gpu", "limits.ephemeral-storage", "gold.storageclass.storage.k8s.io/requests.storage",
	}
	usual = usual[:pick(g, []int{1, 5, 5, len(usual)}, nil)]
	for range 1 + g.IntN(4) {
		k := g.name(usual)
		q.Hard[k] = pick(g, []v1alpha1.Amount{"0", "1", "10", "1.0", "3000m", "1.5k", "2Ki", "0.5Ki", g.large(k)}, []v1alpha1.Amount{"0.5", "1500m", "1P", "1.001P", "2P", "9E", "9.001E", g.large(k)})
	}
	if g.chance(2) {
		for range 1 + g.IntN(2) {
			q.Scopes = append(q.Scopes, pick(g, scopes, []corev1.ResourceQuotaScope{"Running", ""}))
		}
	}
	if g.chance(2) {
		q.ScopeSelector = &v1alpha1.ScopeSelector{}
		for range pick(g, []int{1, 2}, []int{0}) {
			e := v1alpha1.ScopeExpression{
				ScopeName: pick(g, append(scopes, "PriorityClass", "PriorityClass"), []corev1.ResourceQuotaScope{"Running"}),
				Operator:  corev1.ScopeSelectorOpExists,
			}
			if e.ScopeName == corev1.ResourceQuotaScopePriorityClass || g.IntN(1000) < g.odd {
				e.Operator = pick(g, []corev1.ScopeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}, []corev1.ScopeSelectorOperator{"Is"})
				e.Values = g.values(string(e.Operator))
			}
			q.ScopeSelector.MatchExpressions = append(q.ScopeSelector.MatchExpressions, e)
		}
	}
	return q
}

func (g *generator) selector() v1alpha1.NamespaceSelector {
	s := v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{}}
	keys := []string{"tier", "kubernetes.io/metadata.name", "example.com/Some_Key.1"}
	for range g.IntN(3) {
		s.MatchLabels[pick(g, keys, oddLabels)] = v1alpha1.LabelValue(pick(g, []string{"team", "", "A-b_c.1"}, oddLabels))
	}
	for range g.IntN(3) {
		e := v1alpha1.LabelExpression{
			Key:      pick(g, keys, oddLabels),
			Operator: pick(g, []metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}, []metav1.LabelSelectorOperator{"Is"}),
		}
		for _, v := range g.values(string(e.Operator)) {
			e.Values = append(e.Values, v1alpha1.LabelValue(v))
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func (g *generator) values(operator string) []string {
	n := 0
	if strings.HasSuffix(operator, "In") {
		n = 1 + g.IntN(2)
	}
	var all []string
	for i := range pick(g, []int{n}, []int{0, 1, 2}) {
		all = append(all, pick(g, [][]string{{"low"}, {"high", "system-cluster-critical"}}[i], oddLabels))
	}
	return all
}

var oddAmounts = []v1alpha1.Amount{
	"", "0", "00", "0.0", "0.000", "0m", ".5", "5.", ".", "m", "Mi", "-0", "-1", "+1", "1n", "1u", "1.5m", "0.0001", "1.0000", "1.1Ti", "100.001Gi", "1e3", "1E3", "1e-3", "1e30", "1E", "1 ", " 1", "1,5",
	"0x10", "1_000", "Infinity", "NaN", "1K", "1ki", "1KI", "1P", "1000T", "1.001P", "1Pi", "9E", "9.001E", "8Ei", "7.999Ei", "10E", "9223372036854775807", "9223372036854775808", "9007199254740993",
	"9223372036854775.807", "100000000000000000000000", "99999999999999999999999E", "\u0661", "1\n", "1\u0000",
}

var misplacedNames = []corev1.ResourceName{
	"cpu", "memory", "ephemeral-storage", "storage", "storage", "hugepages-1Gi", "requests.hugepages-2Mi", "pods", "requests.cpu", "limits.cpu", "requests.storage", "services.nodeports", "secrets", "count/pods",
}

var oddNames = []corev1.ResourceName{
	"hugepages-2M", "hugepages-", "hugepages-2Mi.", "hugepages-2Mi/x", "", "mem", "CPU", "requests.", "requests.a.com/b", "kubernetes.io/x", "a.kubernetes.io/y", "requests.kubernetes.io/x", "A.com/b", "a.com/B_b.c", "/x", "x/", "/", "a/b/c",
	"-a/b", "a-/b", "a.-b/c", "a..b/c", "a_b/c", "a/-b", "a/b-", "a/b..c", "a b/c", "a/b\n", "\u00e4/b", "a/\u00e4",
	corev1.ResourceName("a/" + strings.Repeat("b", 63)), corev1.ResourceName("a/" + strings.Repeat("b", 64)),
	corev1.ResourceName(strings.Repeat("a", 238) + "/b"), corev1.ResourceName(strings.Repeat("a", 239) + "/b"), corev1.ResourceName(strings.Repeat("a", 254) + "/b"),
	corev1.ResourceName("hugepages-" + strings.Repeat("1", 9) + "Mi"), corev1.ResourceName("hugepages-" + strings.Repeat("1", 60) + "Mi"),
}

var oddLabels = []string{
	"", "-", "a-", "-a", "a b", "a/b", "a/b/c", "/a", "a/", "A/b", "a.b/C_d", "a..b/c", "\u00e4", "a\n", "\u0000", strings.Repeat("a", 63), strings.Repeat("a", 64),
	strings.Repeat("a", 251) + "/b", strings.Repeat("a", 252) + "/b", strings.Repeat("a", 254) + "/b", "a/" + strings.Repeat("b", 63), "a/" + strings.Repeat("b", 64),
}
