// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"slices"
	"testing"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

func TestMergeLimits(t *testing.T) {
	for name, test := range map[string]struct {
		policies string
		// inForce holds what the API server derives only where the test speaks of it.
		inForce []string
		lost    []string
	}{
		"distinct bounds add up": {
			policies: `a/0 Container max memory=512Mi
			           b/0 Container min memory=256Mi`,
			inForce: []string{"[Container].max[memory]=512Mi a", "[Container].min[memory]=256Mi b"},
		},
		"the higher priority wins, though it is looser": {
			policies: `low/1 Container max cpu=1
			           high/2 Container max cpu=4`,
			inForce: []string{"[Container].max[cpu]=4 high"},
			lost:    []string{"low: [Container].max[cpu]=1 lost to high: 4"},
		},
		"priorities may be negative": {
			policies: `low/-7 Container max cpu=1
			           zero/0 Container max cpu=4`,
			inForce: []string{"[Container].max[cpu]=4 zero"},
			lost:    []string{"low: [Container].max[cpu]=1 lost to zero: 4"},
		},
		"of equal priority the smaller max and the larger min win": {
			policies: `a/5 Container max cpu=4
			           a/5 Container min cpu=100m
			           b/5 Container max cpu=2
			           b/5 Container min cpu=200m`,
			inForce: []string{"[Container].max[cpu]=2 b", "[Container].min[cpu]=200m b"},
			lost: []string{
				"a: [Container].max[cpu]=4 lost to b: 2",
				"a: [Container].min[cpu]=100m lost to b: 200m",
			},
		},
		"of equal priority the smaller default, default request and ratio win": {
			policies: `a/5 Container default cpu=2
			           a/5 Container defaultRequest cpu=2
			           a/5 Container maxLimitRequestRatio cpu=4
			           b/5 Container default cpu=1
			           b/5 Container defaultRequest cpu=500m
			           b/5 Container maxLimitRequestRatio cpu=2`,
			inForce: []string{
				"[Container].default[cpu]=1 b", "[Container].defaultRequest[cpu]=500m b", "[Container].maxLimitRequestRatio[cpu]=2 b",
			},
			lost: []string{
				"a: [Container].default[cpu]=2 lost to b: 1",
				"a: [Container].defaultRequest[cpu]=2 lost to b: 500m",
				"a: [Container].maxLimitRequestRatio[cpu]=4 lost to b: 2",
			},
		},
		"equal values do not lose, and both policies are behind them": {
			policies: `a/1 Container max memory=1Gi
			           b/2 Container max memory=1024Mi`,
			inForce: []string{"[Container].max[memory]=1Gi b+a"},
		},
		"a low min above a high max loses": {
			policies: `high/9 Container max memory=512Mi
			           low/1 Container min memory=1Gi`,
			inForce: []string{"[Container].max[memory]=512Mi high"},
			lost:    []string{"low: [Container].min[memory]=1Gi lost to high: max[memory]=512Mi"},
		},
		"a low max below a high min loses": {
			policies: `high/9 Container min memory=1Gi
			           low/1 Container max memory=512Mi`,
			inForce: []string{"[Container].min[memory]=1Gi high"},
			lost:    []string{"low: [Container].max[memory]=512Mi lost to high: min[memory]=1Gi"},
		},
		"of equal priority the cap stays and the floor goes": {
			policies: `a/0 Container min memory=1Gi
			           b/0 Container max memory=512Mi`,
			inForce: []string{"[Container].max[memory]=512Mi b"},
			lost:    []string{"a: [Container].min[memory]=1Gi lost to b: max[memory]=512Mi"},
		},
		"a default above somebody's max loses to it": {
			policies: `a/0 Container default cpu=2
			           a/0 Container max cpu=2
			           b/0 Container max cpu=1`,
			inForce: []string{"[Container].max[cpu]=1 b"},
			lost: []string{
				"a: [Container].default[cpu]=2 lost to b: max[cpu]=1",
				"a: [Container].max[cpu]=2 lost to b: 1",
			},
		},
		"the default that a max implies blocks a larger default request": {
			policies: `high/2 Container max cpu=1
			           low/1 Container defaultRequest cpu=2`,
			inForce: []string{"[Container].max[cpu]=1 high"},
			lost:    []string{"low: [Container].defaultRequest[cpu]=2 lost to high: max[cpu]=1"},
		},
		"the blame goes to the bound that leaves no room, not to another": {
			policies: `cap/3 Container max cpu=8
			           fill/2 Container default cpu=1
			           low/1 Container defaultRequest cpu=2`,
			inForce: []string{"[Container].default[cpu]=1 fill", "[Container].max[cpu]=8 cap"},
			lost:    []string{"low: [Container].defaultRequest[cpu]=2 lost to fill: default[cpu]=1"},
		},
		"a ratio that min and max cannot reach loses": {
			policies: `high/2 Container max cpu=2
			           high/2 Container min cpu=1
			           high/2 Container default cpu=2
			           low/1 Container maxLimitRequestRatio cpu=3`,
			inForce: []string{"[Container].default[cpu]=2 high", "[Container].max[cpu]=2 high", "[Container].min[cpu]=1 high"},
			lost:    []string{"low: [Container].maxLimitRequestRatio[cpu]=3 lost to high: max[cpu]=2"},
		},
		"a min that makes a ratio unreachable loses to it": {
			policies: `high/2 Container max cpu=2
			           high/2 Container maxLimitRequestRatio cpu=4
			           low/1 Container min cpu=1`,
			inForce: []string{"[Container].max[cpu]=2 high", "[Container].maxLimitRequestRatio[cpu]=4 high"},
			lost:    []string{"low: [Container].min[cpu]=1 lost to high: max[cpu]=2"},
		},
		"what cannot be overcommitted needs a default request equal to the max that implies the default": {
			policies: `high/2 Container max nvidia.com/gpu=4
			           low/1 Container defaultRequest nvidia.com/gpu=1`,
			inForce: []string{"[Container].max[nvidia.com/gpu]=4 high"},
			lost:    []string{"low: [Container].defaultRequest[nvidia.com/gpu]=1 lost to high: max[nvidia.com/gpu]=4"},
		},
		"a bound that found no room is accepted after all where a later one makes some": {
			policies: `high/3 Container defaultRequest nvidia.com/gpu=1
			           mid/2 Container max nvidia.com/gpu=4
			           low/1 Container default nvidia.com/gpu=1`,
			inForce: []string{
				"[Container].default[nvidia.com/gpu]=1 low", "[Container].defaultRequest[nvidia.com/gpu]=1 high", "[Container].max[nvidia.com/gpu]=4 mid",
			},
		},
		"types do not touch each other": {
			policies: `a/0 Container max cpu=1
			           b/0 Pod min cpu=2
			           c/0 PersistentVolumeClaim min storage=1Gi`,
			inForce: []string{"[Container].max[cpu]=1 a", "[PersistentVolumeClaim].min[storage]=1Gi c", "[Pod].min[cpu]=2 b"},
		},
		"resources do not touch each other": {
			policies: `a/0 Container max cpu=1
			           b/0 Container min memory=2Gi`,
			inForce: []string{"[Container].max[cpu]=1 a", "[Container].min[memory]=2Gi b"},
		},
		"claims: crossing storage": {
			policies: `a/2 PersistentVolumeClaim max storage=10Gi
			           b/1 PersistentVolumeClaim min storage=20Gi`,
			inForce: []string{"[PersistentVolumeClaim].max[storage]=10Gi a"},
			lost:    []string{"b: [PersistentVolumeClaim].min[storage]=20Gi lost to a: max[storage]=10Gi"},
		},
		"claims: a default above the min of another": {
			policies: `a/2 PersistentVolumeClaim min storage=10Gi
			           b/1 PersistentVolumeClaim max storage=40Gi
			           b/1 PersistentVolumeClaim default storage=5Gi`,
			inForce: []string{"[PersistentVolumeClaim].max[storage]=40Gi b", "[PersistentVolumeClaim].min[storage]=10Gi a"},
			lost:    []string{"b: [PersistentVolumeClaim].default[storage]=5Gi lost to a: min[storage]=10Gi"},
		},
		"claims: another resource beside storage": {
			policies: `a/1 PersistentVolumeClaim max cpu=1
			           a/1 PersistentVolumeClaim max storage=1Gi`,
			inForce: []string{"[PersistentVolumeClaim].max[cpu]=1 a", "[PersistentVolumeClaim].max[storage]=1Gi a"},
		},
		"pods: max, min and ratio": {
			policies: `a/2 Pod max cpu=4
			           b/1 Pod min cpu=8
			           b/1 Pod maxLimitRequestRatio cpu=2`,
			inForce: []string{"[Pod].max[cpu]=4 a", "[Pod].maxLimitRequestRatio[cpu]=2 b"},
			lost:    []string{"b: [Pod].min[cpu]=8 lost to a: max[cpu]=4"},
		},
		"three ranks": {
			policies: `low/1 Container max cpu=1
			           high/3 Container max cpu=3
			           mid/2 Container max cpu=2
			           mid/2 Container min cpu=500m`,
			inForce: []string{"[Container].max[cpu]=3 high", "[Container].min[cpu]=500m mid"},
			lost:    []string{"low: [Container].max[cpu]=1 lost to high: 3", "mid: [Container].max[cpu]=2 lost to high: 3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := render.Namespace("team", policies(t, test.policies))
			same(t, "in force", inForce(got), test.inForce)
			same(t, "lost", lost(got), test.lost)
		})
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s are\n%q, want\n%q", what, got, want)
	}
}

func TestOriginOfDerivedDefaults(t *testing.T) {
	got := render.Namespace("team", policies(t, `
		cap/0 Container max cpu=2
		floor/0 Container min memory=1Gi
		both/1 Container default ephemeral-storage=1Gi
		pods/0 Pod max cpu=4`))
	for rule, want := range map[check.Rule]string{
		{Type: "Container", Bound: check.Default, Resource: "cpu"}:                      "cap",
		{Type: "Container", Bound: check.DefaultRequest, Resource: "cpu"}:               "cap",
		{Type: "Container", Bound: check.DefaultRequest, Resource: "memory"}:            "floor",
		{Type: "Container", Bound: check.DefaultRequest, Resource: "ephemeral-storage"}: "both",
		{Type: "Container", Bound: check.Default, Resource: "memory"}:                   "",
		{Type: "Pod", Bound: check.Default, Resource: "cpu"}:                            "",
	} {
		var now string
		if origin := got.Origin[rule]; len(origin) > 0 {
			now = origin[0]
		}
		if now != want {
			t.Errorf("%s comes from %q, want %q", rule, now, want)
		}
	}
}

func TestMergeQuotas(t *testing.T) {
	for name, test := range map[string]struct {
		policies   string
		hard, lost []string
	}{
		"distinct resources add up": {
			policies: `a/0 quota[] pods=10
			           b/0 quota[] requests.cpu=20`,
			hard: []string{"[] pods=10", "[] requests.cpu=20"},
		},
		"the higher priority wins": {
			policies: `a/1 quota[] pods=10
			           b/2 quota[] pods=20`,
			hard: []string{"[] pods=20"},
			lost: []string{"a: quota.hard[pods]=10 lost to b: 20"},
		},
		"of equal priority the smaller wins": {
			policies: `a/1 quota[] pods=10
			           b/1 quota[] pods=20
			           c/1 quota[] pods=15`,
			hard: []string{"[] pods=10"},
			lost: []string{"b: quota.hard[pods]=20 lost to a: 10", "c: quota.hard[pods]=15 lost to a: 10"},
		},
		"a lower priority does not tighten": {
			policies: `a/1 quota[] pods=20
			           b/0 quota[] pods=10`,
			hard: []string{"[] pods=20"},
			lost: []string{"b: quota.hard[pods]=10 lost to a: 20"},
		},
		"equal amounts do not lose": {
			policies: `a/1 quota[] requests.memory=1Gi
			           b/0 quota[] requests.memory=1024Mi`,
			hard: []string{"[] requests.memory=1Gi"},
		},
		"scope sets are quotas of their own": {
			policies: `a/1 quota[] pods=10
			           b/1 quota[BestEffort] pods=5
			           c/1 quota[NotTerminating,NotBestEffort] pods=3
			           d/1 quota[NotBestEffort,NotTerminating] pods=4`,
			hard: []string{"[BestEffort] pods=5", "[NotBestEffort NotTerminating] pods=3", "[] pods=10"},
			lost: []string{"d: quota.hard[pods]=4 lost to c: 3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := render.Namespace("team", policies(t, test.policies))
			same(t, "in force", hard(got), test.hard)
			same(t, "lost", lost(got), test.lost)
		})
	}
}

func TestNothingToRender(t *testing.T) {
	got := render.Namespace("team", nil)
	if got.LimitRange != nil || got.Quotas != nil || got.Lost != nil {
		t.Errorf("without policies there is %+v", got)
	}
}
