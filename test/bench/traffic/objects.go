// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// loadBalancer makes one of one replica, waits until it is Ready, and gives its address.
func (b *bench) loadBalancer(ctx context.Context, name string, spec v1alpha1.LoadBalancerSpec) (string, error) {
	lb := &v1alpha1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}, Spec: spec}
	lb.Spec.Scaling.Replicas = 1
	lb.Spec.Pod.Image = b.image
	if err := b.client.Create(ctx, lb); err != nil {
		return "", err
	}
	err := b.waitFor(ctx, "wait until LoadBalancer "+name+" is ready", func(ctx context.Context) (bool, error) {
		err := b.client.Get(ctx, client.ObjectKeyFromObject(lb), lb)
		return err == nil && meta.IsStatusConditionTrue(lb.Status.Conditions, v1alpha1.ConditionReady) && len(lb.Status.Addresses) > 0, err
	})
	if err != nil {
		return "", fmt.Errorf("%w; its status is %+v", err, lb.Status)
	}
	return lb.Status.Addresses[0], nil
}

// serviceOnly is a Service whose EndpointSlices somebody else writes.
func (b *bench) serviceOnly(ctx context.Context, name string) error {
	return b.client.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	})
}

// slice has endpoints of one port.
func (b *bench) slice(service, name string, port int32, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.namespace, Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: "bench.fairlead.io"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(port), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, address := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true)},
		})
	}
	return s
}

// pod is the name of the one replica of a LoadBalancer.
func (b *bench) pod(ctx context.Context, name string) (string, error) {
	pods, err := b.plain.CoreV1().Pods(b.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + name})
	if err != nil {
		return "", err
	}
	if len(pods.Items) != 1 {
		return "", fmt.Errorf("LoadBalancer %s has %d pods, not one", name, len(pods.Items))
	}
	return pods.Items[0].Name, nil
}

// agent reads one metric of a replica's agent, summed over its labels.
func (b *bench) agent(ctx context.Context, pod, metric string) (float64, error) {
	text, err := b.plain.CoreV1().RESTClient().Get().Namespace(b.namespace).Resource("pods").Name(pod + ":8406").
		SubResource("proxy").Suffix("metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the metrics of the agent in %s: %w", pod, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	family, ok := families[metric]
	if !ok {
		return 0, fmt.Errorf("the agent in %s has no metric %s", pod, metric)
	}
	sum := 0.0
	for _, m := range family.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum, nil
}
