// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"maps"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fairlead/fairlead/controllers/internal/pace"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

func TestVersionIn(t *testing.T) {
	for image, want := range map[string]string{
		"docker.io/istio/proxyv2:1.31.0":                                  "1.31.0",
		"docker.io/istio/proxyv2:1.31.0-distroless":                       "1.31.0",
		"registry.example.com:5000/istio/proxyv2:1.28.3-debug":            "1.28.3",
		"proxyv2:v1.30.4":                                                 "1.30.4",
		"proxyv2:1.31.0-rc.1":                                             "1.31.0-rc.1",
		"proxyv2:1.31.0-beta.0-distroless":                                "1.31.0-beta.0",
		"docker.io/istio/proxyv2:1.31.0@sha256:0123456789abcdef":          "1.31.0",
		"docker.io/istio/proxyv2@sha256:0123456789abcdef":                 "",
		"registry.example.com:5000/istio/proxyv2":                         "",
		"docker.io/istio/proxyv2:latest":                                  "",
		"docker.io/istio/proxyv2:1.31":                                    "",
		"docker.io/istio/proxyv2:1.31.0-acme.2":                           "",
		"docker.io/istio/proxyv2:1.32-alpha.89f0000000000000000000000000": "",
		"auto": "",
		"":     "",
	} {
		if got := versionIn(image); got != want {
			t.Errorf("%s: version %q, not %q", image, got, want)
		}
	}
}

const (
	// injected is what istiod 1.31 writes, shortened.
	injected = `{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["istio-envoy"],"imagePullSecrets":null,"revision":"main-1-31-0"}`
	// older is that of an istiod that wrote no revision there.
	older = `{"version":"c2a0","initContainers":["istio-init"],"containers":["istio-proxy"]}`
)

func podWith(edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1", Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop/app:1.2.3"}}},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

func labelled(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels[key] = value }
}

func sidecar(image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: image})
	}
}

func native(image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "istio-init", Image: "proxyv2:9.9.9"}, corev1.Container{Name: "istio-proxy", Image: image})
	}
}

func TestProxyOf(t *testing.T) {
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want rollout.Proxy
	}{
		"none": {podWith(), rollout.Proxy{}},
		"asks for a revision, and has none": {
			podWith(labelled("istio.io/rev", "main-1-31-0"), labelled("sidecar.istio.io/inject", "true")), rollout.Proxy{},
		},
		"native sidecar": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0"), native("istio/proxyv2:1.31.0")),
			rollout.Proxy{Revision: "main-1-31-0", Version: "1.31.0"},
		},
		"sidecar": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0"), sidecar("istio/proxyv2:1.31.0-distroless")),
			rollout.Proxy{Revision: "main-1-31-0", Version: "1.31.0"},
		},
		"template without the annotation": {
			podWith(annotated("sidecar.istio.io/status", injected), sidecar("istio/proxyv2:1.31.0")),
			rollout.Proxy{Revision: "main-1-31-0", Version: "1.31.0"},
		},
		"no revision anywhere": {
			podWith(annotated("sidecar.istio.io/status", older), sidecar("istio/proxyv2:1.9.0")),
			rollout.Proxy{Revision: "default", Version: "1.9.0"},
		},
		"status is no JSON": {
			podWith(annotated("sidecar.istio.io/status", "{"), sidecar("istio/proxyv2:1.31.0")),
			rollout.Proxy{Revision: "default", Version: "1.31.0"},
		},
		"no container": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0")),
			rollout.Proxy{Revision: "main-1-31-0"},
		},
		"image of the annotation": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0"),
				annotated("sidecar.istio.io/proxyImage", "acme/proxyv2:1.29.0"), sidecar("acme/proxyv2:1.29.0")),
			rollout.Proxy{Revision: "main-1-31-0"},
		},
		"image of the pod itself": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0"),
				annotated("proxy.istio.io/overrides", `{"containers":[{"name":"istio-proxy","image":"acme/proxyv2:1.29.0"}]}`), sidecar("acme/proxyv2:1.29.0")),
			rollout.Proxy{Revision: "main-1-31-0"},
		},
		"gateway of the chart, image auto": {
			podWith(annotated("sidecar.istio.io/status", injected), annotated("istio.io/rev", "main-1-31-0"), annotated("inject.istio.io/templates", "gateway"),
				annotated("proxy.istio.io/overrides", `{"containers":[{"name":"istio-proxy","resources":{}}]}`), sidecar("istio/proxyv2:1.31.0")),
			rollout.Proxy{Revision: "main-1-31-0", Version: "1.31.0"},
		},
		"gateway that istiod made": {
			podWith(labelled("gateway.istio.io/managed", "istio.io-gateway-controller"), labelled("sidecar.istio.io/inject", "false"),
				annotated("istio.io/rev", "main-1-31-0"), sidecar("istio/proxyv2:1.31.0")),
			rollout.Proxy{Revision: "main-1-31-0", Version: "1.31.0"},
		},
		"ztunnel": {
			podWith(labelled("sidecar.istio.io/inject", "false"), annotated("sidecar.istio.io/inject", "false"),
				annotated("istio.io/rev", "main-1-31-0"), sidecar("istio/ztunnel:1.31.0")),
			rollout.Proxy{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := proxyOf(tt.pod); got != tt.want {
				t.Errorf("%+v, not %+v", got, tt.want)
			}
		})
	}
}

// FuzzProxyOf: whatever stands in the annotations, a pod with a proxy has a revision, and no text brings it down.
func FuzzProxyOf(f *testing.F) {
	f.Add(injected, "main-1-31-0", `{"containers":[{"name":"istio-proxy"}]}`, "istio/proxyv2:1.31.0")
	f.Add(older, "", "", "a@b:c/d")
	f.Add(`{"revision":1}`, "", `{"containers":[null]}`, ":")
	f.Fuzz(func(t *testing.T, status, revision, overrides, image string) {
		p := podWith(annotated(keyInjected, status), annotated(keyRevision, revision), annotated(keyOverrides, overrides), sidecar(image))
		if got := proxyOf(p); got.Revision == "" || revision != "" && got.Revision != revision {
			t.Errorf("%+v", got)
		}
	})
}

func TestWants(t *testing.T) {
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"plain":                           {podWith(), true},
		"label false":                     {podWith(labelled("sidecar.istio.io/inject", "false")), false},
		"annotation false":                {podWith(annotated("sidecar.istio.io/inject", "false")), false},
		"the label goes first":            {podWith(labelled("sidecar.istio.io/inject", "true"), annotated("sidecar.istio.io/inject", "false")), true},
		"no answer is yes":                {podWith(labelled("sidecar.istio.io/inject", "no")), true},
		"network of the node":             {podWith(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), false},
		"ambient":                         {podWith(labelled("istio.io/dataplane-mode", "ambient")), false},
		"not ambient":                     {podWith(labelled("istio.io/dataplane-mode", "none")), true},
		"gateway that istiod made":        {podWith(labelled("gateway.istio.io/managed", "istio.io-gateway-controller")), false},
		"mirror of what the kubelet runs": {podWith(annotated("kubernetes.io/config.mirror", "1")), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wants(&tt.pod.ObjectMeta, &tt.pod.Spec); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	ref := func(apiVersion, kind string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "other"}, {APIVersion: apiVersion, Kind: kind, Name: "cart", Controller: new(true)}}
		}
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want owner
	}{
		"none":                {podWith(), owner{}},
		"of apps":             {podWith(ref("apps/v1", "StatefulSet")), owner{"StatefulSet", "cart"}},
		"the name of another": {podWith(ref("apps.kruise.io/v1beta1", "StatefulSet")), owner{"StatefulSet.apps.kruise.io", "cart"}},
		"job":                 {podWith(ref("batch/v1", "Job")), owner{"Job", "cart"}},
		"anything":            {podWith(ref("example.com/v1", "Squad")), owner{"Squad", "cart"}},
	} {
		if got := ownerOf(tt.pod).Value(); got != tt.want {
			t.Errorf("%s: %+v, not %+v", name, got, tt.want)
		}
	}
}

func TestDeployment(t *testing.T) {
	percent, number := func(s string) *intstr.IntOrString { return new(intstr.FromString(s)) }, func(n int) *intstr.IntOrString { return new(intstr.FromInt(n)) }
	rolling := func(d *appsv1.Deployment, surge, down *intstr.IntOrString) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: surge, MaxUnavailable: down}}
	}
	base := workloadFacts{kind: "Deployment", replicas: 7, disrupts: 1, settled: true, template: "4", wants: true}
	for name, tt := range map[string]struct {
		edit func(*appsv1.Deployment)
		want func(*workloadFacts)
	}{
		"a quarter, down":           {nil, nil},
		"half, down":                {func(d *appsv1.Deployment) { rolling(d, number(1), percent("50%")) }, func(w *workloadFacts) { w.disrupts = 3 }},
		"nothing, as one is added":  {func(d *appsv1.Deployment) { rolling(d, number(1), number(0)) }, func(w *workloadFacts) { w.disrupts = 0 }},
		"a little, down to nothing": {func(d *appsv1.Deployment) { rolling(d, percent("1%"), percent("10%")) }, func(w *workloadFacts) { w.disrupts = 0 }},
		"neither is possible":       {func(d *appsv1.Deployment) { rolling(d, number(0), percent("10%")) }, nil},
		"more than there are":       {func(d *appsv1.Deployment) { rolling(d, number(1), number(20)) }, func(w *workloadFacts) { w.disrupts = 7 }},
		"Recreate": {func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		}, func(w *workloadFacts) { w.disrupts = 7 }},
		"not seen":       {func(d *appsv1.Deployment) { d.Generation++ }, func(w *workloadFacts) { w.settled = false }},
		"old pods left":  {func(d *appsv1.Deployment) { d.Status.Replicas = 8 }, func(w *workloadFacts) { w.settled = false }},
		"new ones to be": {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 6 }, func(w *workloadFacts) { w.settled = false }},
		"no controller":  {func(d *appsv1.Deployment) { d.Annotations = nil }, func(w *workloadFacts) { w.settled, w.template = false, "" }},
		"paused midway": {func(d *appsv1.Deployment) { d.Spec.Paused, d.Status.UpdatedReplicas = true, 3 }, func(w *workloadFacts) {
			w.still, w.untouchable = true, "it is paused"
		}},
		"paused just now": {func(d *appsv1.Deployment) { d.Spec.Paused = true; d.Generation++ }, func(w *workloadFacts) {
			w.settled, w.still, w.untouchable = false, true, "it is paused"
		}},
		"kept from us": {func(d *appsv1.Deployment) { d.Annotations["fleet.fairlead.io/paused"] = "true" }, func(w *workloadFacts) {
			w.untouchable = "its annotation fleet.fairlead.io/paused keeps Fairlead away"
		}},
		"goes": {func(d *appsv1.Deployment) { d.DeletionTimestamp = new(metav1.Now()) }, func(w *workloadFacts) { w.untouchable = "it is being deleted" }},
		// The label of a member namespace goes before that of a pod.
		"names a revision": {func(d *appsv1.Deployment) { d.Spec.Template.Labels["istio.io/rev"] = "old" }, func(*workloadFacts) {}},
		"restarted": {func(d *appsv1.Deployment) {
			d.Annotations["fleet.fairlead.io/restarted-at"] = "2026-11-01T00:00:00.000000001Z"
			d.Spec.Template.Annotations = map[string]string{"fleet.fairlead.io/restarted-for": "main-1-31-0@1.31.0#2"}
		}, func(w *workloadFacts) {
			w.restartedAt, w.cause = "2026-11-01T00:00:00.000000001Z", "main-1-31-0@1.31.0#2"
		}},
		"wants none":    {func(d *appsv1.Deployment) { d.Spec.Template.Labels["sidecar.istio.io/inject"] = "false" }, func(w *workloadFacts) { w.wants = false }},
		"ours":          {func(d *appsv1.Deployment) { d.Labels = map[string]string{"fleet.fairlead.io/mesh": "main"} }, func(w *workloadFacts) { w.ours = true }},
		"ours, by pods": {func(d *appsv1.Deployment) { d.Spec.Template.Labels["fleet.fairlead.io/mesh"] = "main" }, func(w *workloadFacts) { w.ours = true }},
		"one by default": {func(d *appsv1.Deployment) { d.Spec.Replicas, d.Status.Replicas, d.Status.UpdatedReplicas = nil, 1, 1 }, func(w *workloadFacts) {
			w.replicas, w.disrupts = 1, 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Generation: 3, Annotations: map[string]string{"deployment.kubernetes.io/revision": "4"}},
				Spec:       appsv1.DeploymentSpec{Replicas: new(int32(7)), Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "cart"}}}},
				Status:     appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 7, UpdatedReplicas: 7},
			}
			want := base
			if tt.edit != nil {
				tt.edit(d)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			if got := trimDeployment(d).workloadFacts; got != want {
				t.Errorf("is\n%+v, not\n%+v", got, want)
			}
		})
	}
}

func TestStatefulSet(t *testing.T) {
	base := workloadFacts{kind: "StatefulSet", replicas: 5, disrupts: 1, settled: true, template: "db-7f", wants: true}
	rolling := func(s *appsv1.StatefulSet, update appsv1.RollingUpdateStatefulSetStrategy) {
		s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &update}
	}
	for name, tt := range map[string]struct {
		edit func(*appsv1.StatefulSet)
		want func(*workloadFacts)
	}{
		"one at a time": {nil, nil},
		"some at a time": {func(s *appsv1.StatefulSet) {
			rolling(s, appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: new(intstr.FromString("30%"))})
		}, func(w *workloadFacts) { w.disrupts = 2 }},
		"partition of none": {func(s *appsv1.StatefulSet) {
			rolling(s, appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(0))})
		}, nil},
		"not seen":    {func(s *appsv1.StatefulSet) { s.Generation++ }, func(w *workloadFacts) { w.settled = false }},
		"midway":      {func(s *appsv1.StatefulSet) { s.Status.UpdatedReplicas = 2 }, func(w *workloadFacts) { w.settled = false }},
		"none at all": {func(s *appsv1.StatefulSet) { s.Spec.Replicas = new(int32(0)) }, func(w *workloadFacts) { w.replicas, w.disrupts = 0, 0 }},
		"partition, midway": {func(s *appsv1.StatefulSet) {
			rolling(s, appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(3))})
			s.Status.UpdatedReplicas = 1
		}, func(w *workloadFacts) {
			w.settled, w.still, w.untouchable = false, true, "the partition of its update strategy keeps pods below number 3 as they are"
		}},
		"partition, as far": {func(s *appsv1.StatefulSet) {
			rolling(s, appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(3))})
			s.Status.UpdatedReplicas = 2
		}, func(w *workloadFacts) {
			w.still, w.untouchable = true, "the partition of its update strategy keeps pods below number 3 as they are"
		}},
		"OnDelete, any pods": {func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
			s.Status.UpdatedReplicas = 0
		}, func(w *workloadFacts) { w.still, w.untouchable = true, "its update strategy is OnDelete" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := &appsv1.StatefulSet{
				ObjectMeta: metav1.ObjectMeta{Generation: 3},
				Spec:       appsv1.StatefulSetSpec{Replicas: new(int32(5)), UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}},
				Status:     appsv1.StatefulSetStatus{ObservedGeneration: 3, UpdatedReplicas: 5, UpdateRevision: "db-7f"},
			}
			want := base
			if tt.edit != nil {
				tt.edit(s)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			if got := trimStatefulSet(s).workloadFacts; got != want {
				t.Errorf("is\n%+v, not\n%+v", got, want)
			}
		})
	}
}

func TestDaemonSet(t *testing.T) {
	base := workloadFacts{kind: "DaemonSet", replicas: 7, disrupts: 1, settled: true, wants: true}
	rolling := func(d *appsv1.DaemonSet, surge, down intstr.IntOrString) {
		d.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: &surge, MaxUnavailable: &down}}
	}
	for name, tt := range map[string]struct {
		edit func(*appsv1.DaemonSet)
		want func(*workloadFacts)
	}{
		"one at a time":  {nil, nil},
		"a tenth, up":    {func(d *appsv1.DaemonSet) { rolling(d, intstr.FromInt(0), intstr.FromString("15%")) }, func(w *workloadFacts) { w.disrupts = 2 }},
		"others before":  {func(d *appsv1.DaemonSet) { rolling(d, intstr.FromInt(1), intstr.FromInt(0)) }, func(w *workloadFacts) { w.disrupts = 0 }},
		"no node for it": {func(d *appsv1.DaemonSet) { d.Status = appsv1.DaemonSetStatus{ObservedGeneration: 3} }, func(w *workloadFacts) { w.replicas, w.disrupts = 0, 0 }},
		"not seen":       {func(d *appsv1.DaemonSet) { d.Generation++ }, func(w *workloadFacts) { w.settled = false }},
		"midway":         {func(d *appsv1.DaemonSet) { d.Status.UpdatedNumberScheduled = 6 }, func(w *workloadFacts) { w.settled = false }},
		"OnDelete, stale": {func(d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
			d.Status.UpdatedNumberScheduled = 0
		}, func(w *workloadFacts) { w.still, w.untouchable = true, "its update strategy is OnDelete" }},
	} {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.DaemonSet{
				ObjectMeta: metav1.ObjectMeta{Generation: 3},
				Spec:       appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType}},
				Status:     appsv1.DaemonSetStatus{ObservedGeneration: 3, DesiredNumberScheduled: 7, UpdatedNumberScheduled: 7},
			}
			want := base
			if tt.edit != nil {
				tt.edit(d)
			}
			if tt.want != nil {
				tt.want(&want)
			}
			if got := trimDaemonSet(d).workloadFacts; got != want {
				t.Errorf("is\n%+v, not\n%+v", got, want)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	for name, tt := range map[string]struct {
		budget  policyv1.PodDisruptionBudget
		selects bool
		allowed int
	}{
		"selects":        {policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}}}, Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 2}}, true, 2},
		"empty is all":   {policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}}, true, 0},
		"none is none":   {policyv1.PodDisruptionBudget{}, false, 0},
		"wrong is none":  {policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}}}, false, 0},
		"not yet looked": {policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}, Status: policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 3}}, true, 0},
	} {
		b := trimBudget(&tt.budget)
		if got := b.selector.Matches(labels.Set{"app": "cart"}); got != tt.selects || b.allowed != tt.allowed {
			t.Errorf("%s: selects %v, allows %d", name, got, b.allowed)
		}
	}
}

// TestObserve: what is told of a namespace that has one of each.
func TestObserve(t *testing.T) {
	right, wrong := rollout.Proxy{Revision: "new", Version: "1.31.0"}, rollout.Proxy{Revision: "old", Version: "1.30.4"}
	made := func(name string, by owner, template string, proxy rollout.Proxy, edit ...func(*podFacts)) *pod {
		facts := podFacts{owner: unique.Make(by), template: unique.Make(template), proxy: unique.Make(proxy), ready: true, wants: true}
		for _, e := range edit {
			e(&facts)
		}
		return &pod{object{"shop", name, "1"}, facts}
	}
	set := func(name string, by owner, template string) *replicaSet {
		return &replicaSet{object{"shop", name, "1"}, replicaSetFacts{unique.Make(by), unique.Make(template)}}
	}
	workloadOf := func(kind, name string, edit func(*workload)) *workload {
		w := &workload{object: object{"shop", name, "1"}, workloadFacts: workloadFacts{kind: kind, replicas: 2, disrupts: 1, settled: true, wants: true}, labels: map[string]string{"app": name}}
		edit(w)
		return w
	}
	unready, wantless, terminates, ours := func(p *podFacts) { p.ready = false }, func(p *podFacts) { p.wants = false }, func(p *podFacts) { p.terminates = true }, func(p *podFacts) { p.ours = true }
	s := &sight{
		workloads: []*workload{
			workloadOf("Deployment", "cart", func(w *workload) { w.template, w.cause, w.restartedAt = "2", "new@1.31.0#1", "2026-11-01T10:00:00.5Z" }),
			workloadOf("Deployment", "asleep", func(w *workload) { w.replicas = 0 }),
			workloadOf("Deployment", "woken", func(w *workload) { w.replicas, w.cause, w.restartedAt = 0, "c", "soon" }),
			workloadOf("Deployment", "refused", func(w *workload) { w.template = "1" }),
			workloadOf("Deployment", "plain", func(w *workload) { w.wants = false }),
			workloadOf("Deployment", "parting", func(w *workload) { w.wants, w.template, w.settled = false, "2", false }),
			workloadOf("Deployment", "gateway", func(w *workload) { w.ours = true }),
			workloadOf("Deployment", "paused", func(w *workload) { w.still, w.untouchable, w.template = true, "it is paused", "2" }),
			workloadOf("StatefulSet", "db", func(w *workload) { w.template = "db-2" }),
			workloadOf("StatefulSet", "stale", func(w *workload) { w.template = "stale-2" }),
			workloadOf("DaemonSet", "log", func(*workload) {}),
			workloadOf("DaemonSet", "mixed", func(*workload) {}),
		},
		replicaSets: map[string]*replicaSet{
			"cart-1": set("cart-1", owner{"Deployment", "cart"}, "1"), "cart-2": set("cart-2", owner{"Deployment", "cart"}, "2"),
			"parting-1": set("parting-1", owner{"Deployment", "parting"}, "1"), "parting-2": set("parting-2", owner{"Deployment", "parting"}, "2"),
			"paused-1": set("paused-1", owner{"Deployment", "paused"}, "1"), "gateway-1": set("gateway-1", owner{"Deployment", "gateway"}, "1"),
			"blue-1": set("blue-1", owner{"Rollout", "blue"}, ""), "lone": set("lone", owner{}, ""),
		},
		budgets: []*budget{
			{object{"shop", "z-all", "1"}, labels.Everything(), 1},
			{object{"shop", "cart", "1"}, labels.SelectorFromSet(labels.Set{"app": "cart"}), 1},
		},
		pods: []*pod{
			made("cart-a", owner{"ReplicaSet", "cart-2"}, "", right), made("cart-b", owner{"ReplicaSet", "cart-2"}, "", right, unready),
			made("cart-c", owner{"ReplicaSet", "cart-1"}, "", wrong, terminates),
			made("cart-d", owner{"ReplicaSet", "cart-3"}, "", wrong),
			made("parting-a", owner{"ReplicaSet", "parting-1"}, "", wrong), made("parting-b", owner{"ReplicaSet", "parting-2"}, "", rollout.Proxy{}, wantless),
			made("paused-a", owner{"ReplicaSet", "paused-1"}, "", wrong),
			made("gateway-a", owner{"ReplicaSet", "gateway-1"}, "", wrong),
			made("db-0", owner{"StatefulSet", "db"}, "db-2", right), made("db-1", owner{"StatefulSet", "db"}, "db-2", wrong),
			made("stale-0", owner{"StatefulSet", "stale"}, "stale-1", wrong), made("stale-1", owner{"StatefulSet", "stale"}, "stale-1", wrong),
			made("log-a", owner{"DaemonSet", "log"}, "6c", right), made("log-b", owner{"DaemonSet", "log"}, "6c", rollout.Proxy{}),
			made("mixed-a", owner{"DaemonSet", "mixed"}, "6c", right), made("mixed-b", owner{"DaemonSet", "mixed"}, "7d", right),
			made("blue-a", owner{"ReplicaSet", "blue-1"}, "", wrong), made("lone-a", owner{"ReplicaSet", "lone"}, "", wrong),
			made("once-a", owner{"Job", "once"}, "", rollout.Proxy{}), made("once-b", owner{"Job", "once"}, "", wrong, unready),
			made("bare", owner{}, "", rollout.Proxy{}), made("bare-none", owner{}, "", rollout.Proxy{}, wantless), made("bare-ours", owner{}, "", wrong, ours),
			made("early-0", owner{"StatefulSet", "early"}, "early-1", wrong),
		},
	}
	all := []string{"shop/z-all"}
	want := []rollout.Workload{
		{Kind: "DaemonSet", Name: "log", Replicas: 2, Ready: 2, RolledOut: true, Proxies: map[rollout.Proxy]int{right: 1, {}: 1}, Disrupts: 1, Budgets: all},
		{Kind: "DaemonSet", Name: "mixed", Replicas: 2, Ready: 2, Proxies: map[rollout.Proxy]int{right: 2}, Disrupts: 1, Budgets: all},
		{
			Kind: "Deployment", Name: "cart", Replicas: 2, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{right: 2}, Disrupts: 1,
			Budgets: []string{"shop/cart", "shop/z-all"}, Cause: "new@1.31.0#1", RestartedAt: time.Date(2026, 11, 1, 10, 0, 0, 5e8, time.UTC),
		},
		{Kind: "Deployment", Name: "parting", Replicas: 2, Ready: 2, Proxies: map[rollout.Proxy]int{wrong: 1}, Disrupts: 1, Budgets: all},
		{Kind: "Deployment", Name: "paused", Replicas: 2, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{wrong: 1}, Disrupts: 1, Budgets: all, Untouchable: "it is paused"},
		{Kind: "Deployment", Name: "refused", Replicas: 2, Disrupts: 1, Budgets: all},
		{Kind: "Deployment", Name: "woken", RolledOut: true, Disrupts: 1, Budgets: all, Cause: "c"},
		{Kind: "Job", Name: "once", Replicas: 2, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{{}: 1, wrong: 1}},
		{Kind: "Pod", Name: "bare", Replicas: 1, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{{}: 1}},
		{Kind: "ReplicaSet", Name: "lone", Replicas: 1, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{wrong: 1}},
		{Kind: "Rollout", Name: "blue", Replicas: 1, Ready: 1, RolledOut: true, Proxies: map[rollout.Proxy]int{wrong: 1}},
		{Kind: "StatefulSet", Name: "db", Replicas: 2, Ready: 2, RolledOut: true, Proxies: map[rollout.Proxy]int{right: 1, wrong: 1}, Disrupts: 1, Budgets: all},
		{Kind: "StatefulSet", Name: "stale", Replicas: 2, Ready: 2, Proxies: map[rollout.Proxy]int{wrong: 2}, Disrupts: 1, Budgets: all},
	}
	got := s.observe()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%d workloads, not %d: %+v", len(got), len(want), got)
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("is\n%+v, not\n%+v", got[i], want[i])
		}
	}
}

// TestChangesAreGathered: what happens at the same moment is told once, what comes later again.
func TestChangesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := map[Change]int{}
		c := newChanges(func(change Change) { told[change]++ })
		go c.run(t.Context())
		for range 1000 {
			c.add(Change{"shop", "new"})
			c.add(Change{"shop", ""})
		}
		time.Sleep(2 * pace.Gather)
		synctest.Wait()
		c.add(Change{"shop", "new"})
		time.Sleep(2 * pace.Gather)
		synctest.Wait()
		if want := (map[Change]int{{"shop", "new"}: 2, {"shop", ""}: 1}); !maps.Equal(told, want) {
			t.Errorf("told %v, not %v", told, want)
		}
	})
}
