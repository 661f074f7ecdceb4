// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/test/load"
)

// TestSplitIsExact weighs one endpoint with 90 against two hundred with 10, the other way round, and each against
// as many. The endpoints listen on this machine, each on a port of its own.
func TestSplitIsExact(t *testing.T) {
	ownNode(t)
	ns := namespaces(t, name(t, "split"), 1)[0]
	spec := specOf(t, `
scaling: {replicas: 1}
listeners:
- {name: http, port: 80, protocol: HTTP, pool: one-to-many}
- {name: turned, port: 81, protocol: HTTP, pool: many-to-one}
- {name: equal, port: 82, protocol: HTTP, pool: one-to-one}
pools:
- {name: one-to-many, members: [{service: {name: one}, weight: 90}, {service: {name: many}, weight: 10}]}
- {name: many-to-one, members: [{service: {name: many}, weight: 90}, {service: {name: one}, weight: 10}]}
- {name: one-to-one, members: [{service: {name: one}, weight: 90}, {service: {name: single}, weight: 10}]}
`)
	lb := loadBalancer(t, ns, "split", newestHAProxy, spec)
	address := addressOf(t, lb)
	counts := map[string]*atomic.Int64{}
	for service, number := range map[string]int{"one": 1, "many": 200, "single": 1} {
		counts[service] = members(t, ns, service, address, number)
	}
	serves(t, lb)
	for _, c := range []struct {
		port        int
		heavy, slim string
	}{{80, "one", "many"}, {81, "many", "one"}, {82, "one", "single"}} {
		t.Run(c.heavy+" to "+c.slim, func(t *testing.T) {
			heavy, slim := counts[c.heavy].Load(), counts[c.slim].Load()
			url := fmt.Sprintf("http://%s:%d/", address, c.port)
			l := load.Start(t.Context(), load.Options{URL: url, Workers: 4})
			eventually(t, "20,000 requests are sent", func(context.Context) (bool, string, error) { return l.Requests() >= 20_000, "", nil })
			r := l.Stop()
			heavy, slim = counts[c.heavy].Load()-heavy, counts[c.slim].Load()-slim
			share := float64(heavy) / float64(heavy+slim) * 100
			t.Logf("%d to %d of %d: %.2f%%", heavy, slim, r.Requests, share)
			if r.Failed > 0 || math.Abs(share-90) > 1 {
				t.Errorf("%s got %.2f%% of %d requests, of which %d failed: %v; want 90%% within 1", c.heavy, share, r.Requests, r.Failed, r.Failures)
			}
		})
	}
}

// members makes a Service whose endpoints are so many listeners on this machine, and counts their requests.
func members(t *testing.T, ns, service, balancer string, number int) *atomic.Int64 {
	t.Helper()
	count := &atomic.Int64{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		_, _ = w.Write([]byte("ok"))
	})
	c, err := net.Dial("udp", net.JoinHostPort(balancer, "80"))
	if err != nil {
		t.Fatal(err)
	}
	self := c.LocalAddr().(*net.UDPAddr).IP.String()
	_ = c.Close()
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: service},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	})
	for i := range number {
		listener, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		t.Cleanup(func() { _ = server.Close() })
		go func() { _ = server.Serve(listener) }()
		create(t, &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ns, Name: fmt.Sprintf("%s-%d", service, i),
				Labels: map[string]string{discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: "e2e.fairlead.io"},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{self}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
			Ports: []discoveryv1.EndpointPort{{
				Name: ptr.To("http"), Protocol: ptr.To(corev1.ProtocolTCP),
				Port: ptr.To(int32(listener.Addr().(*net.TCPAddr).Port)), //nolint:gosec // A port.
			}},
		})
	}
	return count
}

// TestRateLimitHoldsForAllReplicas sends more than a limit allows through three replicas: what is served in all is what
// one would serve.
func TestRateLimitHoldsForAllReplicas(t *testing.T) {
	ownNode(t)
	t.Parallel()
	ns := namespaces(t, name(t, "rate"), 1)[0]
	available(t, backend(t, ns, "web", 1, nil))
	lb := loadBalancer(t, ns, "rate", newestHAProxy, specOf(t, `
scaling: {replicas: 3}
listeners:
- {name: http, port: 80, protocol: HTTP}
pools:
- {name: web, members: [{service: {name: web, port: http}}]}
routes:
- {name: free, matches: [{path: {value: /free}}], action: {pool: web}}
- {name: limited, matches: [{path: {value: /limited}}], rateLimit: {key: Header, header: x-user, requests: 60, per: 1m}, action: {pool: web}}
`))
	address := serves(t, lb)
	// Replicas learn of each other a moment after they are ready; a user that nobody counted before shows when they have.
	attempt := 0
	eventually(t, "of 200 requests through all replicas about 60 are served", func(ctx context.Context) (bool, string, error) {
		attempt++
		served, limited := 0, 0
		for range 200 {
			a, err := try(ctx, "http://"+address+"/limited", question{headers: map[string]string{"X-User": fmt.Sprint("user", attempt)}})
			if err != nil {
				return false, "", err
			}
			switch a.status {
			case 200:
				served++
			case 429:
				limited++
			}
		}
		return served+limited == 200 && served >= 60 && served <= 66, fmt.Sprintf("%d served, %d limited", served, limited), nil
	})
}
