// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/fairlead/fairlead/test/controlplane"
)

// within bounds every wait, for a machine that is busy.
const within = time.Minute

// plane starts with the first test that asks for it, so that pure tests and fuzzing do not wait for it.
var plane struct {
	sync.Once
	*controlplane.ControlPlane
	failed error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if plane.ControlPlane != nil {
		if err := plane.Stop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "stop the control plane:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// cluster is a namespace, and the allocators that a test starts.
type cluster struct {
	*testing.T
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	plane.Do(func() {
		plane.ControlPlane, plane.failed = controlplane.Start(context.WithoutCancel(t.Context()), controlplane.Options{})
	})
	if plane.failed != nil {
		t.Fatal(plane.failed)
	}
	c := &cluster{T: t, config: plane.Config()}
	var err error
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		t.Fatal(err)
	}
	ns, err := c.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "pool-"}}, metav1.CreateOptions{})
	c.must(err)
	c.namespace = ns.Name
	// The next test's allocator serves all namespaces.
	t.Cleanup(func() { c.removeAll(context.WithoutCancel(t.Context())) })
	return c
}

func (c *cluster) removeAll(ctx context.Context) {
	services := c.client.CoreV1().Services(c.namespace)
	list, err := services.List(ctx, metav1.ListOptions{})
	c.must(err)
	for i := range list.Items {
		c.must(services.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{}))
	}
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// start runs an allocator until the test ends or stop is called, which returns when it has ended.
func (c *cluster) start(cidr string) (stop func()) {
	c.Helper()
	return c.startWith(c.config, cidr)
}

func (c *cluster) startWith(config *rest.Config, cidr string) (stop func()) {
	c.Helper()
	mgr, err := newManager(config, options{cidr: cidr, health: "0"})
	c.must(err)
	return c.background(mgr.Start)
}

func (c *cluster) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.Errorf("the allocator ended with: %v", err)
		}
	})
	c.Cleanup(stop)
	return stop
}

// balancer is a Service that asks for an address.
func balancer(name string, change ...func(*corev1.Service)) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeLoadBalancer,
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	for _, do := range change {
		do(service)
	}
	return service
}

func class(class string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
}

func request(addr string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerIP = addr }
}

func clusterIP(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }

func (c *cluster) create(service *corev1.Service) *corev1.Service {
	c.Helper()
	made, err := c.client.CoreV1().Services(c.namespace).Create(c.Context(), service, metav1.CreateOptions{})
	c.must(err)
	return made
}

func (c *cluster) get(name string) *corev1.Service {
	c.Helper()
	service, err := c.client.CoreV1().Services(c.namespace).Get(c.Context(), name, metav1.GetOptions{})
	c.must(err)
	return service
}

func (c *cluster) remove(name string) {
	c.Helper()
	c.must(c.client.CoreV1().Services(c.namespace).Delete(c.Context(), name, metav1.DeleteOptions{}))
}

// update changes a spec. A conflict with the allocator cannot be: what it writes is waited for before.
func (c *cluster) update(name string, change func(*corev1.Service)) *corev1.Service {
	c.Helper()
	service := c.get(name)
	change(service)
	service, err := c.client.CoreV1().Services(c.namespace).Update(c.Context(), service, metav1.UpdateOptions{})
	c.must(err)
	return service
}

// show writes a status by hand.
func (c *cluster) show(name string, ingress ...corev1.LoadBalancerIngress) {
	c.Helper()
	service := c.get(name)
	service.Status.LoadBalancer.Ingress = ingress
	_, err := c.client.CoreV1().Services(c.namespace).UpdateStatus(c.Context(), service, metav1.UpdateOptions{})
	c.must(err)
}

// until watches what there is and what comes, until the answer is yes.
func (c *cluster) until(what string, start func(context.Context) (watch.Interface, error), done func(watch.Event) bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	w, err := start(ctx)
	c.must(err)
	var last any
	_, err = watchtools.UntilWithoutRetry(ctx, w, func(e watch.Event) (bool, error) {
		last = e.Object
		return done(e), nil
	})
	if err != nil {
		c.Fatalf("waiting until %s: %v; last seen: %v", what, err, last)
	}
}

// shown waits until enough Services of the namespace show an address, and returns the addresses by name. It fails
// the test where two show the same on the way.
func (c *cluster) shown(enough int) map[string]string {
	c.Helper()
	byName := map[string]string{}
	c.until(fmt.Sprintf("%d Services show an address", enough), func(ctx context.Context) (watch.Interface, error) {
		return c.client.CoreV1().Services(c.namespace).Watch(ctx, metav1.ListOptions{})
	}, func(e watch.Event) bool {
		service, ok := e.Object.(*corev1.Service)
		if !ok {
			return false
		}
		delete(byName, service.Name)
		if addr := shownBy(service); addr != "" && e.Type != watch.Deleted {
			for other, same := range byName {
				if same == addr {
					c.Errorf("%s and %s both show %s", service.Name, other, addr)
				}
			}
			byName[service.Name] = addr
		}
		return len(byName) >= enough
	})
	return byName
}

// shownBy is what a status shows: nothing, an address, or whatever else in words.
func shownBy(service *corev1.Service) string {
	var out []string
	for _, in := range service.Status.LoadBalancer.Ingress {
		if in.IPMode == nil || *in.IPMode != corev1.LoadBalancerIPModeVIP || in.Hostname != "" {
			out = append(out, in.String())
			continue
		}
		out = append(out, in.IP)
	}
	return strings.Join(out, ",")
}

// shows waits until a Service shows an address, or none.
func (c *cluster) shows(name, want string) {
	c.Helper()
	c.until(fmt.Sprintf("%s shows %q", name, want), func(ctx context.Context) (watch.Interface, error) {
		return c.client.CoreV1().Services(c.namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	}, func(e watch.Event) bool {
		service, ok := e.Object.(*corev1.Service)
		return ok && shownBy(service) == want
	})
}

// told waits for an event about a Service, and returns it.
func (c *cluster) told(name, reason string) (found *eventsv1.Event) {
	c.Helper()
	c.until(name+" is told "+reason, func(ctx context.Context) (watch.Interface, error) {
		return c.client.EventsV1().Events(c.namespace).Watch(ctx, metav1.ListOptions{})
	}, func(e watch.Event) bool {
		told, ok := e.Object.(*eventsv1.Event)
		if ok && told.Regarding.Name == name && told.Reason == reason {
			found = told
		}
		return found != nil
	})
	return found
}

// transport is a function that sends a request.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }
