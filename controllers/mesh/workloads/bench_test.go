// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"fmt"
	"runtime"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// arrived is an object as it comes from the API server: no two share any memory.
func arrived[P interface {
	Marshal() ([]byte, error)
	Unmarshal(wire []byte) error
}](tb testing.TB, object, into P) P {
	tb.Helper()
	wire, err := object.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	if err := into.Unmarshal(wire); err != nil {
		tb.Fatal(err)
	}
	return into
}

// big is one of the pods of a Deployment of three, as a cluster has them.
func big(n int) *corev1.Pod {
	p := podWith(annotated(keyInjected, injected), annotated(keyRevision, "main-1-31-0"), labelled("app", "cart"), labelled("pod-template-hash", "6b8d9c7f5"), native("istio/proxyv2:1.31.0"))
	set := fmt.Sprintf("service-%d-6b8d9c7f5", n/3)
	p.Namespace, p.Name = fmt.Sprintf("team-%d", n/30), fmt.Sprintf("%s-%05x", set, n)
	p.ResourceVersion, p.UID = fmt.Sprint(100_000_000+n), "01234567-89ab-cdef-0123-456789abcdef"
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set, UID: "01234567-89ab-cdef-0123-456789abcdef", Controller: new(true)}}
	for i := range 20 {
		env := corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", i), Value: "some value that an application is given"}
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, env)
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

// heap is the memory in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// stored fills a store with 10,000 objects and gives the bytes of each, the store's own among them.
func stored(tb testing.TB, object func(n int) any) float64 {
	tb.Helper()
	const many = 10_000
	store := cache.NewIndexer(cache.DeletionHandlingMetaNamespaceKeyFunc, cache.Indexers{byNamespace: func(object any) ([]string, error) {
		return []string{object.(metav1.ObjectMetaAccessor).GetObjectMeta().GetNamespace()}, nil
	}})
	before := heap()
	for n := range many {
		if err := store.Add(object(n)); err != nil {
			tb.Fatal(err)
		}
	}
	out := float64(heap()-before) / many
	runtime.KeepAlive(store)
	return out
}

// TestMemory: a pod costs a few hundred bytes, where untrimmed it would be several thousand.
func TestMemory(t *testing.T) {
	const most = 600
	if got := stored(t, func(n int) any { return trimmed(arrived(t, big(n), &corev1.Pod{})) }); got > most {
		t.Errorf("%.0f bytes per pod, more than %d", got, most)
	}
}

// BenchmarkMemory is what the cache costs, by object.
func BenchmarkMemory(b *testing.B) {
	for name, object := range map[string]func(n int) any{
		"pod, untrimmed": func(n int) any { return arrived(b, big(n), &corev1.Pod{}) },
		"pod":            func(n int) any { return trimmed(arrived(b, big(n), &corev1.Pod{})) },
		"ReplicaSet": func(n int) any {
			set := partialReplicaSet()
			set.Namespace, set.Name, set.ResourceVersion = fmt.Sprintf("team-%d", n/30), fmt.Sprintf("service-%d-6b8d9c7f5", n), fmt.Sprint(100_000_000+n)
			set.Annotations = map[string]string{annotationDeploymentRevision: fmt.Sprint(n % 10)}
			set.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: fmt.Sprintf("service-%d", n/10), Controller: new(true)}}
			return trimmed(arrived(b, set, &metav1.PartialObjectMetadata{}))
		},
		"Deployment": func(n int) any {
			p := big(n)
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Annotations: map[string]string{annotationDeploymentRevision: "3"}}}
			d.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": p.Name, "version": "v1"}}, Spec: p.Spec}
			return trimmed(arrived(b, d, &appsv1.Deployment{}))
		},
	} {
		b.Run(name, func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				bytes = stored(b, object)
			}
			b.ReportMetric(bytes, "B/object")
		})
	}
}

// BenchmarkNamespace looks at a namespace of 300 pods.
func BenchmarkNamespace(b *testing.B) {
	s := sight{replicaSets: map[string]*replicaSet{}}
	for n := range 300 {
		s.pods = append(s.pods, trimPod(big(n)))
		set := s.pods[n].owner.Value().name
		if s.replicaSets[set] == nil {
			name := fmt.Sprintf("service-%d", n/3)
			s.replicaSets[set] = trimmed(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: set, OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "Deployment", Name: name, Controller: new(true)},
			}}}).(*replicaSet)
			s.workloads = append(s.workloads, &workload{object: object{"shop", name, "1"}, workloadFacts: workloadFacts{kind: rollout.Deployment, replicas: 3, settled: true, wants: true}})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := s.observe(); len(got) != 100 || got[0].Ready != 3 {
			b.Fatalf("%+v", got)
		}
	}
}
