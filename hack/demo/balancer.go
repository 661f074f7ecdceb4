// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

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

const (
	shop        = "shop"
	shopObjects = "shop-lb"
	nameHeader  = "X-Echo-Name"
)

const shopBalancer = `
listeners:
- {name: http, port: 80, protocol: HTTP, pool: web}
pools:
- name: web
  members:
  - {service: {name: web, port: http}, weight: 90}
  - {service: {name: canary, port: http}, weight: 10}
  monitor: {type: HTTP, path: /healthz, interval: 500ms, timeout: 300ms, unhealthyThreshold: 2}
routes:
- {name: old, matches: [{path: {value: /old}}], action: {redirect: {pathPrefix: /new, code: 301}}}
`

// balancer makes a LoadBalancer in front of two Deployments.
func (d *demo) balancer(ctx context.Context) error {
	if err := d.ensureNamespace(ctx, shop, nil); err != nil {
		return err
	}
	for name, replicas := range map[string]int32{"web": 2, "canary": 1} {
		if err := d.shopBackend(ctx, name, replicas); err != nil {
			return err
		}
	}
	lb := &v1alpha1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: shop}}
	if err := yaml.UnmarshalStrict([]byte(shopBalancer), &lb.Spec); err != nil {
		return err
	}
	lb.Spec.Pod.Image = haproxyImage
	d.say("kind: LoadBalancer, port 80; Services web and canary share by 90 to 10; /old leads to /new")
	start := time.Now()
	if err := client.IgnoreAlreadyExists(d.client.Create(ctx, lb)); err != nil {
		return err
	}
	if err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Namespace: shop, Name: shopObjects}, &appsv1.Deployment{})
		return err == nil, client.IgnoreNotFound(err)
	}); err != nil {
		return fmt.Errorf("wait for its Deployment: %w", err)
	}
	d.say("its Deployment, Service, ConfigMap, PodDisruptionBudget, NetworkPolicy and RoleBinding are there after %s",
		time.Since(start).Round(time.Millisecond))
	if _, runs := d.stage.image(); !runs {
		d.say("no pod runs here; \"make demo NODE=1\" sends real requests through it")
		return nil
	}
	found, err := d.awaitBalancer(ctx, func(lb *v1alpha1.LoadBalancer) bool {
		return meta.IsStatusConditionTrue(lb.Status.Conditions, v1alpha1.ConditionReady) && len(lb.Status.Addresses) > 0
	})
	if err != nil {
		return err
	}
	d.address = found.Status.Addresses[0]
	d.say("ready at %s after %s, two replicas of HAProxy", d.address, time.Since(start).Round(100*time.Millisecond))
	return d.request(ctx, 200)
}

// balancerDrift edits what the LoadBalancer made.
func (d *demo) balancerDrift(ctx context.Context) error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: shopObjects}}
	body := []byte(`{"spec":{"selector":{"app":"mine"}}}`)
	if err := d.client.Patch(ctx, service, client.RawPatch(types.MergePatchType, body), client.FieldOwner("kubectl-edit")); err != nil {
		return err
	}
	object := "Service " + shop + "/" + shopObjects
	ours := func(r v1alpha1.RepairRecord) bool { return r.Object == object }
	found, err := d.awaitBalancer(ctx, func(lb *v1alpha1.LoadBalancer) bool { return slices.ContainsFunc(lb.Status.Repairs, ours) })
	if err != nil {
		return err
	}
	for _, r := range found.Status.Repairs {
		if ours(r) {
			d.say("%s: %s; repaired", object, changeText(r))
		}
	}
	if d.address == "" {
		return nil
	}
	return d.request(ctx, 50)
}

// sick breaks a member, and then drains the canary, while requests go on.
func (d *demo) sick(ctx context.Context) error {
	if d.address == "" {
		d.say("no pod runs here; \"make demo NODE=1\" breaks and drains a member before your eyes")
		return nil
	}
	response, err := d.ask(ctx, http.MethodPost, "/unhealthy")
	if err != nil {
		return err
	}
	broken := response.Get(nameHeader)
	d.say("%s answers its monitor with 503 from now on", broken)
	if err := d.until(ctx, func(answers map[string]int) bool { return answers[broken] == 0 }); err != nil {
		return fmt.Errorf("wait until %s is out: %w", broken, err)
	}
	d.say("its monitor has taken it out")
	if err := d.request(ctx, 100); err != nil {
		return err
	}
	lb := &v1alpha1.LoadBalancer{}
	if err := d.client.Get(ctx, types.NamespacedName{Namespace: shop, Name: shop}, lb); err != nil {
		return err
	}
	before := lb.DeepCopy()
	lb.Spec.Pools[0].Members[1].Drain = true
	if err := d.client.Patch(ctx, lb, client.MergeFrom(before)); err != nil {
		return err
	}
	d.say("members[1] of the pool, the canary: drain: true")
	if err := d.until(ctx, func(answers map[string]int) bool { return byApp(answers)["canary"] == 0 }); err != nil {
		return fmt.Errorf("wait until the canary is drained: %w", err)
	}
	return d.request(ctx, 100)
}

// request sends requests, and says who answered.
func (d *demo) request(ctx context.Context, number int) error {
	answers, err := d.answers(ctx, number)
	if err != nil {
		return err
	}
	var parts []string
	for _, pod := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%s %d", pod, answers[pod]))
	}
	d.say("%d requests, all answered: %s", number, strings.Join(parts, ", "))
	return nil
}

// until sends requests until who answers is as wanted; each must be answered.
func (d *demo) until(ctx context.Context, enough func(map[string]int) bool) error {
	return d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		answers, err := d.answers(ctx, 40)
		return err == nil && enough(answers), err
	})
}

func (d *demo) answers(ctx context.Context, number int) (map[string]int, error) {
	answers := map[string]int{}
	for range number {
		header, err := d.ask(ctx, http.MethodGet, "/")
		if err != nil {
			return nil, err
		}
		answers[header.Get(nameHeader)]++
	}
	return answers, nil
}

func (d *demo) ask(ctx context.Context, method, path string) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+d.address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s is answered %s", method, path, response.Status)
	}
	return response.Header, response.Body.Close()
}

func byApp(answers map[string]int) map[string]int {
	apps := map[string]int{}
	for pod, number := range answers {
		app, _, _ := strings.Cut(pod, "-")
		apps[app] += number
	}
	return apps
}

func (d *demo) awaitBalancer(ctx context.Context, enough func(*v1alpha1.LoadBalancer) bool) (*v1alpha1.LoadBalancer, error) {
	found := &v1alpha1.LoadBalancer{}
	err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Namespace: shop, Name: shop}, found)
		return err == nil && enough(found), err
	})
	if err != nil {
		return nil, fmt.Errorf("load balancer %s: %w; its status is %+v", shop, err, found.Status)
	}
	return found, nil
}

// shopBackend is a Deployment of the echo server, and its Service.
func (d *demo) shopBackend(ctx context.Context, name string, replicas int32) error {
	image, _ := d.stage.image()
	labels := map[string]string{"app": name}
	objects := metav1.ObjectMeta{Namespace: shop, Name: name}
	for _, object := range []client.Object{
		&corev1.Service{ObjectMeta: objects, Spec: corev1.ServiceSpec{
			Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		}},
		&appsv1.Deployment{ObjectMeta: objects, Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: ptr.To[int64](1),
				Containers: []corev1.Container{{
					Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
					ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}, PeriodSeconds: 1},
				}},
			}},
		}},
	} {
		if err := client.IgnoreAlreadyExists(d.client.Create(ctx, object)); err != nil {
			return err
		}
	}
	return nil
}
