// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package drift

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

var shopLimits = apply.Ref{
	GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "LimitRange"},
	NamespacedName:   types.NamespacedName{Namespace: "shop", Name: "fairlead"},
}

func TestText(t *testing.T) {
	change := func(path, want, found, manager string) []apply.Change {
		return []apply.Change{{Path: path, Want: want, Found: found, Manager: manager}}
	}
	for name, test := range map[string]struct {
		drift apply.Drift
		more  int
		want  string
	}{
		"changed": {
			apply.Drift{Changes: change("spec.limits[type=Container].max[memory]", "512Mi", "2Gi", "kubectl-edit"), Repaired: true, Latency: 4321 * time.Microsecond}, 0,
			"LimitRange shop/fairlead: spec.limits[type=Container].max[memory] changed from 512Mi to 2Gi by kubectl-edit; repaired after 4.3ms",
		},
		"added": {
			apply.Drift{Changes: change("spec.limits[type=Pod]", "", "{}", "kubectl-edit"), Repaired: true, Latency: time.Second}, 2,
			"LimitRange shop/fairlead: spec.limits[type=Pod]={} added by kubectl-edit; repaired after 1s (and 2 more objects)",
		},
		"removed": {
			apply.Drift{Changes: change("metadata.labels[a]", "b", "", "unknown"), Repaired: true}, 0,
			"LimitRange shop/fairlead: metadata.labels[a] removed by unknown (was b); repaired",
		},
		"deleted": {
			apply.Drift{Changes: change("", "", "", "unknown"), Repaired: true, Latency: time.Millisecond}, 0,
			"LimitRange shop/fairlead: deleted by unknown; repaired after 1ms",
		},
		"only reported": {
			apply.Drift{Changes: append(change("spec.a", "1", "2", "x"), change("spec.b", "3", "4", "y")...)}, 0,
			"LimitRange shop/fairlead: spec.a changed from 1 to 2 by x; spec.b changed from 3 to 4 by y",
		},
	} {
		test.drift.Ref = shopLimits
		if got := Text(&test.drift, test.more); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, test.want)
		}
	}
}

func TestMerge(t *testing.T) {
	record := func(field string, second int) v1alpha1.RepairRecord {
		return v1alpha1.RepairRecord{Object: "o", Field: field, Manager: "m", Time: metav1.NewTime(time.Unix(int64(second), 0))}
	}
	before := []v1alpha1.RepairRecord{record("d", 4), record("c", 3), record("b", 2), record("a", 1)}
	for name, test := range map[string]struct {
		recent []v1alpha1.RepairRecord
		want   string
	}{
		"nothing new":                {nil, "dcba"},
		"known already":              {before[:2], "dcba"},
		"one new":                    {[]v1alpha1.RepairRecord{record("e", 5)}, "edcba"},
		"the oldest go":              {[]v1alpha1.RepairRecord{record("f", 6), record("e", 5)}, "fedcb"},
		"the same at another time":   {[]v1alpha1.RepairRecord{record("d", 9)}, "ddcba"},
		"all that there is room for": {[]v1alpha1.RepairRecord{record("z", 9), record("y", 8), record("x", 7), record("w", 6), record("v", 5)}, "zyxwv"},
	} {
		var got string
		for _, r := range Merge(test.recent, before) {
			got += r.Field
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func driftAt(second int) apply.Drift {
	return apply.Drift{
		Ref: shopLimits, Repaired: true, Latency: time.Millisecond,
		Changes: []apply.Change{{
			Path: fmt.Sprintf("spec.change%d", second), Want: "1", Found: "2", Manager: "kubectl-edit",
			Time: time.Date(2026, 1, 1, 0, 0, second, 999, time.UTC),
		}},
	}
}

func TestLog(t *testing.T) {
	var log Log
	for second := range MaxRepairs + 2 {
		log.Add([]apply.Drift{driftAt(second)})
	}
	recent := log.Recent()
	if len(recent) != MaxRepairs || recent[0].Field != "spec.change6" || recent[4].Field != "spec.change2" {
		t.Errorf("recent are %+v: want the last %d, the newest first", recent, MaxRepairs)
	}
	if r := recent[0]; r.Object != "LimitRange shop/fairlead" || r.Want != "1" || r.Found != "2" || !r.Repaired || r.Time.Nanosecond() != 0 {
		t.Errorf("the record is %+v", r)
	}
	first, more := log.TakeUntold()
	if first == nil || first.Changes[0].Path != "spec.change0" || more != MaxRepairs+1 {
		t.Errorf("untold are %+v and %d more", first, more)
	}
	if again, more := log.TakeUntold(); again != nil || more != 0 {
		t.Errorf("what was told is untold again: %+v, %d", again, more)
	}
}
