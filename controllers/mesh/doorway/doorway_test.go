// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/doorway"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// of gives the objects of a type.
func of[T client.Object](objects []client.Object) []T {
	var out []T
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			out = append(out, typed)
		}
	}
	return out
}

// istio gives Istio's objects of a kind.
func istio(objects []client.Object, kind string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range of[*unstructured.Unstructured](objects) {
		if o.GetKind() == kind {
			out = append(out, o)
		}
	}
	return out
}

// TestParts says which objects a gateway has, in every version.
func TestParts(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"proxies alone": {`{name: a, namespace: b, scaling: {replicas: 1}}`, "Deployment Service"},
		"two":           {`{name: a, namespace: b}`, "Deployment PodDisruptionBudget Service"},
		"one or more":   {`{name: a, namespace: b, scaling: {minReplicas: 1, maxReplicas: 3}}`, "Deployment HorizontalPodAutoscaler Service"},
		"two or more":   {`{name: a, namespace: b, scaling: {maxReplicas: 3}}`, "Deployment HorizontalPodAutoscaler PodDisruptionBudget Service"},
		"hosts":         {`{name: a, namespace: b, scaling: {replicas: 1}, hosts: [x.y]}`, "Deployment Gateway Service"},
		"routes": {
			`{name: a, namespace: b, scaling: {replicas: 1}, hosts: [x.y, z.y], routes: [{pathPrefix: /, service: {name: s}}]}`,
			"Deployment Gateway Service VirtualService",
		},
		"routes of some hosts": {
			`{name: a, namespace: b, scaling: {replicas: 1}, hosts: [x.y, z.y], routes: [{hosts: [z.y], service: {name: s}}]}`,
			"Deployment Gateway Service VirtualService",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range versions(t) {
				always := "Role RoleBinding ServiceAccount"
				if e.Version.Compare(catalogue.Version{Major: 1, Minor: 28}) > 0 {
					always = "NetworkPolicy " + always
				}
				got := map[string]bool{}
				for _, o := range doorways(t, planeOf(t, e), test.text) {
					if kind := o.GetObjectKind().GroupVersionKind().Kind; kind != "PeerAuthentication" {
						got[kind] = true
						if o.GetNamespace() != "b" {
							t.Errorf("%s: %s %s is in namespace %s", e.Version, kind, o.GetName(), o.GetNamespace())
						}
					}
				}
				for _, kind := range strings.Fields(test.want + " " + always) {
					if !got[kind] {
						t.Errorf("%s: there is no %s", e.Version, kind)
					}
					delete(got, kind)
				}
				if len(got) > 0 {
					t.Errorf("%s: there are %v", e.Version, got)
				}
			}
		})
	}
}

// TestProxies says what of a gateway comes out in its proxies, in every version.
func TestProxies(t *testing.T) {
	for _, e := range versions(t) {
		t.Run(e.Version.String(), func(t *testing.T) {
			plane := planeOf(t, e)
			plane.Values = fullValues
			objects := doorways(t, plane, full)
			deployment := of[*appsv1.Deployment](objects)[0]
			pod := deployment.Spec.Template
			if got := pod.Labels; got["istio.io/rev"] != "prod-1" || got["istio"] != "shop" || got["sidecar.istio.io/inject"] != "true" {
				t.Errorf("labels of pods are %v", got)
			}
			if len(pod.Spec.ImagePullSecrets) != 1 || pod.Spec.ImagePullSecrets[0].Name != "pull" || pod.Spec.Containers[0].Image != "auto" {
				t.Errorf("pods are %+v", pod.Spec)
			}
			if deployment.Spec.Replicas != nil {
				t.Errorf("replicas are %d, and the autoscaler's", *deployment.Spec.Replicas)
			}
			if hpa := of[*autoscalingv2.HorizontalPodAutoscaler](objects)[0].Spec; *hpa.MinReplicas != 3 || hpa.MaxReplicas != 9 ||
				*hpa.Metrics[0].Resource.Target.AverageUtilization != 60 {
				t.Errorf("the autoscaler is %+v", hpa)
			}
			if pdb := of[*policyv1.PodDisruptionBudget](objects)[0].Spec; pdb.MaxUnavailable.IntValue() != 1 || pdb.MinAvailable != nil {
				t.Errorf("the budget is %+v", pdb)
			}
			service := of[*corev1.Service](objects)[0]
			var ports []string
			for _, p := range service.Spec.Ports {
				ports = append(ports, fmt.Sprintf("%s %d %s", p.Name, p.Port, p.TargetPort.String()))
			}
			if got := strings.Join(ports, ", "); got != "status-port 15021 15021, http-80 80 80, http-8080 8080 8080, https-443 443 443" {
				t.Errorf("ports are %s", got)
			}
			if *service.Spec.LoadBalancerClass != "example.com/edge" || service.Annotations["example.com/size"] != "2" ||
				service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster {
				t.Errorf("the Service is %+v", service)
			}
			// Another gateway of the name, elsewhere, serves other hosts.
			selector, _, _ := unstructured.NestedStringMap(istio(objects, "Gateway")[0].Object, "spec", "selector")
			if len(selector) != 2 || pod.Labels["istio"] != selector["istio"] || pod.Labels["fleet.fairlead.io/gateway-namespace"] != selector["fleet.fairlead.io/gateway-namespace"] {
				t.Errorf("the Gateway selects %v, and pods have %v", selector, pod.Labels)
			}
		})
	}
}

// TestService says how clients reach proxies.
func TestService(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unset":        {`{}`, "LoadBalancer Local <nil>"},
		"cluster IP":   {`{type: ClusterIP}`, "ClusterIP  <nil>"},
		"node port":    {`{type: NodePort}`, "NodePort Local <nil>"},
		"cluster":      {`{type: NodePort, externalTrafficPolicy: Cluster}`, "NodePort Cluster <nil>"},
		"number class": {`{loadBalancerClass: "1"}`, "LoadBalancer Local 1"},
		"odd class":    {`{loadBalancerClass: "on"}`, "LoadBalancer Local on"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := of[*corev1.Service](doorways(t, newest(t), `{name: a, namespace: b, service: `+test.text+`}`))[0].Spec
			class := "<nil>"
			if spec.LoadBalancerClass != nil {
				class = *spec.LoadBalancerClass
			}
			if got := fmt.Sprintf("%s %s %s", spec.Type, spec.ExternalTrafficPolicy, class); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestNoRevision has the control plane without a revision serve a gateway.
func TestNoRevision(t *testing.T) {
	plane := newest(t)
	plane.Revision = ""
	pod := of[*appsv1.Deployment](doorways(t, plane, minimal))[0].Spec.Template
	if revision, ok := pod.Labels["istio.io/rev"]; ok {
		t.Errorf("pods have revision %q", revision)
	}
}

// TestRefused has names that charts cannot have.
func TestRefused(t *testing.T) {
	for name, g := range map[string]v1alpha1.MeshGateway{
		"a name that is true":     {Name: "y", Namespace: "edge"},
		"a namespace of a number": {Name: "ingress", Namespace: "12"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := doorway.Gateways(newest(t), []v1alpha1.MeshGateway{g})
			if err == nil || !strings.Contains(err.Error(), "gateway "+string(g.Namespace)+"/"+g.Name) {
				t.Errorf("error is %v, want one that names the gateway", err)
			}
		})
	}
}

// TestMode maps all modes.
func TestMode(t *testing.T) {
	for mode, want := range map[v1alpha1.MTLSMode]string{
		"": "", v1alpha1.MTLSStrict: "STRICT", v1alpha1.MTLSPermissive: "PERMISSIVE", v1alpha1.MTLSDisable: "DISABLE",
	} {
		objects := doorway.PeerAuthentication(&render.Plane{Namespace: "root"}, mode)
		if want == "" {
			if len(objects) > 0 {
				t.Errorf("without a mode there are %v", objects)
			}
			continue
		}
		o := istio(objects, "PeerAuthentication")[0]
		got, _, _ := unstructured.NestedString(o.Object, "spec", "mtls", "mode")
		if got != want || o.GetNamespace() != "root" || o.GetName() != "default" {
			t.Errorf("%s: got %v", mode, o.Object)
		}
	}
}
