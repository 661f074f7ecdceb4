// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// soon is how long a test waits for what should take milliseconds; the machine may be busy.
	soon = 60 * time.Second
	// editor is the field manager of foreign changes.
	editor = "kubectl-edit"

	agentImage   = "example.com/fairlead:1"
	haproxyImage = "example.com/haproxy:3.2"
)

var (
	cluster = testutil.Cluster{Options: controlplane.Options{ControllerManager: true}}
	fleet   = &operator{}
	names   atomic.Int64
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

// operator is the operator as main runs it, in this process. Tests share one; those that restart it are not
// parallel to others.
type operator struct {
	once     sync.Once
	client   client.WithWatch
	requests *testutil.Requests
	stop     func() error
}

// running gives the operator, started.
func running(t *testing.T) *operator {
	t.Helper()
	fleet.once.Do(func() {
		config := cluster.Config(t)
		crds := envtest.CRDInstallOptions{Paths: []string{"../../config/crd/bases"}, ErrorIfPathMissing: true}
		if _, err := envtest.InstallCRDs(config, crds); err != nil {
			t.Fatal(err)
		}
		scheme := setup.Scheme()
		if err := gatewayv1beta1.Install(scheme); err != nil {
			t.Fatal(err)
		}
		var err error
		if fleet.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{render.RoleAgent, render.RoleEndpoints, render.RoleSecrets} {
			if err := fleet.client.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
				t.Fatal(err)
			}
		}
		fleet.start(t)
	})
	if fleet.stop == nil {
		t.Fatal("the operator did not start")
	}
	return fleet
}

// start runs a new operator, which knows nothing.
func (o *operator) start(t *testing.T) {
	t.Helper()
	o.requests = &testutil.Requests{}
	cfg := cluster.Config(t)
	cfg.Wrap(o.requests.Wrap)
	mgr, err := setup.Manager(cfg, setup.Options{
		Namespace: "fairlead-system", MetricsAddress: "0", ProbeAddress: "0", Workers: 8, QPS: -1,
		AgentImage: agentImage, HAProxyImage: haproxyImage,
		// Restarts run controllers of the same name one after the other in this process.
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	o.stop = func() error {
		cancel()
		return <-done
	}
}

// unique is a name that no other test has.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, names.Add(1)) }

func (o *operator) namespace(t *testing.T, prefix string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique(prefix)}}
	o.create(t, ns)
	return ns.Name
}

// create makes an object that goes with the test.
func (o *operator) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := o.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(o.client.Delete(context.WithoutCancel(t.Context()), object)); err != nil {
			t.Error(err)
		}
	})
}

// balancer is a load balancer with one listener, not created yet.
func balancer(namespace string, edit ...func(*v1alpha1.LoadBalancerSpec)) *v1alpha1.LoadBalancer {
	lb := &v1alpha1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "front"},
		Spec: v1alpha1.LoadBalancerSpec{
			Listeners: []v1alpha1.Listener{{Name: "http", Port: 80, Protocol: v1alpha1.ProtocolHTTP}},
			Service:   v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeClusterIP},
		},
	}
	for _, e := range edit {
		e(&lb.Spec)
	}
	return lb
}

// balancer makes a load balancer in a namespace of its own.
func (o *operator) balancer(t *testing.T, prefix string, edit ...func(*v1alpha1.LoadBalancerSpec)) *v1alpha1.LoadBalancer {
	t.Helper()
	lb := balancer(o.namespace(t, prefix), edit...)
	o.create(t, lb)
	return lb
}

// change edits an object as often as it takes.
func change[T client.Object](t *testing.T, o *operator, object T, edit func(T)) {
	t.Helper()
	testutil.Eventually(t, soon, "edit "+object.GetName(), func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		edit(object)
		err := o.client.Update(t.Context(), object, client.FieldOwner(editor))
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// get reads an object into a new one of its kind; nil where there is none.
func get[T client.Object](t *testing.T, o *operator, namespace, name string, object T) (T, bool) {
	t.Helper()
	err := o.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return object, err == nil
}

// condition gives a condition as status/reason, empty where it does not apply.
func condition(lb *v1alpha1.LoadBalancer, name string) string {
	c := meta.FindStatusCondition(lb.Status.Conditions, name)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func message(lb *v1alpha1.LoadBalancer, name string) string {
	c := meta.FindStatusCondition(lb.Status.Conditions, name)
	if c == nil {
		return ""
	}
	return c.Message
}

// await waits until a status speaks of its spec and is as wanted, and gives it.
func (o *operator) await(t *testing.T, lb *v1alpha1.LoadBalancer, what string, ok func(*v1alpha1.LoadBalancer) bool) *v1alpha1.LoadBalancer {
	t.Helper()
	found := &v1alpha1.LoadBalancer{}
	testutil.Eventually(t, soon, lb.Namespace+"/"+lb.Name+": "+what, func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(lb), found); err != nil {
			t.Fatal(err)
		}
		return found.Status.ObservedGeneration == found.Generation && ok(found), fmt.Sprintf("generation %d, status %+v", found.Generation, found.Status)
	})
	return found
}

// awaitReady waits until Ready is as wanted, like False/Unavailable.
func (o *operator) awaitReady(t *testing.T, lb *v1alpha1.LoadBalancer, want string) *v1alpha1.LoadBalancer {
	t.Helper()
	return o.await(t, lb, "Ready is "+want, func(lb *v1alpha1.LoadBalancer) bool { return condition(lb, v1alpha1.ConditionReady) == want })
}

// applied waits until all objects are in force: only replicas are missing then.
func (o *operator) applied(t *testing.T, lb *v1alpha1.LoadBalancer) *v1alpha1.LoadBalancer {
	t.Helper()
	return o.await(t, lb, "its objects are in force", func(lb *v1alpha1.LoadBalancer) bool {
		return condition(lb, v1alpha1.ConditionReady) == "False/Unavailable" || strings.HasPrefix(condition(lb, v1alpha1.ConditionReady), "True/")
	})
}

// model gives the model in the ConfigMap, and its hash.
func (o *operator) model(t *testing.T, lb *v1alpha1.LoadBalancer) (text, hash string) {
	t.Helper()
	configMap, ok := get(t, o, lb.Namespace, lb.Name+"-lb", &corev1.ConfigMap{})
	if !ok {
		t.Fatalf("there is no ConfigMap of %s/%s", lb.Namespace, lb.Name)
	}
	text = configMap.Data[render.ModelKey]
	return text, render.Hash([]byte(text))
}

// pods waits for so many pods of a load balancer and gives them.
func (o *operator) pods(t *testing.T, lb *v1alpha1.LoadBalancer, count int) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	testutil.Eventually(t, soon, fmt.Sprintf("%s/%s has %d pods", lb.Namespace, lb.Name, count), func() (bool, string) {
		err := o.client.List(t.Context(), &list, client.InNamespace(lb.Namespace), client.MatchingLabels{render.LabelInstance: lb.Name})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == count, fmt.Sprintf("there are %d", len(list.Items))
	})
	return list.Items
}

// run plays the kubelet: the pod runs and is ready.
func (o *operator) run(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
	if err := o.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

// report plays the agent of a pod.
func (o *operator) report(t *testing.T, lb *v1alpha1.LoadBalancer, pod *corev1.Pod, report v1alpha1.ReplicaReport) {
	t.Helper()
	report.LoadBalancer = lb.Name
	object := &v1alpha1.AgentReport{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		},
		Report: report,
	}
	err := o.client.Create(t.Context(), object)
	if apierrors.IsAlreadyExists(err) {
		change(t, o, object, func(found *v1alpha1.AgentReport) { found.Report = report })
	} else if err != nil {
		t.Fatal(err)
	}
}

// serve brings all replicas up with the newest model.
func (o *operator) serve(t *testing.T, lb *v1alpha1.LoadBalancer, count int) []corev1.Pod {
	t.Helper()
	o.applied(t, lb)
	pods := o.pods(t, lb, count)
	_, hash := o.model(t, lb)
	for i := range pods {
		o.run(t, &pods[i])
		o.report(t, lb, &pods[i], v1alpha1.ReplicaReport{Model: hash, Version: "3.2.1"})
	}
	return pods
}

func (o *operator) deployment(t *testing.T, lb *v1alpha1.LoadBalancer) *appsv1.Deployment {
	t.Helper()
	deployment, ok := get(t, o, lb.Namespace, lb.Name+"-lb", &appsv1.Deployment{})
	if !ok {
		t.Fatalf("there is no Deployment of %s/%s", lb.Namespace, lb.Name)
	}
	return deployment
}

// members is a pool of Services.
func members(refs ...v1alpha1.ServiceReference) func(*v1alpha1.LoadBalancerSpec) {
	return func(spec *v1alpha1.LoadBalancerSpec) {
		pool := v1alpha1.Pool{Name: "web"}
		for i := range refs {
			pool.Members = append(pool.Members, v1alpha1.Member{Service: &refs[i]})
		}
		spec.Pools = []v1alpha1.Pool{pool}
		spec.Routes = []v1alpha1.Route{{Name: "all", Action: v1alpha1.Action{Pool: "web"}}}
	}
}

func service(namespace, name string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Ports: ports}}
}
