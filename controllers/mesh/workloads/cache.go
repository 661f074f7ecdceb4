// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// patience is how long a question waits for the cache to fill.
const patience = time.Minute

// Change is what may have to be decided anew.
type Change struct {
	// Namespace is that of a pod, workload or budget.
	Namespace string
	// Revision is that of the proxy of a pod; empty if it is about something else.
	Revision string
}

// Cache holds the pods and workloads of the cluster, trimmed. It fills when it is first asked, so a cluster without meshes
// pays nothing. It is safe for concurrent use.
type Cache struct {
	client  client.WithWatch
	changes *changes

	pods, deployments, statefulSets, daemonSets, replicaSets, budgets *informer

	// up is closed when the manager has started the cache.
	up      chan struct{}
	mu      sync.Mutex
	running sync.WaitGroup
	stopped bool
	ctx     context.Context
	// written are workloads that were restarted and are not in the informers yet, by kind/namespace/name.
	written map[string]*workload

	// proxied counts the changes to the proxies of pods; tally is what was counted at tallied.
	proxied atomic.Int64
	tallied int64
	tally   tally
}

// New makes a cache that runs with a manager. After it has filled, changed is told of what counts, by one goroutine, with
// what happens at the same moment told once. It must not block.
func New(mgr ctrl.Manager, changed func(Change)) (*Cache, error) {
	direct, err := client.NewWithWatch(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme.Scheme, Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("build the client of workloads: %w", err)
	}
	c := &Cache{client: direct, changes: newChanges(changed), up: make(chan struct{}), written: map[string]*workload{}}
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	c.pods = c.informer("pods", &corev1.PodList{}, &corev1.Pod{}, unfinished)
	c.deployments = c.informer("deployments", &appsv1.DeploymentList{}, &appsv1.Deployment{}, "")
	c.statefulSets = c.informer("statefulsets", &appsv1.StatefulSetList{}, &appsv1.StatefulSet{}, "")
	c.daemonSets = c.informer("daemonsets", &appsv1.DaemonSetList{}, &appsv1.DaemonSet{}, "")
	c.replicaSets = c.informer("replicasets", sets, partialReplicaSet(), "")
	c.budgets = c.informer("poddisruptionbudgets", &policyv1.PodDisruptionBudgetList{}, &policyv1.PodDisruptionBudget{}, "")
	for _, i := range []*informer{c.pods, c.deployments, c.statefulSets, c.daemonSets, c.replicaSets, c.budgets} {
		if err := c.prepare(i); err != nil {
			return nil, fmt.Errorf("prepare the informer of %s: %w", i.what, err)
		}
	}
	if err := mgr.Add(c); err != nil {
		return nil, fmt.Errorf("add the cache of workloads: %w", err)
	}
	return c, nil
}

// NeedLeaderElection is false: the cache costs nothing until somebody asks.
func (c *Cache) NeedLeaderElection() bool { return false }

// Start runs what is asked for until the context ends.
func (c *Cache) Start(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	close(c.up)
	c.changes.run(ctx)
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// Namespace gives the workloads of a namespace, sorted by kind and name. Those that want no proxy, and those of Fairlead, are
// not among them, nor those that have no pods and want none.
func (c *Cache) Namespace(ctx context.Context, name string) ([]rollout.Workload, error) {
	if err := c.fill(ctx, c.pods, c.deployments, c.statefulSets, c.daemonSets, c.replicaSets, c.budgets); err != nil {
		return nil, err
	}
	seen := sight{budgets: in[budget](c.budgets, name), replicaSets: map[string]*replicaSet{}}
	for _, i := range []*informer{c.deployments, c.statefulSets, c.daemonSets} {
		for _, w := range in[workload](i, name) {
			seen.workloads = append(seen.workloads, c.latest(w))
		}
	}
	for _, set := range in[replicaSet](c.replicaSets, name) {
		seen.replicaSets[set.name] = set
	}
	seen.pods = in[pod](c.pods, name)
	return seen.observe(), nil
}

// Budgets gives the disruptions that each PodDisruptionBudget of the cluster allows now, by namespace/name.
func (c *Cache) Budgets(ctx context.Context) (map[string]int, error) {
	if err := c.fill(ctx, c.budgets); err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, object := range c.budgets.shared.GetStore().List() {
		b := object.(*budget)
		out[b.key()] = b.allowed
	}
	return out, nil
}

// Proxies counts the proxies of each revision in the whole cluster. Pods that terminate and gateways count, finished pods do not.
func (c *Cache) Proxies(ctx context.Context) (map[string]int, error) {
	t, err := c.count(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int, len(t))
	for revision, namespaces := range t {
		for _, n := range namespaces {
			out[revision] += n
		}
	}
	return out, nil
}

// Held counts the pods with a proxy of some revisions that neither go nor are of a mesh itself, those among them that are
// none of a workload, like the gateways that istiod makes.
func (c *Cache) Held(ctx context.Context, owns func(revision string) bool) (int, error) {
	if err := c.fill(ctx, c.pods); err != nil {
		return 0, err
	}
	n := 0
	for _, object := range c.pods.shared.GetStore().List() {
		p := object.(*pod)
		if revision := p.proxy.Value().Revision; !p.ours && !p.terminates && revision != "" && owns(revision) {
			n++
		}
	}
	return n, nil
}

// Running gives the namespaces that run proxies of some revisions, counted as Proxies does; sorted.
func (c *Cache) Running(ctx context.Context, owns func(revision string) bool) ([]string, error) {
	t, err := c.count(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for revision, namespaces := range t {
		if owns(revision) {
			for namespace := range namespaces {
				out = append(out, namespace)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tally counts proxies by revision and namespace. It is not changed once it is made.
type tally map[string]map[string]int

// count goes through all pods only if a proxy came, went or changed since it did so last.
func (c *Cache) count(ctx context.Context) (tally, error) {
	if err := c.fill(ctx, c.pods); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.proxied.Load()
	if c.tally != nil && c.tallied == now {
		return c.tally, nil
	}
	c.tally, c.tallied = tally{}, now
	for _, object := range c.pods.shared.GetStore().List() {
		p := object.(*pod)
		revision := p.proxy.Value().Revision
		if revision == "" {
			continue
		}
		if c.tally[revision] == nil {
			c.tally[revision] = map[string]int{}
		}
		c.tally[revision][p.namespace]++
	}
	return c.tally, nil
}
