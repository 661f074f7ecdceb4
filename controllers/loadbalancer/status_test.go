// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
)

// TestReadyIsHonest walks a load balancer from nothing to Ready, and on through everything that takes that away.
func TestReadyIsHonest(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "honest", func(spec *v1alpha1.LoadBalancerSpec) { spec.Service.Type = corev1.ServiceTypeLoadBalancer })

	got := o.awaitReady(t, lb, "False/NoAddress")
	if condition(got, v1alpha1.ConditionReconciling) != "True/NoAddress" || condition(got, v1alpha1.ConditionStalled) != "" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	front, _ := get(t, o, lb.Namespace, "front-lb", &corev1.Service{})
	front.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}, {Hostname: "lb.example.com"}}
	if err := o.client.Status().Update(t.Context(), front); err != nil {
		t.Fatal(err)
	}
	got = o.awaitReady(t, lb, "False/Unavailable")
	if fmt.Sprint(got.Status.Addresses) != "[192.0.2.7 lb.example.com]" {
		t.Errorf("the addresses are %v", got.Status.Addresses)
	}

	pods := o.pods(t, lb, 2)
	_, hash := o.model(t, lb)
	o.run(t, &pods[0])
	o.report(t, lb, &pods[0], v1alpha1.ReplicaReport{Model: hash})
	o.await(t, lb, "one of two is ready", func(lb *v1alpha1.LoadBalancer) bool {
		return message(lb, v1alpha1.ConditionReady) == "1 of 2 replicas are ready" && lb.Status.Replicas.Current == 1
	})
	o.run(t, &pods[1])
	got = o.awaitReady(t, lb, "False/OutdatedReplicas")
	if message(got, v1alpha1.ConditionReady) != "1 of 2 replicas serve the newest spec" {
		t.Errorf("Ready says %q", message(got, v1alpha1.ConditionReady))
	}
	o.report(t, lb, &pods[1], v1alpha1.ReplicaReport{Model: hash})
	got = o.awaitReady(t, lb, "True/InForce")
	if r := got.Status.Replicas; r.Desired != 2 || r.Ready != 2 || r.Current != 2 || len(got.Status.Conditions) != 1 {
		t.Errorf("the replicas are %+v and the conditions %+v", r, got.Status.Conditions)
	}
	o.awaitFigure(t, lb, 2, "fairlead_loadbalancer_replicas", "state", "current")

	// A new spec is not in force before replicas say so.
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.MaxConnections = 1000 })
	o.awaitReady(t, lb, "False/OutdatedReplicas")
	_, next := o.model(t, lb)
	if next == hash {
		t.Fatal("another spec has the same model")
	}
	o.report(t, lb, &pods[0], v1alpha1.ReplicaReport{Model: next})
	o.report(t, lb, &pods[1], v1alpha1.ReplicaReport{Model: hash, Refused: "routes[x]: no"})
	got = o.awaitReady(t, lb, "False/RefusedByReplica")
	if message(got, v1alpha1.ConditionReady) != "1 of 2 replicas do not put the spec in force: routes[x]: no" || condition(got, v1alpha1.ConditionStalled) != "True/RefusedByReplica" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	o.report(t, lb, &pods[1], v1alpha1.ReplicaReport{Model: next})
	o.awaitReady(t, lb, "True/InForce")

	// An address that goes takes Ready with it.
	front, _ = get(t, o, lb.Namespace, "front-lb", &corev1.Service{})
	front.Status.LoadBalancer.Ingress = nil
	if err := o.client.Status().Update(t.Context(), front); err != nil {
		t.Fatal(err)
	}
	o.awaitReady(t, lb, "False/NoAddress")
}

func TestReportsBecomeStatus(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "reports", members(v1alpha1.ServiceReference{Name: "gone"}))
	pods := o.serve(t, lb, 2)
	_, hash := o.model(t, lb)
	problem := v1alpha1.Problem{Field: "listeners[https].tls.certificates[0]", Reason: "NotFound", Message: "Secret is not there"}
	then := metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second))
	repair := v1alpha1.RepairRecord{Object: "HAProxy", Field: "servers", Want: "up", Found: "maint", Manager: "unknown", Time: then, Repaired: true}
	for i := range pods {
		o.report(t, lb, &pods[i], v1alpha1.ReplicaReport{
			Model: hash, Problems: &v1alpha1.Problems{Count: 1, Top: []v1alpha1.Problem{problem}}, Repairs: []v1alpha1.RepairRecord{repair},
		})
	}
	got := o.await(t, lb, "problems of both halves", func(lb *v1alpha1.LoadBalancer) bool {
		return condition(lb, v1alpha1.ConditionReady) == "False/PartlyInForce" && lb.Status.Problems != nil && lb.Status.Problems.Count == 2
	})
	if top := got.Status.Problems.Top; len(top) != 2 || top[0] != problem || top[1].Field != "pools[web].members[0].service" {
		t.Errorf("the problems are %+v", got.Status.Problems)
	}
	if condition(got, v1alpha1.ConditionStalled) != "True/PartlyInForce" || !strings.HasSuffix(message(got, v1alpha1.ConditionReady), "(and 1 more)") {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	if len(got.Status.Repairs) == 0 || !got.Status.Repairs[0].Time.Equal(&then) || got.Status.Repairs[0].Object != "HAProxy" {
		t.Errorf("the repairs are %+v", got.Status.Repairs)
	}

	// A report of a pod that is gone, or of none, counts no more.
	forged := &v1alpha1.AgentReport{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: "nobody"}, Report: v1alpha1.ReplicaReport{LoadBalancer: "front", Refused: "no"}}
	o.create(t, forged)
	o.create(t, service(lb.Namespace, "gone", corev1.ServicePort{Port: 80}))
	testutil.Eventually(t, soon, "another model", func() (bool, string) {
		_, now := o.model(t, lb)
		return now != hash, "it is the same"
	})
	_, hash = o.model(t, lb)
	for i := range pods {
		o.report(t, lb, &pods[i], v1alpha1.ReplicaReport{Model: hash})
	}
	o.awaitReady(t, lb, "True/InForce")
}

// awaitFigure waits for the value of a metric of a load balancer.
func (o *operator) awaitFigure(t *testing.T, lb *v1alpha1.LoadBalancer, want float64, name string, pairs ...string) {
	t.Helper()
	pairs = append(pairs, "namespace", lb.Namespace, "name", lb.Name)
	testutil.Eventually(t, soon, fmt.Sprintf("%s%v is %v", name, pairs, want), func() (bool, string) {
		got, ok := figure(t, name, pairs)
		return ok && got == want, fmt.Sprintf("it is %v (%v)", got, ok)
	})
}

func figure(t *testing.T, name string, pairs []string) (float64, bool) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && labelled(metric, pairs) {
				return metric.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

func labelled(metric *dto.Metric, pairs []string) bool {
	for i := 0; i < len(pairs); i += 2 {
		found := false
		for _, pair := range metric.GetLabel() {
			found = found || pair.GetName() == pairs[i] && pair.GetValue() == pairs[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// TestPorts: a Service that changes its ports changes the model, at once.
func TestPortsOfServices(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "ports", members(v1alpha1.ServiceReference{Name: "web"}))
	o.await(t, lb, "the Service is missed", func(lb *v1alpha1.LoadBalancer) bool { return lb.Status.Problems != nil })
	web := service(lb.Namespace, "web", corev1.ServicePort{Name: "one", Port: 80})
	o.create(t, web)
	contains := func(want string) {
		t.Helper()
		testutil.Eventually(t, soon, "the model has "+want, func() (bool, string) {
			text, _ := o.model(t, lb)
			return strings.Contains(text, want), text
		})
	}
	contains(`"portName":"one"`)
	o.await(t, lb, "no problems", func(lb *v1alpha1.LoadBalancer) bool { return lb.Status.Problems == nil })
	change(t, o, web, func(s *corev1.Service) { s.Spec.Ports[0].Name = "two" })
	contains(`"portName":"two"`)
	if err := o.client.Delete(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	o.await(t, lb, "the Service is missed again", func(lb *v1alpha1.LoadBalancer) bool { return lb.Status.Problems != nil })
}

func TestPaused(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "paused")
	o.applied(t, lb)
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"} })
	o.awaitReady(t, lb, "Unknown/Paused")
	before := len(o.requests.Writes("/namespaces/" + lb.Namespace + "/"))
	change(t, o, o.deployment(t, lb), func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other:1" })
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.Listeners[0].Port = 81 })
	o.awaitReady(t, lb, "Unknown/Paused")
	writes := o.requests.Writes("/namespaces/" + lb.Namespace + "/")
	for _, w := range writes[before:] {
		if !strings.HasSuffix(w.Path, "/status") && !strings.Contains(w.Path, "/events/") && !strings.HasSuffix(w.Path, "/events") {
			t.Errorf("while paused it sent %s %s", w.Method, w.Path)
		}
	}
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Annotations = nil })
	o.applied(t, lb)
	if image := o.deployment(t, lb).Spec.Template.Spec.Containers[0].Image; image != haproxyImage {
		t.Errorf("after the pause the image is %s", image)
	}
	if s, _ := get(t, o, lb.Namespace, "front-lb", &corev1.Service{}); s.Spec.Ports[0].Port != 81 {
		t.Errorf("after the pause the port is %d", s.Spec.Ports[0].Port)
	}
}

func TestWarn(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "warn", func(spec *v1alpha1.LoadBalancerSpec) { spec.Drift = v1alpha1.Warn })
	o.applied(t, lb)
	change(t, o, o.deployment(t, lb), func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other:1" })
	got := o.awaitReady(t, lb, "False/ForeignEdits")
	if condition(got, v1alpha1.ConditionDrifted) != "True/ForeignEdits" || o.deployment(t, lb).Spec.Template.Spec.Containers[0].Image != "other:1" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.Drift = v1alpha1.Repair })
	o.applied(t, lb)
	if image := o.deployment(t, lb).Spec.Template.Spec.Containers[0].Image; image != haproxyImage {
		t.Errorf("the image is %s", image)
	}
}

// TestNameTaken: what is not ours is not touched, and is adopted where its owner says so.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "taken")
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "front-lb"}, Data: map[string]string{"a": "b"}}
	o.create(t, theirs)
	lb := balancer(ns)
	o.create(t, lb)
	got := o.awaitReady(t, lb, "False/NameTaken")
	if condition(got, v1alpha1.ConditionConflicted) != "True/NameTaken" || condition(got, v1alpha1.ConditionStalled) != "True/NameTaken" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	// The others are there all the same.
	o.deployment(t, lb)
	change(t, o, theirs, func(c *corev1.ConfigMap) { c.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} })
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.MaxConnections = 7 }) // Sooner than the next look.
	o.applied(t, lb)
	found, _ := get(t, o, ns, "front-lb", &corev1.ConfigMap{})
	if _, left := found.Data["a"]; left || !strings.Contains(found.Data[render.ModelKey], `"maxConnections":7`) {
		t.Errorf("the adopted ConfigMap has %v", found.Data)
	}
}

// TestDeletion: everything goes, and the names are free again.
func TestDeletion(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "deleted", autoscaled)
	o.applied(t, lb)
	if len(lb.Finalizers) != 0 {
		t.Errorf("without anything in other namespaces it has the finalizers %v", lb.Finalizers)
	}
	if err := o.client.Delete(t.Context(), lb); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds() {
		testutil.Eventually(t, soon, fmt.Sprintf("%T goes", kind), func() (bool, string) {
			_, there := get(t, o, lb.Namespace, "front-lb", kind)
			return !there, "it is there"
		})
	}
	testutil.Eventually(t, soon, "its figures go", func() (bool, string) {
		_, there := figure(t, "fairlead_loadbalancer_problems", []string{"namespace", lb.Namespace})
		return !there, "they are there"
	})
	again := balancer(lb.Namespace)
	o.create(t, again)
	o.applied(t, again)
}

// TestRemadeAtOnce: the objects of a load balancer that is made anew at once come back, also where foreign changes are left.
func TestRemadeAtOnce(t *testing.T) {
	t.Parallel()
	o := running(t)
	warn := func(spec *v1alpha1.LoadBalancerSpec) { spec.Drift = v1alpha1.Warn }
	lb := o.balancer(t, "remade", warn)
	o.applied(t, lb)
	for range 3 {
		if err := o.client.Delete(t.Context(), lb); err != nil {
			t.Fatal(err)
		}
		again := balancer(lb.Namespace)
		warn(&again.Spec)
		o.create(t, again)
		o.applied(t, again)
		lb = again
	}
}

// TestRestartWritesNothing: a new operator finds all as it should be, and says nothing that was said before.
func TestRestartWritesNothing(t *testing.T) {
	o := running(t)
	lb := o.balancer(t, "restart", autoscaled)
	pods := o.serve(t, lb, 2)
	before := o.awaitReady(t, lb, "True/InForce")
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	change(t, o, o.deployment(t, lb), func(d *appsv1.Deployment) { d.Labels["theirs"] = "stays" })
	o.start(t)
	// It has worked when it repairs something else.
	other := o.balancer(t, "restarted")
	o.applied(t, other)
	key := types.NamespacedName{Namespace: lb.Namespace, Name: "front"}
	o.report(t, lb, &pods[0], v1alpha1.ReplicaReport{Model: "other"})
	o.awaitReady(t, lb, "False/OutdatedReplicas")
	for _, w := range o.requests.Writes("/namespaces/" + key.Namespace + "/") {
		news := strings.Contains(w.Path, "/events") && strings.Contains(w.Body, v1alpha1.ReasonOutdatedReplicas)
		if !strings.HasSuffix(w.Path, "/status") && !news {
			t.Errorf("the new operator sent %s %s: %s", w.Method, w.Path, w.Body)
		}
	}
	after := &v1alpha1.LoadBalancer{}
	if err := o.client.Get(t.Context(), key, after); err != nil {
		t.Fatal(err)
	}
	if len(after.Status.Repairs) != len(before.Status.Repairs) {
		t.Errorf("the repairs became %+v", after.Status.Repairs)
	}
}
