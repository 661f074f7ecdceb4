// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// haproxyImages are the releases that the tests run on, the oldest and the newest that are supported.
var haproxyImages = map[string]string{
	"2.6": "docker.io/library/haproxy:2.6",
	"3.2": "docker.io/library/haproxy:3.2",
}

const newestHAProxy = "3.2"

// specFrom reads the spec of a LoadBalancer, and knows every field of it.
func specFrom(t *testing.T, path string) v1alpha1.LoadBalancerSpec {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return specOf(t, string(text))
}

func specOf(t *testing.T, text string) v1alpha1.LoadBalancerSpec {
	t.Helper()
	var spec v1alpha1.LoadBalancerSpec
	if err := yaml.UnmarshalStrict([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// loadBalancer makes one and removes it at the end of the test.
func loadBalancer(t *testing.T, namespace, name, version string, spec v1alpha1.LoadBalancerSpec) *v1alpha1.LoadBalancer {
	t.Helper()
	lb := &v1alpha1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
	lb.Spec.Pod.Image = haproxyImages[version]
	create(t, lb)
	return lb
}

// serves waits until a LoadBalancer is Ready in its current generation, and gives its address.
func serves(t *testing.T, lb *v1alpha1.LoadBalancer) string {
	t.Helper()
	eventually(t, "LoadBalancer "+lb.Namespace+"/"+lb.Name+" is ready", func(ctx context.Context) (bool, string, error) {
		found := &v1alpha1.LoadBalancer{}
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), found)
		ready := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
		ok := err == nil && ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == found.Generation &&
			len(found.Status.Addresses) > 0
		if ok {
			lb.Status, lb.ResourceVersion, lb.Generation = found.Status, found.ResourceVersion, found.Generation
		}
		return ok, fmt.Sprintf("%+v, problems %+v", found.Status, ptr.Deref(found.Status.Problems, v1alpha1.Problems{})), err
	})
	return lb.Status.Addresses[0]
}

// change edits the spec of a LoadBalancer.
func change(t *testing.T, lb *v1alpha1.LoadBalancer, edit func(*v1alpha1.LoadBalancerSpec)) {
	t.Helper()
	eventually(t, "the spec is written", func(ctx context.Context) (bool, string, error) {
		found := &v1alpha1.LoadBalancer{}
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), found); err != nil {
			return false, "", err
		}
		edit(&found.Spec)
		err := suite.client.Update(ctx, found)
		if err == nil {
			lb.Generation, lb.Spec = found.Generation, found.Spec
		}
		return err == nil, "", err
	})
}

// backend is a Deployment of the echo server with a Service of its name, whose ports are http (80), https and tcp.
func backend(t *testing.T, namespace, name string, replicas int32, edit func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	d := echo(namespace, "64Mi")
	d.Name = name
	d.Spec.Replicas = ptr.To(replicas)
	d.Spec.Selector.MatchLabels = map[string]string{"app": name}
	d.Spec.Template.Labels = map[string]string{"app": name}
	c := &d.Spec.Template.Spec.Containers[0]
	c.Env = []corev1.EnvVar{{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	c.Resources.Requests = corev1.ResourceList{}
	// Sickness is for monitors to find: Kubernetes only asks whether it listens.
	c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}, PeriodSeconds: 1}
	if edit != nil {
		edit(d)
	}
	create(t, d)
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{Selector: d.Spec.Selector.MatchLabels, Ports: []corev1.ServicePort{
			{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)},
			{Name: "https", Port: 443, TargetPort: intstr.FromInt32(8443)},
			{Name: "tcp", Port: 9000, TargetPort: intstr.FromInt32(9000)},
		}},
	})
	return d
}

// scale sets the replicas of a Deployment and waits until they serve.
func scale(t *testing.T, d *appsv1.Deployment, replicas int32) {
	t.Helper()
	body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if err := suite.client.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
	available(t, d)
}

// restart replaces the pods of a Deployment one after the other, and waits until the new ones serve.
func restart(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	body := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, name(t, "restart"))
	if err := suite.client.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, body)); err != nil {
		t.Fatal(err)
	}
	available(t, d)
}
