// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
)

const (
	balancerNamespace = "load-balancers"
	balancerImage     = "example.com/haproxy:3.2"
	balancerPort      = 80
)

func balancerName(i int) string { return fmt.Sprintf("lb-%04d", i) }

func balancer(i int) *v1alpha1.LoadBalancer {
	return &v1alpha1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: balancerNamespace, Name: balancerName(i)},
		Spec: v1alpha1.LoadBalancerSpec{
			Scaling:   v1alpha1.Scaling{Replicas: 1},
			Service:   v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeClusterIP},
			Pod:       v1alpha1.PodTemplate{Image: balancerImage},
			Listeners: []v1alpha1.Listener{{Name: "http", Port: balancerPort, Protocol: v1alpha1.ProtocolHTTP}},
			Pools:     []v1alpha1.Pool{{Name: "web", Members: []v1alpha1.Member{{Address: &v1alpha1.MemberAddress{Host: "10.0.0.1", Port: 80}}}}},
			Routes:    []v1alpha1.Route{{Name: "all", Action: v1alpha1.Action{Pool: "web"}}},
		},
	}
}

// loadBalancers makes many, takes the time until all their objects are in force, breaks some, and reads the memory.
// No pod runs: there is no node.
func (b *bench) loadBalancers(ctx context.Context) error {
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: balancerNamespace}}); err != nil {
		return err
	}
	seen, err := b.watchBalancers(ctx)
	if err != nil {
		return err
	}
	b.say("%d load balancers", b.balancers)
	start := time.Now()
	err = each(ctx, 0, b.balancers, b.workers, func(ctx context.Context, i int) error { return b.client.Create(ctx, balancer(i)) })
	if err != nil {
		return err
	}
	if err := b.balancersInForce(ctx); err != nil {
		return fmt.Errorf("load balancers: %w", err)
	}
	b.figure("loadbalancers_converge", time.Since(start).Seconds(), "s", "")
	if b.edits > 0 {
		if err := b.repairBalancers(ctx, seen); err != nil {
			return fmt.Errorf("repair load balancers: %w", err)
		}
	}
	if _, err := b.memory(ctx, fmt.Sprintf("rss_%d_loadbalancers", b.balancers)); err != nil {
		return err
	}
	return b.clearBalancers(ctx)
}

// balancersInForce waits until nothing is missing but replicas.
func (b *bench) balancersInForce(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		var list v1alpha1.LoadBalancerList
		if err := b.client.List(ctx, &list, client.InNamespace(balancerNamespace)); err != nil {
			return false, err
		}
		done := 0
		for i := range list.Items {
			ready := meta.FindStatusCondition(list.Items[i].Status.Conditions, v1alpha1.ConditionReady)
			if ready != nil && ready.Reason == v1alpha1.ReasonUnavailable {
				done++
			}
		}
		return done == b.balancers, nil
	})
}

func (b *bench) clearBalancers(ctx context.Context) error {
	if err := b.client.DeleteAllOf(ctx, &v1alpha1.LoadBalancer{}, client.InNamespace(balancerNamespace)); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: balancerNamespace}}
	if err := b.client.Delete(ctx, namespace); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		err := b.client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("wait for the end of namespace %s: %w", balancerNamespace, err)
	}
	return b.stopOperator()
}

// balancerEdit is one way to break an object of a load balancer. It is one request.
type balancerEdit struct {
	object func() client.Object
	patch  string
}

var balancerEdits = []balancerEdit{
	{func() client.Object { return &corev1.Service{} }, `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9}]`},
	{func() client.Object { return &corev1.ConfigMap{} }, `[{"op":"add","path":"/data/x","value":"y"}]`},
	{func() client.Object { return &appsv1.Deployment{} }, `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"other:1"}]`},
}

// repairBalancers edits objects at random and takes the time from the event of the edit to that of the repair.
func (b *bench) repairBalancers(ctx context.Context, seen *sightings) error {
	random := rand.New(rand.NewPCG(5, 6))
	victims := random.Perm(b.balancers)
	took, how := make([]time.Duration, b.edits), make([]balancerEdit, b.edits)
	for i := range how {
		how[i] = balancerEdits[random.IntN(len(balancerEdits))]
	}
	b.say("%d edits, %d at a time", b.edits, b.editors)
	err := each(ctx, 0, b.edits, b.editors, func(ctx context.Context, i int) error {
		object := how[i].object()
		object.SetNamespace(balancerNamespace)
		object.SetName(render.ObjectName(balancerName(victims[i%len(victims)])))
		start := time.Now()
		if err := b.client.Patch(ctx, object, client.RawPatch(types.JSONPatchType, []byte(how[i].patch)), client.FieldOwner("bench")); err != nil {
			return err
		}
		var err error
		took[i], err = seen.repair(ctx, fmt.Sprintf("%T %s", object, object.GetName()), start)
		return err
	})
	if err != nil {
		return err
	}
	b.figure("loadbalancers_repair_p50", milliseconds(quantile(took, .5)), "ms", "")
	b.figure("loadbalancers_repair_p99", milliseconds(quantile(took, .99)), "ms", "under 50")
	b.figure("loadbalancers_repair_max", milliseconds(slices.Max(took)), "ms", "")
	return nil
}

// sightings are the times at which objects were last seen broken and whole.
type sightings struct {
	mu            sync.Mutex
	broken, whole map[string]time.Time
}

func (b *bench) watchBalancers(ctx context.Context) (*sightings, error) {
	s := &sightings{broken: map[string]time.Time{}, whole: map[string]time.Time{}}
	factory := informers.NewSharedInformerFactoryWithOptions(b.plain, 0, informers.WithNamespace(balancerNamespace))
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(), factory.Core().V1().ConfigMaps().Informer(), factory.Apps().V1().Deployments().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, after any) { s.note(after) }})
		if err != nil {
			return nil, fmt.Errorf("watch load balancers: %w", err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return s, nil
}

func (s *sightings) note(object any) {
	now := time.Now()
	var whole bool
	switch o := object.(type) {
	case *corev1.Service:
		whole = o.Spec.Ports[0].TargetPort.IntVal == 10000+balancerPort
	case *corev1.ConfigMap:
		whole = len(o.Data) == 1
	case *appsv1.Deployment:
		whole = o.Spec.Template.Spec.Containers[0].Image == balancerImage
	}
	key := fmt.Sprintf("%T %s", object, object.(metav1.Object).GetName())
	s.mu.Lock()
	defer s.mu.Unlock()
	if whole {
		// Of a Deployment there are more events, of its status.
		if s.whole[key].Before(s.broken[key]) {
			s.whole[key] = now
		}
	} else if !s.broken[key].After(s.whole[key]) {
		s.broken[key] = now
	}
}

// repair waits until an object was seen broken after a time, and whole after that.
func (s *sightings) repair(ctx context.Context, key string, after time.Time) (took time.Duration, err error) {
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		broken, whole := s.broken[key], s.whole[key]
		took = whole.Sub(broken)
		return broken.After(after) && whole.After(broken), nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait for the repair of %s: %w", key, err)
	}
	return took, nil
}
