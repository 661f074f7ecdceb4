// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestWhoIsServed(t *testing.T) {
	c := newCluster(t)
	foreign := c.create(balancer("foreign", class("example.com/other")))
	inside := c.create(balancer("inside", clusterIP))
	c.start("198.18.1.0/29")
	c.create(balancer("plain"))
	c.shows("plain", "198.18.1.1")
	late := c.create(balancer("late", class("example.com/other")))
	// The one worker takes what is made in its order, so the one before is settled when this one is.
	c.create(balancer("ours", class(name)))
	c.shows("ours", "198.18.1.2")
	for _, was := range []*corev1.Service{foreign, inside, late} {
		if is := c.get(was.Name); is.ResourceVersion != was.ResourceVersion {
			t.Errorf("%s was written; it shows %q", was.Name, shownBy(is))
		}
	}
}

func TestManyAtOnceAcrossARestart(t *testing.T) {
	const count = 60
	c := newCluster(t)
	stop := c.start("198.18.1.0/26")
	var makers sync.WaitGroup
	for maker := range 6 {
		makers.Go(func() {
			for i := range count / 6 {
				c.create(balancer(fmt.Sprintf("s-%d-%d", maker, i)))
			}
		})
	}
	c.shown(count / 3)
	stop()
	makers.Wait()
	before := map[string]string{}
	services, err := c.client.CoreV1().Services(c.namespace).List(t.Context(), metav1.ListOptions{})
	c.must(err)
	for i := range services.Items {
		if addr := shownBy(&services.Items[i]); addr != "" {
			before[services.Items[i].Name] = addr
		}
	}
	c.start("198.18.1.0/26")
	after := c.shown(count)
	for name, addr := range before {
		if after[name] != addr {
			t.Errorf("%s had %s and has %s after a restart", name, addr, after[name])
		}
	}
	addrs := slices.Sorted(maps.Values(after))
	if unique := len(slices.Compact(addrs)); unique != count {
		t.Errorf("%d Services show %d addresses", count, unique)
	}
	if len(before) == count {
		t.Log("all had their address before the restart")
	}
}

func TestRequest(t *testing.T) {
	c := newCluster(t)
	c.start("198.18.1.0/29")
	c.create(balancer("a", request("198.18.1.4")))
	c.shows("a", "198.18.1.4")
	c.create(balancer("b", request("198.18.1.4")))
	want := "spec.loadBalancerIP 198.18.1.4 is used by the Service " + c.namespace + "/a"
	if e := c.told("b", reasonInUse); e.Note != want || e.Type != corev1.EventTypeWarning {
		t.Errorf("told %s %q, want %q", e.Type, e.Note, want)
	}
	c.create(balancer("outside", request("198.18.1.7")))
	if e := c.told("outside", reasonInvalid); !strings.Contains(e.Note, "198.18.1.1 to 198.18.1.6") {
		t.Errorf("told %q", e.Note)
	}
	for _, name := range []string{"b", "outside"} {
		if got := shownBy(c.get(name)); got != "" {
			t.Errorf("%s shows %s", name, got)
		}
	}
	c.update("outside", request("198.18.1.6"))
	c.shows("outside", "198.18.1.6")
	c.update("a", request("198.18.1.5"))
	c.shows("a", "198.18.1.5")
	c.shows("b", "198.18.1.4")
	c.update("b", request("198.18.1.5"))
	c.shows("b", "")
	c.update("b", request(""))
	c.shows("b", "198.18.1.1")
}

func TestPutBack(t *testing.T) {
	c := newCluster(t)
	c.create(balancer("a"))
	c.start("198.18.1.0/29")
	c.shows("a", "198.18.1.1")
	vip := new(corev1.LoadBalancerIPModeVIP)
	for what, edited := range map[string][]corev1.LoadBalancerIngress{
		"removed":     nil,
		"changed":     {{IP: "198.18.1.5", IPMode: vip}},
		"another too": {{IP: "198.18.1.1", IPMode: vip}, {IP: "198.18.1.2", IPMode: vip}},
		"a name":      {{Hostname: "example.com"}},
		"other mode":  {{IP: "198.18.1.1", IPMode: new(corev1.LoadBalancerIPModeProxy)}},
	} {
		t.Log(what)
		c.show("a", edited...)
		c.shows("a", "198.18.1.1")
	}
}

func TestExhaustedAndFreed(t *testing.T) {
	c := newCluster(t)
	c.start("198.18.1.0/30")
	c.create(balancer("a"))
	c.shows("a", "198.18.1.1")
	c.create(balancer("b"))
	c.shows("b", "198.18.1.2")
	c.create(balancer("c"))
	want := "no address of the pool 198.18.1.0/30 is free: 2 of 2 are used"
	if e := c.told("c", reasonNoAddress); e.Note != want || e.Type != corev1.EventTypeWarning {
		t.Errorf("told %s %q, want %q", e.Type, e.Note, want)
	}
	c.create(balancer("d"))
	c.told("d", reasonNoAddress)

	c.remove("a")
	c.shows("c", "198.18.1.1")
	if got := shownBy(c.update("b", clusterIP)); got != "" {
		t.Errorf("the API server left %s in the status of another type", got)
	}
	c.shows("d", "198.18.1.2")
	c.update("b", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	c.told("b", reasonNoAddress)
}

func TestSameAddressTwice(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"a", "b"} {
		c.create(balancer(name))
		c.show(name, corev1.LoadBalancerIngress{IP: "198.18.1.3", IPMode: new(corev1.LoadBalancerIPModeVIP)})
	}
	c.start("198.18.1.0/29")
	c.shows("b", "198.18.1.1")
	c.shows("a", "198.18.1.3")
}

func TestWriteFails(t *testing.T) {
	c := newCluster(t)
	c.create(balancer("a"))
	var failed atomic.Bool
	c.startWith(c.wrapped(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if req.Method == http.MethodPatch && failed.CompareAndSwap(false, true) {
			return nil, io.ErrUnexpectedEOF
		}
		return next.RoundTrip(req)
	}), "198.18.1.0/29")
	c.shows("a", "198.18.1.1")
	if !failed.Load() {
		t.Error("no write failed")
	}
}

func TestNoWritesAtRest(t *testing.T) {
	c := newCluster(t)
	var writes atomic.Int32
	config := c.wrapped(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if req.Method != http.MethodGet {
			writes.Add(1)
		}
		return next.RoundTrip(req)
	})
	stop := c.startWith(config, "198.18.1.0/29")
	for _, name := range []string{"a", "b", "c"} {
		c.create(balancer(name))
	}
	c.create(balancer("foreign", class("example.com/other")))
	c.shown(3)
	stop()
	if n := writes.Load(); n != 3 {
		t.Errorf("%d writes for 3 Services", n)
	}

	live, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	c.must(err)
	pool, err := NewPool("198.18.1.0/29")
	c.must(err)
	a := &allocator{client: live, live: live, events: events.NewFakeRecorder(1), pool: pool}
	for _, name := range []string{"a", "b", "c", "foreign", "gone"} {
		req := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: c.namespace, Name: name}}
		if result, err := a.Reconcile(t.Context(), req); err != nil || !result.IsZero() {
			t.Errorf("%s: %v, %v", name, result, err)
		}
	}
	if n := writes.Load(); n != 3 {
		t.Errorf("%d writes at rest", n-3)
	}
}

// wrapped is a configuration whose requests go through a function.
func (c *cluster) wrapped(send func(*http.Request, http.RoundTripper) (*http.Response, error)) *rest.Config {
	config := rest.CopyConfig(c.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return transport(func(req *http.Request) (*http.Response, error) { return send(req, next) })
	})
	return config
}
