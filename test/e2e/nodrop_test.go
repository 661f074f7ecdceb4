// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/load"
)

// envRequests is how many requests TestNothingIsDropped sends at least.
const envRequests = "FAIRLEAD_E2E_REQUESTS"

const nodropSpec = `
scaling: {replicas: 2}
drainTimeout: 20s
listeners:
- {name: http, port: 80, protocol: HTTP, pool: web}
- {name: https, port: 443, protocol: HTTPS, tls: {certificates: [{secretName: shop-tls}]}, pool: web}
- {name: tcp, port: 9000, protocol: TCP, pool: stream}
routes:
- {name: sockets, listeners: [http], matches: [{path: {type: Exact, value: /ws}}], action: {pool: steady}}
pools:
- name: web
  members: [{service: {name: web, port: http}}]
  monitor: {type: HTTP, path: /healthz}
- {name: steady, members: [{service: {name: steady, port: http}}]}
- {name: stream, members: [{service: {name: steady, port: tcp}}]}
`

// TestNothingIsDropped does to a LoadBalancer what happens to one in a year, while requests and streams go through it.
func TestNothingIsDropped(t *testing.T) {
	ownNode(t)
	least := int64(1_000_000)
	if text := os.Getenv(envRequests); text != "" {
		var err error
		if least, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", envRequests, err)
		}
	}
	ns := namespaces(t, name(t, "nodrop"), 1)[0]
	ca := newAuthority(t)
	certificate := ca.tlsSecret(t, ns, "shop-tls", "shop.test")
	create(t, certificate)
	web := backend(t, ns, "web", 2, graceful)
	steady := backend(t, ns, "steady", 1, nil)
	available(t, web)
	available(t, steady)
	lb := loadBalancer(t, ns, "shop", "2.6", specOf(t, nodropSpec))
	address := serves(t, lb)

	ctx := context.WithoutCancel(t.Context())
	loads := map[string]*load.Load{
		"HTTP/1.1": load.Start(ctx, load.Options{URL: "http://" + address + "/", Workers: 6}),
		"HTTP/2": load.Start(ctx, load.Options{URL: "https://" + address + "/", Workers: 2, HTTP2: true,
			TLS: &tls.Config{RootCAs: ca.pool(), ServerName: "shop.test"}}),
	}
	streams := map[string]*load.Streams{
		"WebSocket": load.StartWebSockets(ctx, "ws://"+address+"/ws", 4),
		"TCP":       load.StartTCP(ctx, address+":9000", 4),
	}
	steps := dropSteps(t, lb, web, certificate, ca)
	var began []time.Time
	for _, step := range steps {
		begin := time.Now()
		if step.structure {
			began = append(began, begin)
		}
		step.do()
		t.Logf("%s took %s", step.name, time.Since(begin).Round(time.Millisecond))
	}
	awaitRequests(t, loads, least)
	for kind, l := range loads {
		r := l.Stop()
		t.Logf("%s: %d requests, %.0f a second, %d failed", kind, r.Requests, r.Rate(), r.Failed)
		if r.Failed > 0 {
			t.Errorf("%s: %d of %d requests failed: %v", kind, r.Failed, r.Requests, r.Failures)
		}
	}
	for kind, s := range streams {
		checkStreams(t, kind, s.Stop(), began, 20*time.Second)
	}
}

// awaitRequests waits until so many requests are sent in all, for as long as more of them are sent.
func awaitRequests(t *testing.T, loads map[string]*load.Load, least int64) {
	t.Helper()
	told := time.Now()
	for last := int64(-1); ; {
		sum := int64(0)
		for _, l := range loads {
			sum += l.Requests()
		}
		if sum >= least {
			return
		}
		if sum == last {
			t.Fatalf("no more than %d requests are sent", sum)
		}
		if time.Since(told) > 30*time.Second {
			t.Logf("%d of %d requests are sent", sum, least)
			told = time.Now()
		}
		last = sum
		select {
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		case <-time.After(5 * time.Second):
		}
	}
}

// checkStreams allows only that a stream is cut when the drainTimeout of a change of the data plane is over.
func checkStreams(t *testing.T, kind string, r load.StreamResult, changes []time.Time, drainTimeout time.Duration) {
	t.Helper()
	t.Logf("%s: %d lines came back, %d streams ended with what served them", kind, r.Lines, len(r.Cuts))
	for _, cut := range r.Cuts {
		late := slices.ContainsFunc(changes, func(at time.Time) bool {
			return cut.Began.Before(at.Add(drainTimeout)) && cut.Ended.Sub(at) >= drainTimeout
		})
		if !late {
			t.Errorf("%s: a stream of %s was cut at %s: %s", kind, cut.Began.Format("15:04:05.000"), cut.Ended.Format("15:04:05.000"), cut.Cause)
		}
	}
	if len(r.Refused) > 0 {
		t.Errorf("%s: streams could not be opened: %v", kind, r.Refused)
	}
}

// step is something that happens to a LoadBalancer. structure is true where what serves is replaced.
type step struct {
	name      string
	structure bool
	do        func()
}

func dropSteps(t *testing.T, lb *v1alpha1.LoadBalancer, web *appsv1.Deployment, certificate *corev1.Secret, ca *authority) []step {
	return []step{
		{"a rolling restart of the members", false, func() { restart(t, web) }},
		{"2 members to 20", false, func() { scale(t, web, 20) }},
		{"20 members to 2", false, func() { scale(t, web, 2) }},
		{"a new certificate", false, func() {
			fresh := ca.tlsSecret(t, certificate.Namespace, certificate.Name, "shop.test")
			if err := suite.client.Update(t.Context(), fresh); err != nil {
				t.Fatal(err)
			}
			shows(t, lb, fresh)
		}},
		{"a route more", false, func() {
			change(t, lb, func(spec *v1alpha1.LoadBalancerSpec) {
				spec.Routes = append(spec.Routes, specOf(t, `routes: [{name: more, hostnames: [more.test], action: {pool: steady}}]`).Routes...)
			})
			serves(t, lb)
		}},
		{"a route with conditions, which reloads", true, func() {
			change(t, lb, func(spec *v1alpha1.LoadBalancerSpec) {
				spec.Routes = append(spec.Routes, specOf(t,
					`routes: [{name: beta, listeners: [http], matches: [{headers: [{name: x-beta, value: "1"}]}], action: {pool: steady}}]`).Routes...)
			})
			serves(t, lb)
		}},
		{"a restart of the operator", false, func() { restartOperator(t) }},
		{"a rolling upgrade of HAProxy", true, func() {
			change(t, lb, func(spec *v1alpha1.LoadBalancerSpec) { spec.Pod.Image = haproxyImages[newestHAProxy] })
			serves(t, lb)
			replaced(t, lb)
		}},
	}
}

// graceful has pods go on for two seconds when they are told to end, as every pod behind a load balancer should.
func graceful(d *appsv1.Deployment) {
	d.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	d.Spec.Template.Spec.Containers[0].Args = []string{"-delay-shutdown=2s"}
}

// shows waits until clients get the certificate.
func shows(t *testing.T, lb *v1alpha1.LoadBalancer, secret *corev1.Secret) {
	t.Helper()
	want, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate is shown", func(context.Context) (bool, string, error) {
		//nolint:gosec // It looks at the certificate, whoever signed it.
		c, err := tls.Dial("tcp", lb.Status.Addresses[0]+":443", &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true})
		if err != nil {
			return false, "", err
		}
		defer func() { _ = c.Close() }()
		return slices.Equal(c.ConnectionState().PeerCertificates[0].Raw, want.Certificate[0]), "the old one", nil
	})
}

// restartOperator replaces the operator's pods.
func restartOperator(t *testing.T) {
	t.Helper()
	d := &appsv1.Deployment{}
	key := types.NamespacedName{Namespace: operatorNamespace, Name: operatorDeployment}
	if err := suite.client.Get(t.Context(), key, d); err != nil {
		t.Fatal(err)
	}
	restart(t, d)
}

// replaced waits until every pod of the data plane is of the newest revision, and the others are gone.
func replaced(t *testing.T, lb *v1alpha1.LoadBalancer) {
	t.Helper()
	eventually(t, "the old pods are gone", func(ctx context.Context) (bool, string, error) {
		pods := &corev1.PodList{}
		err := suite.client.List(ctx, pods, client.InNamespace(lb.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": lb.Name})
		if err != nil {
			return false, "", err
		}
		old := 0
		for i := range pods.Items {
			if !slices.ContainsFunc(pods.Items[i].Spec.Containers, func(c corev1.Container) bool { return c.Image == lb.Spec.Pod.Image }) {
				old++
			}
		}
		return old == 0 && len(pods.Items) == int(lb.Spec.Scaling.Replicas), fmt.Sprintf("%d pods, %d of them old", len(pods.Items), old), nil
	})
}
