// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

type bounds = map[check.Bound]string

func containers(b bounds) []corev1.LimitRangeItem {
	return []corev1.LimitRangeItem{item(corev1.LimitTypeContainer, b)}
}

func wholePod(b bounds) []corev1.LimitRangeItem {
	return []corev1.LimitRangeItem{item(corev1.LimitTypePod, b)}
}

type podCase struct {
	items []corev1.LimitRangeItem
	spec  *corev1.PodSpec
	want  []string
}

func runPodCases(t *testing.T, cases map[string]podCase) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.spec.DeepCopy()
			limits := check.Compile(check.Defaulted(tc.items))
			equal(t, "findings", tc.want, lines(limits.Pod(tc.spec)))
			equal(t, "findings, asked again", tc.want, lines(limits.Pod(tc.spec)))
			equal(t, "the input changed", before, tc.spec)
		})
	}
}

func TestPodContainers(t *testing.T) {
	memory := containers(bounds{check.Max: "memory=512Mi", check.Min: "memory=256Mi"})
	runPodCases(t, map[string]podCase{
		"within": {memory, pod(container("app", "memory=256Mi", "memory=512Mi")), nil},
		"limit too high": {memory, pod(container("app", "memory=256Mi", "memory=2Gi")), []string{
			"Refused app limits[Container].max[memory]: maximum memory usage per Container is 512Mi, but limit is 2Gi",
		}},
		"limit too low": {memory, pod(container("app", "memory=256Mi", "memory=255Mi")), []string{
			"Refused app limits[Container].min[memory]: minimum memory usage per Container is 256Mi, but limit is 255Mi",
		}},
		"a template's request follows its limit": {memory, pod(container("app", "", "memory=128Mi")), []string{
			"Refused app limits[Container].min[memory]: minimum memory usage per Container is 256Mi, but request is 128Mi",
		}},
		"one byte too much": {memory, pod(container("app", "memory=256Mi", "memory=536870913")), []string{
			"Refused app limits[Container].max[memory]: maximum memory usage per Container is 512Mi, but limit is 536870913",
		}},
		"every rule that is broken": {memory, pod(container("app", "memory=64Mi", "memory=1Gi"), container("log", "memory=1", "memory=300Mi")), []string{
			"Refused app limits[Container].min[memory]: minimum memory usage per Container is 256Mi, but request is 64Mi",
			"Refused app limits[Container].max[memory]: maximum memory usage per Container is 512Mi, but limit is 1Gi",
			"Refused log limits[Container].min[memory]: minimum memory usage per Container is 256Mi, but request is 1",
		}},
		"nothing set": {memory, pod(container("app", "", "")), []string{
			"Changed app limits[Container].default[memory]: memory limit for container app set to 512Mi",
			"Changed app limits[Container].defaultRequest[memory]: memory request for container app set to 512Mi",
		}},
		"request above the limit that max implies": {memory, pod(container("app", "memory=2Gi", "")), []string{
			"Changed app limits[Container].default[memory]: memory limit for container app set to 512Mi",
			"Refused app limits[Container].max[memory]: maximum memory usage per Container is 512Mi, but request is 2Gi",
			`Refused app limits[Container].default[memory]: spec.containers[0].resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 512Mi`,
		}},
		"init containers count too": {memory, &corev1.PodSpec{InitContainers: []corev1.Container{container("setup", "", "memory=1Gi")}}, []string{
			"Refused setup limits[Container].max[memory]: maximum memory usage per Container is 512Mi, but limit is 1Gi",
		}},
		"no limit and nothing to fill in": {
			[]corev1.LimitRangeItem{}, pod(container("app", "memory=2Gi", "")), nil,
		},
		"ratio": {
			containers(bounds{check.MaxLimitRequestRatio: "cpu=2"}),
			pod(container("a", "cpu=100m", "cpu=200m"), container("b", "cpu=100m", "cpu=201m"), container("c", "cpu=100m", "")),
			[]string{
				"Refused b limits[Container].maxLimitRequestRatio[cpu]: cpu max limit to request ratio per Container is 2, but provided ratio is 2.010000",
				"Refused c limits[Container].maxLimitRequestRatio[cpu]: cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
			},
		},
		"ratio without a request": {
			containers(bounds{check.MaxLimitRequestRatio: "cpu=2"}), pod(container("app", "", "")), []string{
				"Refused app limits[Container].maxLimitRequestRatio[cpu]: cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
			},
		},
	})
}

// TestPodWithoutItemDefaults shows items that did not go through the API server's defaults: nothing is implied.
func TestPodWithoutItemDefaults(t *testing.T) {
	limits := check.Compile(containers(bounds{check.Max: "cpu=1", check.Min: "cpu=100m"}))
	want := []string{
		"Refused app limits[Container].min[cpu]: minimum cpu usage per Container is 100m.  No request is specified",
		"Refused app limits[Container].max[cpu]: maximum cpu usage per Container is 1.  No limit is specified",
	}
	equal(t, "findings", want, lines(limits.Pod(pod(container("app", "", "")))))
}

func TestPodTotals(t *testing.T) {
	most := wholePod(bounds{check.Max: "memory=1Gi"})
	runPodCases(t, map[string]podCase{
		"containers add up": {most, pod(container("a", "", "memory=512Mi"), container("b", "", "memory=513Mi")), []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 1025Mi",
		}},
		"an init container runs alone": {most, &corev1.PodSpec{
			InitContainers: []corev1.Container{container("setup", "", "memory=1Gi")},
			Containers:     []corev1.Container{container("app", "", "memory=1Gi")},
		}, nil},
		"a sidecar runs beside what follows it": {most, &corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar("proxy", "", "memory=256Mi"), container("setup", "", "memory=1Gi")},
			Containers:     []corev1.Container{container("app", "", "memory=512Mi")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 1280Mi",
		}},
		"but not what comes before it": {most, &corev1.PodSpec{
			InitContainers: []corev1.Container{container("setup", "", "memory=1Gi"), sidecar("proxy", "", "memory=256Mi")},
			Containers:     []corev1.Container{container("app", "", "memory=512Mi")},
		}, nil},
		"filled-in values count": {
			append(containers(bounds{check.Default: "memory=768Mi"}), most...),
			pod(container("a", "memory=1", "memory=1"), container("b", "", ""), container("c", "memory=1", "memory=256Mi")),
			[]string{
				"Changed b limits[Container].default[memory]: memory limit for container b set to 768Mi",
				"Changed b limits[Container].defaultRequest[memory]: memory request for container b set to 768Mi",
				"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 1073741825",
			},
		},
		"a pod's own limit counts instead of the sum": {most, &corev1.PodSpec{
			Resources:  &corev1.ResourceRequirements{Limits: list("memory=2Gi")},
			Containers: []corev1.Container{container("a", "", "memory=512Mi")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 2Gi",
		}},
		"a pod's limit rises to its request": {most, &corev1.PodSpec{
			Resources:  &corev1.ResourceRequirements{Requests: list("memory=2Gi")},
			Containers: []corev1.Container{container("a", "", "memory=512Mi")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 2Gi",
		}},
		"not for huge pages": {wholePod(bounds{check.Max: string(hugePages) + "=2Mi"}), &corev1.PodSpec{
			Resources:  &corev1.ResourceRequirements{Limits: list("cpu=1 " + string(hugePages) + "=4Mi")},
			Containers: []corev1.Container{container("a", "", "cpu=1 "+string(hugePages)+"=2Mi")},
		}, nil},
		"nor if a container has no limit": {most, &corev1.PodSpec{
			Resources:  &corev1.ResourceRequirements{Requests: list("memory=2Gi")},
			Containers: []corev1.Container{container("a", "", "memory=512Mi"), container("b", "", "")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but request is 2Gi",
		}},
		"a pod's request follows its limit": {wholePod(bounds{check.Min: "memory=1Gi"}), &corev1.PodSpec{
			Resources:  &corev1.ResourceRequirements{Limits: list("memory=1Gi")},
			Containers: []corev1.Container{container("a", "", "")},
		}, nil},
		"a sidecar runs beside the containers": {most, &corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar("proxy", "", "memory=513Mi")},
			Containers:     []corev1.Container{container("app", "", "memory=512Mi")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 1025Mi",
		}},
		"sidecars add up while they start": {most, &corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar("a", "", "memory=768Mi"), sidecar("b", "", "memory=768Mi")},
			Containers:     []corev1.Container{container("app", "", "memory=-1Gi")},
		}, []string{
			"Refused  limits[Pod].max[memory]: maximum memory usage per Pod is 1Gi, but limit is 1536Mi",
		}},
		"ratio of the sums": {wholePod(bounds{check.MaxLimitRequestRatio: "cpu=2"}),
			pod(container("a", "cpu=100m", "cpu=400m"), container("b", "cpu=1", "cpu=2")), []string{
				"Refused  limits[Pod].maxLimitRequestRatio[cpu]: cpu max limit to request ratio per Pod is 2, but provided ratio is 2.181818",
			}},
		// The plugin takes such sums modulo 2^64, and so must we.
		"sums beyond 64 bits": {
			append(containers(bounds{check.DefaultRequest: "memory=1e20"}), wholePod(bounds{check.Min: "memory=1"})...),
			pod(container("a", "", ""), container("b", "", "")), []string{
				"Changed a limits[Container].defaultRequest[memory]: memory request for container a set to 100e18",
				"Changed b limits[Container].defaultRequest[memory]: memory request for container b set to 100e18",
				"Refused  limits[Pod].min[memory]: minimum memory usage per Pod is 1, but request is 200e18",
			},
		},
		"one large value coarsens the comparison": {
			wholePod(bounds{check.Min: "cpu=1500m"}), pod(container("a", "cpu=1200m", "cpu=9223372036854776")), nil,
		},
	})
}

// TestPodMadeInvalid shows pods that the plugin would let pass and its defaults spoil.
func TestPodMadeInvalid(t *testing.T) {
	level := func(requests, limits string, list ...corev1.Container) *corev1.PodSpec {
		r := asks(requests, limits)
		return &corev1.PodSpec{Resources: &r, Containers: list}
	}
	runPodCases(t, map[string]podCase{
		"default below the request": {
			containers(bounds{check.Default: "cpu=500m", check.Max: "cpu=4"}), pod(container("app", "cpu=1", "")), []string{
				"Changed app limits[Container].default[cpu]: cpu limit for container app set to 500m",
				`Refused app limits[Container].default[cpu]: spec.containers[0].resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 500m`,
			},
		},
		"a minimum of devices for containers that ask for none": {
			containers(bounds{check.Min: "nvidia.com/gpu=1"}), pod(container("app", "", "")), []string{
				"Changed app limits[Container].defaultRequest[nvidia.com/gpu]: nvidia.com/gpu request for container app set to 1",
				"Refused app limits[Container].defaultRequest[nvidia.com/gpu]: spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
			},
		},
		"half a device": {
			containers(bounds{check.Default: "nvidia.com/gpu=500m"}), pod(container("app", "nvidia.com/gpu=1", "nvidia.com/gpu=1"), container("log", "", "")), []string{
				"Changed log limits[Container].default[nvidia.com/gpu]: nvidia.com/gpu limit for container log set to 500m",
				"Changed log limits[Container].defaultRequest[nvidia.com/gpu]: nvidia.com/gpu request for container log set to 500m",
				`Refused log limits[Container].default[nvidia.com/gpu]: spec.containers[1].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer`,
				`Refused log limits[Container].defaultRequest[nvidia.com/gpu]: spec.containers[1].resources.requests[nvidia.com/gpu]: Invalid value: "500m": must be an integer`,
			},
		},
		"huge pages alone": {
			containers(bounds{check.Default: string(hugePages) + "=3Mi"}), pod(container("app", "", "")), []string{
				"Changed app limits[Container].default[hugepages-2Mi]: hugepages-2Mi limit for container app set to 3Mi",
				"Changed app limits[Container].defaultRequest[hugepages-2Mi]: hugepages-2Mi request for container app set to 3Mi",
				`Refused app limits[Container].default[hugepages-2Mi]: spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
				`Refused app limits[Container].defaultRequest[hugepages-2Mi]: spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
				"Refused app limits[Container].default[hugepages-2Mi]: spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
			},
		},
		"more than the pod's own request": {
			containers(bounds{check.DefaultRequest: "cpu=1"}), level("cpu=1500m", "", container("a", "", ""), container("b", "", "")), []string{
				"Changed a limits[Container].defaultRequest[cpu]: cpu request for container a set to 1",
				"Changed b limits[Container].defaultRequest[cpu]: cpu request for container b set to 1",
				`Refused  limits[Container].defaultRequest[cpu]: spec.resources.requests[cpu]: Invalid value: "1500m": must be greater than or equal to aggregate container requests of 2`,
			},
		},
		"more than the pod's own limit": {
			containers(bounds{check.Default: "cpu=2", check.DefaultRequest: "cpu=1"}), level("", "cpu=1500m", container("a", "", ""), container("b", "", "")), []string{
				"Changed a limits[Container].default[cpu]: cpu limit for container a set to 2",
				"Changed a limits[Container].defaultRequest[cpu]: cpu request for container a set to 1",
				"Changed b limits[Container].default[cpu]: cpu limit for container b set to 2",
				"Changed b limits[Container].defaultRequest[cpu]: cpu request for container b set to 1",
				`Refused  limits[Container].defaultRequest[cpu]: spec.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m`,
				`Refused a limits[Container].default[cpu]: spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1500m`,
				`Refused b limits[Container].default[cpu]: spec.resources.containers[1][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1500m`,
			},
		},
	})
}

func TestPodNil(t *testing.T) {
	if got := (*check.Limits)(nil).Pod(pod(container("app", "", ""))); got != nil {
		t.Errorf("nil limits: %v", got)
	}
	if got := compile(containers(bounds{check.Max: "cpu=1"})...).Pod(nil); got != nil {
		t.Errorf("nil spec: %v", got)
	}
}

func TestFindingValue(t *testing.T) {
	findings := compile(containers(bounds{check.Default: "memory=0.5Gi"})...).Pod(pod(container("app", "", "")))
	if len(findings) != 2 || check.AnyRefused(findings) {
		t.Fatalf("findings: %v", lines(findings))
	}
	for _, f := range findings {
		if f.Value.Cmp(resource.MustParse("512Mi")) != 0 {
			t.Errorf("%s fills in %s", f.Rule, f.Value.String())
		}
	}
	if refused := compile(wholePod(bounds{check.Max: "cpu=1"})...).Pod(pod(container("app", "", "cpu=2"))); !check.AnyRefused(refused) {
		t.Errorf("not refused: %v", lines(refused))
	}
}

func TestClaim(t *testing.T) {
	limits := compile(item(corev1.LimitTypePersistentVolumeClaim, bounds{check.Max: "storage=10Gi", check.Min: "storage=1Gi", check.MaxLimitRequestRatio: "storage=2"}))
	for name, tc := range map[string]struct {
		resources corev1.VolumeResourceRequirements
		want      []string
	}{
		"within":          {corev1.VolumeResourceRequirements{Requests: list("storage=10Gi")}, nil},
		"limits are free": {corev1.VolumeResourceRequirements{Requests: list("storage=1Gi"), Limits: list("storage=1Ti")}, nil},
		"too much": {corev1.VolumeResourceRequirements{Requests: list("storage=100Gi")}, []string{
			"Refused  limits[PersistentVolumeClaim].max[storage]: maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 100Gi",
		}},
		"too little": {corev1.VolumeResourceRequirements{Requests: list("storage=500Mi")}, []string{
			"Refused  limits[PersistentVolumeClaim].min[storage]: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi",
		}},
		"nothing asked for": {corev1.VolumeResourceRequirements{}, []string{
			"Refused  limits[PersistentVolumeClaim].min[storage]: minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified",
			"Refused  limits[PersistentVolumeClaim].max[storage]: maximum storage usage per PersistentVolumeClaim is 10Gi.  No request is specified",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := limits.Claim(&corev1.PersistentVolumeClaimSpec{Resources: tc.resources})
			equal(t, "findings", tc.want, lines(got))
			if !slices.Equal(lines(got), lines(limits.Claim(&corev1.PersistentVolumeClaimSpec{Resources: tc.resources}))) {
				t.Error("two runs differ")
			}
		})
	}
	if got := limits.Pod(pod(container("app", "", ""))); got != nil {
		t.Errorf("a claim's item touches a pod: %v", lines(got))
	}
}
