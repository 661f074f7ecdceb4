// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/host"
)

// byHand is what a person would write who knows HAProxy; %s are its servers.
const byHand = `
global
  maxconn 4000
defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  timeout http-request 10s
  timeout http-keep-alive 1m
frontend http
  bind :10080
  http-request set-header x-forwarded-proto http
  use_backend web if { hdr(host) -i shop.test }
backend web
  balance roundrobin
%s`

const origin = `
global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend http
  bind :10080
  http-request return status 200 content-type text/plain string "Hello from a member of the pool."
`

// throughput drives a load balancer and a HAProxy written by hand in turns, with the same members.
func (b *bench) throughput(ctx context.Context) error {
	if err := host.Ensure(ctx, b.say, host.Program("wrk", "wrk")); err != nil {
		return err
	}
	if err := b.haproxy(ctx, "origin", origin, 2, corev1.ServiceTypeClusterIP); err != nil {
		return err
	}
	servers, err := b.servers(ctx, "origin")
	if err != nil {
		return err
	}
	if err := b.haproxy(ctx, "by-hand", fmt.Sprintf(byHand, servers), 1, corev1.ServiceTypeLoadBalancer); err != nil {
		return err
	}
	plain, err := b.address(ctx, "by-hand")
	if err != nil {
		return err
	}
	spec := specOf(pool("web", "origin"))
	spec.Listeners[0].Pool = ""
	spec.Routes = []v1alpha1.Route{{Name: "shop", Hostnames: []v1alpha1.Hostname{"shop.test"}, Action: v1alpha1.Action{Pool: "web"}}}
	ours, err := b.loadBalancer(ctx, "throughput", spec)
	if err != nil {
		return err
	}
	return b.compare(ctx, ours, plain)
}

// compare drives both in turns. The ratio is the median of the rounds' own: what else a machine does hits both halves of a round.
func (b *bench) compare(ctx context.Context, ours, plain string) error {
	var rates, tails [2][]float64
	var ratios []float64
	for round := range b.rounds {
		for i, address := range []string{ours, plain} {
			// Whoever is first in a round has the colder caches: they take turns.
			if round%2 == 1 {
				i, address = 1-i, []string{plain, ours}[i]
			}
			d, err := b.drive(ctx, address)
			if err != nil {
				return err
			}
			rates[i], tails[i] = append(rates[i], d.rate), append(tails[i], d.p99)
		}
		ratios = append(ratios, rates[0][round]/rates[1][round])
		b.say("round %d: %.0f requests a second, by hand %.0f", round+1, rates[0][round], rates[1][round])
	}
	b.figure("requests a second", median(rates[0]), "1/s", "")
	b.figure("requests a second of a HAProxy written by hand", median(rates[1]), "1/s", "")
	b.figure("ratio of requests a second", median(ratios), "", "at least 0.97")
	b.figure("latency p99", median(tails[0]), "ms", "")
	b.figure("latency p99 of a HAProxy written by hand", median(tails[1]), "ms", "")
	return nil
}

type driven struct{ rate, p99 float64 }

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkTail = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s)\b`)
	wrkBad  = regexp.MustCompile(`(?m)(Non-2xx or 3xx responses|Socket errors): .*`)
)

func (b *bench) drive(ctx context.Context, address string) (driven, error) {
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c32", "--latency", "-d"+strconv.Itoa(int(b.length.Seconds()))+"s",
		"-H", "Host: shop.test", "http://"+address+"/").CombinedOutput()
	if err != nil {
		return driven{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	rate, tail := wrkRate.FindSubmatch(out), wrkTail.FindSubmatch(out)
	if rate == nil || tail == nil || wrkBad.Match(out) {
		return driven{}, fmt.Errorf("wrk tells of failures:\n%s", out)
	}
	var d driven
	if d.rate, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		return d, err
	}
	if d.p99, err = strconv.ParseFloat(string(tail[1]), 64); err != nil {
		return d, err
	}
	d.p99 *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[string(tail[2])]
	return d, nil
}

// haproxy runs one with a config of its own, as a Deployment and a Service of its name.
func (b *bench) haproxy(ctx context.Context, name, config string, replicas int32, kind corev1.ServiceType) error {
	meta := metav1.ObjectMeta{Namespace: b.namespace, Name: name}
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "haproxy", Image: b.image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command:        []string{"haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(10080)}}, PeriodSeconds: 1},
				VolumeMounts:   []corev1.VolumeMount{{Name: "config", MountPath: "/etc/haproxy", ReadOnly: true}},
				// How a system call is checked, and who gets a core when all want one, is as in a load balancer's pods: it is
				// the configs that are compared.
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("110m"), corev1.ResourceMemory: resource.MustParse("160Mi"),
				}},
				SecurityContext: &corev1.SecurityContext{
					ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false), RunAsNonRoot: new(true),
					Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
			}},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
			}}},
		}},
	}}
	for _, object := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"haproxy.cfg": config}}, d,
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			Type: kind, Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(10080)}},
		}},
	} {
		if err := b.client.Create(ctx, object); err != nil {
			return err
		}
	}
	return b.waitFor(ctx, "wait until Deployment "+name+" serves", func(ctx context.Context) (bool, error) {
		err := b.client.Get(ctx, client.ObjectKeyFromObject(d), d)
		return d.Status.ReadyReplicas == replicas, err
	})
}

// servers are lines of HAProxy's config for the pods of an app.
func (b *bench) servers(ctx context.Context, app string) (string, error) {
	pods := &corev1.PodList{}
	if err := b.client.List(ctx, pods, client.InNamespace(b.namespace), client.MatchingLabels{"app": app}); err != nil {
		return "", err
	}
	var lines strings.Builder
	for i := range pods.Items {
		fmt.Fprintf(&lines, "  server s%d %s:10080\n", i, pods.Items[i].Status.PodIP)
	}
	return lines.String(), nil
}

func (b *bench) address(ctx context.Context, service string) (string, error) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: service}}
	err := b.waitFor(ctx, "wait until Service "+service+" has an address", func(ctx context.Context) (bool, error) {
		err := b.client.Get(ctx, client.ObjectKeyFromObject(s), s)
		return len(s.Status.LoadBalancer.Ingress) == 1, err
	})
	if err != nil {
		return "", err
	}
	address := s.Status.LoadBalancer.Ingress[0].IP
	// The address is there a moment before it leads to a pod.
	return address, b.waitFor(ctx, "wait until "+address+" answers", func(ctx context.Context) (bool, error) {
		return exec.CommandContext(ctx, "wrk", "-t1", "-c1", "-d1s", "-H", "Host: shop.test", "http://"+address+"/").Run() == nil, nil
	})
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
