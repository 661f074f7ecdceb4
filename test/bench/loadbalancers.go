// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
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
	"github.com/fairlead/fairlead/test/requests"
)

const (
	balancerNamespace = "load-balancers"
	balancerImage     = "example.com/haproxy:3.2"
	balancerPort      = 80
	containerPort     = 10000 + balancerPort
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
	if err := b.convergeBalancers(ctx); err != nil {
		return fmt.Errorf("load balancers: %w", err)
	}
	if b.edits > 0 {
		if err := b.repairBalancers(ctx, seen, "loadbalancers_repair", "under 50"); err != nil {
			return fmt.Errorf("repair load balancers: %w", err)
		}
	}
	if _, err := b.memory(ctx, fmt.Sprintf("rss_%d_loadbalancers", b.balancers)); err != nil {
		return err
	}
	if err := b.stopOperator(); err != nil {
		return err
	}
	if b.edits > 0 {
		if err := b.bareRepair(ctx, seen); err != nil {
			return fmt.Errorf("repair load balancers by a bare client: %w", err)
		}
	}
	return b.clearBalancers(ctx)
}

// convergeBalancers makes the load balancers and waits until nothing of them is missing but replicas. It watches: lists of
// hundreds, four times a second, take CPU from what is measured.
func (b *bench) convergeBalancers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	events, err := b.client.Watch(ctx, &v1alpha1.LoadBalancerList{}, client.InNamespace(balancerNamespace))
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer events.Stop()
	b.say("%d load balancers", b.balancers)
	before, start := b.cpu(), time.Now()
	created := make(chan error, 1)
	go func() {
		created <- each(ctx, 0, b.balancers, b.workers, func(ctx context.Context, i int) error { return b.client.Create(ctx, balancer(i)) })
	}()
	for inForce := map[string]bool{}; len(inForce) < b.balancers; {
		select {
		case event, open := <-events.ResultChan():
			lb, ok := event.Object.(*v1alpha1.LoadBalancer)
			if !open || !ok {
				return errors.Join(fmt.Errorf("the watch ended with %d in force: %v", len(inForce), event.Object), context.Cause(ctx))
			}
			ready := meta.FindStatusCondition(lb.Status.Conditions, v1alpha1.ConditionReady)
			if ready != nil && ready.Reason == v1alpha1.ReasonUnavailable {
				inForce[lb.Name] = true
			} else {
				delete(inForce, lb.Name)
			}
		case err := <-created:
			if err != nil {
				return err
			}
			created = nil
		}
	}
	b.figure("loadbalancers_converge", time.Since(start).Seconds(), "s", "")
	b.say("CPU of %s", b.cpu().since(before))
	return nil
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
	return nil
}

// balancerEdit is one way to break an object of a load balancer, and to undo that. Each is one request.
type balancerEdit struct {
	object      func() client.Object
	patch, undo string
}

// balancerEdits start no rollout of a Deployment: its ReplicaSets and pods take more of the machine than edit and repair.
var balancerEdits = []balancerEdit{
	{
		func() client.Object { return &corev1.Service{} }, `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9}]`,
		fmt.Sprintf(`[{"op":"replace","path":"/spec/ports/0/targetPort","value":%d}]`, containerPort),
	},
	{func() client.Object { return &corev1.ConfigMap{} }, `[{"op":"add","path":"/data/x","value":"y"}]`, `[{"op":"remove","path":"/data/x"}]`},
	{
		func() client.Object { return &appsv1.Deployment{} }, `[{"op":"add","path":"/spec/minReadySeconds","value":7}]`,
		`[{"op":"remove","path":"/spec/minReadySeconds"}]`,
	},
}

func (b *bench) patchBalancer(ctx context.Context, object client.Object, patch string) error {
	return b.client.Patch(ctx, object, client.RawPatch(types.JSONPatchType, []byte(patch)), client.FieldOwner("bench"))
}

// bareRepair has the bench itself undo the edits, each at its event: what the API server takes of a repair. The operator
// does not run.
func (b *bench) bareRepair(ctx context.Context, seen *sightings) error {
	failed := make(chan error, b.edits)
	seen.undoBy(func(object client.Object) {
		for _, edit := range balancerEdits {
			if key := edit.object(); reflect.TypeOf(key) == reflect.TypeOf(object) {
				key.SetNamespace(object.GetNamespace())
				key.SetName(object.GetName())
				if err := b.patchBalancer(ctx, key, edit.undo); err != nil {
					failed <- err
				}
			}
		}
	})
	err := b.repairBalancers(ctx, seen, "loadbalancers_bare_repair", "")
	select {
	case failure := <-failed:
		return errors.Join(err, failure)
	default:
		return err
	}
}

// repairBalancers edits objects at random and takes the time from the event of the edit to that of the repair. The editors
// pause: where they take all of the CPU that there is, it is the queue for that which is measured.
func (b *bench) repairBalancers(ctx context.Context, seen *sightings, name, target string) error {
	random := rand.New(rand.NewPCG(5, 6))
	victims := random.Perm(b.balancers)
	took, how := make([]time.Duration, b.edits), make([]balancerEdit, b.edits)
	for i := range how {
		how[i] = balancerEdits[random.IntN(len(balancerEdits))]
	}
	b.say("%d edits, %d at a time with pauses of %s", b.edits, b.editors, b.pause)
	counted, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	before, start := b.cpu(), time.Now()
	err = each(ctx, 0, b.edits, b.editors, func(ctx context.Context, i int) error {
		if err := sleep(ctx, b.pause); err != nil {
			return err
		}
		object := how[i].object()
		object.SetNamespace(balancerNamespace)
		object.SetName(render.ObjectName(balancerName(victims[i%len(victims)])))
		start := time.Now()
		if err := b.patchBalancer(ctx, object, how[i].patch); err != nil {
			return err
		}
		var err error
		took[i], err = seen.repair(ctx, fmt.Sprintf("%T %s", object, object.GetName()), start)
		return err
	})
	if err != nil {
		return err
	}
	b.say("it took %.2f s; CPU of %s", time.Since(start).Seconds(), b.cpu().since(before))
	counts, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	patches := counts.Since(counted).Only(func(key requests.Key) bool {
		return key.Verb == "PATCH" && slices.Contains([]string{"services", "configmaps", "deployments"}, key.Resource)
	})
	b.figure(name+"_p50", milliseconds(quantile(took, .5)), "ms", "")
	b.figure(name+"_p99", milliseconds(quantile(took, .99)), "ms", target)
	b.figure(name+"_max", milliseconds(slices.Max(took)), "ms", "")
	b.figure(name+"_requests", float64(patches.Total()-b.edits)/float64(b.edits), "per repair", "1")
	return nil
}

// sightings are the times at which objects were last seen broken and whole.
type sightings struct {
	mu            sync.Mutex
	broken, whole map[string]time.Time
	// undo is called with what was seen broken; nil for nothing.
	undo func(client.Object)
}

func (b *bench) watchBalancers(ctx context.Context) (*sightings, error) {
	s := &sightings{broken: map[string]time.Time{}, whole: map[string]time.Time{}}
	factory := informers.NewSharedInformerFactoryWithOptions(b.plain, 0, informers.WithNamespace(balancerNamespace))
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(), factory.Core().V1().ConfigMaps().Informer(), factory.Apps().V1().Deployments().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, after any) { s.note(after.(client.Object)) }})
		if err != nil {
			return nil, fmt.Errorf("watch load balancers: %w", err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return s, nil
}

func (s *sightings) undoBy(undo func(client.Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undo = undo
}

func (s *sightings) note(object client.Object) {
	now := time.Now()
	var whole bool
	switch o := object.(type) {
	case *corev1.Service:
		whole = o.Spec.Ports[0].TargetPort.IntVal == containerPort
	case *corev1.ConfigMap:
		whole = len(o.Data) == 1
	case *appsv1.Deployment:
		whole = o.Spec.MinReadySeconds == 0
	}
	key := fmt.Sprintf("%T %s", object, object.GetName())
	s.mu.Lock()
	defer s.mu.Unlock()
	if whole {
		// Of a Deployment there are more events, of its status.
		if s.whole[key].Before(s.broken[key]) {
			s.whole[key] = now
		}
	} else if !s.broken[key].After(s.whole[key]) {
		s.broken[key] = now
		if s.undo != nil {
			go s.undo(object)
		}
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
