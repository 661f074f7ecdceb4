// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// TestMergeHolds holds the merge to its promises over random policies, always the same ones.
func TestMergeHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	merged := 0
	for range 4_000 {
		data := make([]byte, random.IntN(160))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if holds(t, data) > 1 {
			merged++
		}
	}
	if merged < 2_000 {
		t.Errorf("only %d of the cases merged anything", merged)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x02\x01\x00\x03\x01\x02\x00\x04\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, data []byte) { holds(t, data) })
}

// holds makes policies of the data, checks what they merge to, and returns how many they are.
func holds(t *testing.T, data []byte) int {
	t.Helper()
	policies := random(data)
	got := render.Namespace("team", policies)
	if text := encode(t, got); text != encode(t, render.Namespace("team", policies)) {
		t.Fatalf("%s\nrendered twice differs", describe(policies))
	}
	for range 3 {
		shuffled := slices.Clone(policies)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if encode(t, got) != encode(t, render.Namespace("team", shuffled)) {
			t.Fatalf("%s\nthe order of the policies matters", describe(policies))
		}
	}
	var items []corev1.LimitRangeItem
	if got.LimitRange != nil {
		items = got.LimitRange.Spec.Limits
	}
	accepted(t, policies, items)
	comeFromPolicies(t, policies, items, got)
	inForceOrLost(t, policies, items, got)
	lostForAReason(t, policies, items, got)
	quotasInForceOrLost(t, policies, got)
	return len(policies)
}

// accepted: the API server takes the merged LimitRange.
func accepted(t *testing.T, policies []render.Policy, items []corev1.LimitRangeItem) {
	t.Helper()
	types := map[corev1.LimitType]bool{}
	for _, item := range items {
		if err := check.Consistent(item); err != nil || types[item.Type] {
			t.Fatalf("%s\nmerge to an item that the API server refuses: %v", describe(policies), err)
		}
		types[item.Type] = true
	}
}

// comeFromPolicies: behind each bound are just the policies that ask for its value, and behind what the API
// server derives are some policies.
func comeFromPolicies(t *testing.T, policies []render.Policy, items []corev1.LimitRangeItem, got render.Effective) {
	t.Helper()
	for _, item := range items {
		for rule, value := range millis(item) {
			var asking []string
			for _, p := range policies {
				if asked, ok := asks(p, rule); ok && asked == value {
					asking = append(asking, p.Name)
				}
			}
			slices.Sort(asking)
			if behind := slices.Sorted(slices.Values(got.Origin[rule])); len(asking) == 0 || !slices.Equal(behind, asking) {
				t.Fatalf("%s\n%s is said to come from %v, and is asked for by %v", describe(policies), rule, behind, asking)
			}
		}
	}
	for _, item := range check.Defaulted(items) {
		for rule := range millis(item) {
			if len(got.Origin[rule]) == 0 {
				t.Fatalf("%s\n%s comes from nobody", describe(policies), rule)
			}
		}
	}
}

// inForceOrLost: nothing that a policy asks for disappears.
func inForceOrLost(t *testing.T, policies []render.Policy, items []corev1.LimitRangeItem, got render.Effective) {
	t.Helper()
	force := map[check.Rule]int64{}
	for _, item := range items {
		for rule, value := range millis(item) {
			force[rule] = value
		}
	}
	for _, p := range policies {
		for _, item := range p.Limits {
			for rule, value := range millis(item) {
				lost := slices.ContainsFunc(got.Lost, func(l render.Lost) bool {
					return l.Policy == p.Name && l.Field == rule.String() && milli(l.Value) == value
				})
				if lost == (force[rule] == value) {
					t.Fatalf("%s\n%s=%d/1000 of %s is in force: %v, lost: %v", describe(policies), rule, value, p.Name, force[rule] == value, lost)
				}
			}
		}
	}
}

// lostForAReason: what lost has no place beside what is in force, and it lost to a policy behind that.
func lostForAReason(t *testing.T, policies []render.Policy, items []corev1.LimitRangeItem, got render.Effective) {
	t.Helper()
	for _, l := range got.Lost {
		rule, ok := ruleOf(l.Field)
		if !ok {
			continue
		}
		winning := rule
		if bound, value, other := strings.Cut(l.Winning, "="); other {
			winning, _ = ruleOf(fmt.Sprintf("limits[%s].%s", rule.Type, bound))
			item := items[slices.IndexFunc(items, func(i corev1.LimitRangeItem) bool { return i.Type == rule.Type })].DeepCopy()
			list := limitsOf(item, rule.Bound)
			(*list)[rule.Resource] = resource.MustParse(l.Value)
			if check.Consistent(*item) == nil {
				t.Fatalf("%s\n%s=%s of %s has a place, and is lost", describe(policies), rule, l.Value, l.Policy)
			}
			if force := millis(*item)[winning]; force != milli(value) {
				t.Fatalf("%s\n%s lost to %s, but in force is %d thousandths", describe(policies), rule, l.Winning, force)
			}
		}
		if len(got.Origin[winning]) == 0 || got.Origin[winning][0] != l.Winner {
			t.Fatalf("%s\n%s lost to %s of %s, but that comes from %v", describe(policies), rule, l.Winning, l.Winner, got.Origin[winning])
		}
	}
}

func quotasInForceOrLost(t *testing.T, policies []render.Policy, got render.Effective) {
	t.Helper()
	for i := range policies {
		p := &policies[i]
		if p.Quota == nil {
			continue
		}
		at := slices.IndexFunc(got.Quotas, func(q *corev1.ResourceQuota) bool { return q.Name == p.QuotaName() })
		for name, value := range p.Quota.Hard {
			lost := slices.ContainsFunc(got.Lost, func(l render.Lost) bool {
				return l.Policy == p.Name && l.Field == "quota.hard["+string(name)+"]" && milli(l.Value) == value.MilliValue()
			})
			if force := got.Quotas[at].Spec.Hard[name]; lost == (force.Cmp(value) == 0) {
				t.Fatalf("%s\nhard[%s]=%s of %s is in force: %v, lost: %v", describe(policies), name, value.String(), p.Name, !lost, lost)
			}
		}
	}
}

// choices reads small numbers off a string of bytes; past its end they are 0.
type choices struct{ data []byte }

func (c *choices) of(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	next := c.data[0]
	c.data = c.data[1:]
	return int(next) % n
}

var (
	kinds     = []string{"Container", "Pod", "PersistentVolumeClaim"}
	bounds    = []check.Bound{check.Max, check.Min, check.Default, check.DefaultRequest, check.MaxLimitRequestRatio}
	resources = []string{"cpu", "memory", "storage", "hugepages-2Mi", "nvidia.com/gpu"}
	amounts   = []string{"1", "2", "4", "500m", "8", "1k", "1Ki", "1024"}
	scopes    = []string{"", "BestEffort", "NotTerminating"}
)

// random makes up to four policies that Parse takes.
func random(data []byte) []render.Policy {
	c := &choices{data: data}
	var out []render.Policy
	for i := range c.of(5) {
		in := policy(fmt.Sprintf("p%d", i), int32(c.of(3)))
		for range c.of(8) {
			bound(&in.Spec, []string{kinds[c.of(3)], string(bounds[c.of(5)]), resources[c.of(5)] + "=" + amounts[c.of(8)]})
		}
		if c.of(3) == 1 {
			scope := scopes[c.of(3)]
			for range 1 + c.of(3) {
				bound(&in.Spec, []string{"quota[" + scope + "]", []string{"pods", "requests.cpu", "memory"}[c.of(3)] + "=" + amounts[c.of(8)]})
			}
		}
		valid := slices.DeleteFunc(in.Spec.Limits, func(item v1alpha1.LimitItem) bool {
			alone := policy("", 0)
			alone.Spec.Limits = []v1alpha1.LimitItem{item}
			_, err := render.Parse(alone)
			return err != nil
		})
		in.Spec.Limits = valid
		if p, err := render.Parse(in); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func encode(t *testing.T, e render.Effective) string {
	t.Helper()
	text, err := json.Marshal(struct {
		Objects []any
		Lost    []render.Lost
		Origin  string
	}{[]any{e.LimitRange, e.Quotas}, e.Lost, fmt.Sprint(e.Origin)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func describe(policies []render.Policy) string {
	var out []string
	for _, p := range policies {
		for _, item := range p.Limits {
			for rule, value := range millis(item) {
				out = append(out, fmt.Sprintf("%s/%d %s=%d/1000", p.Name, p.Priority, rule, value))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// millis gives every bound of an item in thousandths: equal amounts may be written in several ways.
func millis(item corev1.LimitRangeItem) map[check.Rule]int64 {
	out := map[check.Rule]int64{}
	for rule, value := range rules(item) {
		out[rule] = milli(value)
	}
	return out
}

func milli(amount string) int64 {
	quantity := resource.MustParse(amount)
	return quantity.MilliValue()
}

// asks is what a policy asks for a bound.
func asks(p render.Policy, rule check.Rule) (int64, bool) {
	for _, item := range p.Limits {
		if value, ok := millis(item)[rule]; ok && item.Type == rule.Type {
			return value, true
		}
	}
	return 0, false
}

// ruleOf reads a path like limits[Container].max[memory].
func ruleOf(field string) (check.Rule, bool) {
	var words []string
	for word := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == '[' || r == ']' }) {
		words = append(words, strings.TrimPrefix(word, "."))
	}
	if len(words) != 4 || words[0] != "limits" {
		return check.Rule{}, false
	}
	return check.Rule{Type: corev1.LimitType(words[1]), Bound: check.Bound(words[2]), Resource: corev1.ResourceName(words[3])}, true
}

func limitsOf(item *corev1.LimitRangeItem, bound check.Bound) *corev1.ResourceList {
	list := map[check.Bound]*corev1.ResourceList{
		check.Max: &item.Max, check.Min: &item.Min, check.Default: &item.Default,
		check.DefaultRequest: &item.DefaultRequest, check.MaxLimitRequestRatio: &item.MaxLimitRequestRatio,
	}[bound]
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	return list
}
