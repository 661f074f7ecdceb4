// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// answer is what the echo server says.
type answer struct {
	Name    string              `json:"name"`
	Headers map[string][]string `json:"headers"`
}

// outside has a connection for each request, so that each can meet another pod.
var outside = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// get asks from outside of the cluster.
func get(ctx context.Context, url string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	response, err := outside.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s answers %s", url, response.Status)
	}
	var a answer
	err = json.NewDecoder(response.Body).Decode(&a)
	return a, err
}

// TestHAProxyServes sends requests from outside to each HAProxy that Fairlead supports, and by it to pods found by name.
func TestHAProxyServes(t *testing.T) {
	t.Parallel()
	ownNode(t)
	ns := namespaces(t, name(t, "haproxy"), 1)[0]
	backend := echo(ns, "64Mi")
	create(t, backend)
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "backend"},
		Spec:       corev1.ServiceSpec{Selector: backend.Spec.Selector.MatchLabels, Ports: []corev1.ServicePort{{Port: 8080}}},
	})
	available(t, backend)
	for _, version := range []string{"2.6", "3.2"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			app := "haproxy-" + strings.ReplaceAll(version, ".", "-")
			create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: app}, Data: map[string]string{"haproxy.cfg": fmt.Sprintf(`
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend in
  bind :10080
  http-request set-header x-proxy %s
  default_backend out
backend out
  server s backend.%s.svc.cluster.local:8080
`, version, ns)}})
			d := haproxy(ns, app, "docker.io/library/haproxy:"+version)
			create(t, d)
			available(t, d)
			address := service(t, ns, app, "http")
			eventually(t, "HAProxy answers at "+address, func(ctx context.Context) (bool, string, error) {
				a, err := get(ctx, "http://"+address+"/")
				proxy := http.Header(a.Headers).Get("x-proxy")
				return strings.HasPrefix(a.Name, "echo-") && proxy == version, fmt.Sprintf("%+v", a), err
			})
		})
	}
}

func haproxy(namespace, app, image string) *appsv1.Deployment {
	d := echo(namespace, "128Mi")
	d.Name = app
	d.Spec.Selector.MatchLabels = map[string]string{"app": app}
	d.Spec.Template.Labels = map[string]string{"app": app}
	container := &d.Spec.Template.Spec.Containers[0]
	container.Name, container.Image = "haproxy", image
	container.Args = []string{"-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"}
	container.Ports[0].ContainerPort = 10080
	container.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/haproxy", ReadOnly: true}}
	d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: app}},
	}}}
	return d
}

// TestIstiodStarts runs the image of istiod as far as it goes without its charts.
func TestIstiodStarts(t *testing.T) {
	t.Parallel()
	ownNode(t)
	ns := namespaces(t, name(t, "istiod"), 1)[0]
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "istiod"},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{
			Name: "discovery", Image: "docker.io/istio/pilot:1.31.0", ImagePullPolicy: corev1.PullIfNotPresent,
			Args: []string{"discovery", "--help"}, SecurityContext: restricted(),
		}}},
	}
	pod.Spec.Containers[0].SecurityContext.RunAsUser = ptr.To[int64](1337)
	create(t, pod)
	eventually(t, "it has told its flags", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return pod.Status.Phase == corev1.PodSucceeded, fmt.Sprintf("%+v", pod.Status), err
	})
}

// TestLoadScales has a HorizontalPodAutoscaler add pods under real load, which reaches them from outside.
func TestLoadScales(t *testing.T) {
	t.Parallel()
	ns := namespaces(t, name(t, "load"), 1)[0]
	d := echo(ns, "64Mi")
	create(t, d)
	available(t, d)
	create(t, &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "echo"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "echo"},
			MinReplicas:    ptr.To[int32](1), MaxReplicas: 3,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](50)},
				},
			}},
		},
	})
	address := service(t, ns, "echo", "http")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	names := sync.Map{}
	for range 2 {
		load.Go(func() {
			for ctx.Err() == nil {
				if a, err := get(ctx, "http://"+address+"/?burn=100ms"); err == nil {
					names.Store(a.Name, true)
				}
			}
		})
	}
	eventually(t, "a second pod answers", func(context.Context) (bool, string, error) {
		number := 0
		names.Range(func(any, any) bool { number++; return true })
		return number > 1, fmt.Sprintf("answers of %d pods", number), nil
	})
	stop()
	load.Wait()
}
