// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/requests"
)

const (
	meshVersion = "1.31"
	// inMesh is the label by which a mesh picks its members.
	inMesh = "bench-mesh"
	// revisionLabel is what a member gets.
	revisionLabel = "istio.io/rev"
	// profileSpan is the time of each profile of meshes.
	profileSpan = 20 * time.Second
)

func meshName(i int) string { return fmt.Sprintf("mesh-%03d", i) }

func memberName(i int) string { return fmt.Sprintf("member-%04d", i) }

func aMesh(i int) *v1alpha1.Mesh {
	return &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: meshName(i)},
		Spec: v1alpha1.MeshSpec{
			Version: meshVersion, EndOfLife: v1alpha1.EndOfLifeAllow, Namespace: v1alpha1.NamespaceName("plane-" + meshName(i)),
			Members: &v1alpha1.MeshMembers{NamespaceSelector: v1alpha1.NamespaceSelector{
				MatchLabels: map[string]v1alpha1.LabelValue{inMesh: v1alpha1.LabelValue(meshName(i))},
			}},
		},
	}
}

// meshSteps measures many meshes on a control plane of their own, since nothing of the others is to be cleared: their
// objects get into force, some are broken, by turns with the operator and with a bare client, and in the end members get
// their labels. There is no node: this program stands for istiods.
func (b *bench) meshSteps(ctx context.Context) error {
	if err := errors.Join(b.stopPlane(), b.startPlane(ctx)); err != nil {
		return err
	}
	if err := b.makeMembers(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		name   string
		wanted bool
		do     func(context.Context) error
	}{
		{"get meshes into force", true, b.convergeMeshes},
		{"repair meshes", b.edits > 0, b.repairMeshes},
		{"start with meshes", true, b.restartWithMeshes},
		{"label members", b.members > 0, b.labelMembers},
		{"read the memory with meshes", true, b.memoryMeshes},
		{"rest with meshes", b.sizes.rest > 0, b.restMeshes},
	} {
		if !step.wanted {
			continue
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return b.stopOperator()
}

func (b *bench) memoryMeshes(ctx context.Context) error {
	_, err := b.memory(ctx, fmt.Sprintf("rss_%d_meshes_%d_members", b.meshes, b.meshes*b.members))
	return err
}

func (b *bench) makeMembers(ctx context.Context) error {
	total := b.meshes * b.members
	b.say("making %d member namespaces", total)
	err := each(ctx, 0, total, b.workers, func(ctx context.Context, i int) error {
		return b.client.Create(ctx, &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: memberName(i), Labels: map[string]string{inMesh: meshName(i % b.meshes)}},
		})
	})
	if err != nil {
		return err
	}
	// Their service accounts are still being made, which takes CPU from what is measured.
	return each(ctx, 0, total, 2, func(ctx context.Context, i int) error { return b.hasServiceAccount(ctx, memberName(i)) })
}

// convergeMeshes makes the meshes and waits until only their istiods are missing.
func (b *bench) convergeMeshes(ctx context.Context) error {
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if _, err := b.memory(ctx, fmt.Sprintf("rss_0_meshes_%d_namespaces", b.meshes*b.members)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	events, err := b.client.Watch(ctx, &v1alpha1.MeshList{})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer events.Stop()
	own, counted, err := b.counts(ctx)
	if err != nil {
		return err
	}
	b.say("%d meshes", b.meshes)
	before, start := b.cpu(), time.Now()
	created, profiled := make(chan error, 1), make(chan error, 1)
	go func() {
		created <- each(ctx, 0, b.meshes, b.workers, func(ctx context.Context, i int) error { return b.client.Create(ctx, aMesh(i)) })
	}()
	go func() { profiled <- b.takeProfile(ctx, profileSpan, ".meshes") }()
	for inForce := map[string]bool{}; len(inForce) < b.meshes; {
		select {
		case event, open := <-events.ResultChan():
			m, ok := event.Object.(*v1alpha1.Mesh)
			if !open || !ok {
				return errors.Join(fmt.Errorf("the watch ended with %d in force: %v", len(inForce), event.Object), context.Cause(ctx))
			}
			if onlyIstiodMissing(m) {
				inForce[m.Name] = true
			} else {
				delete(inForce, m.Name)
			}
		case err := <-created:
			if err != nil {
				return err
			}
			created = nil
		}
	}
	b.figure("meshes_converge", time.Since(start).Seconds(), "s", "")
	b.say("CPU of %s", b.cpu().since(before))
	if err := b.convergeRequests(ctx, own, counted); err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	_, err = b.memory(ctx, fmt.Sprintf("rss_%d_meshes", b.meshes))
	return err
}

func onlyIstiodMissing(m *v1alpha1.Mesh) bool {
	ready := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonIstiodUnavailable && m.Status.ObservedGeneration == m.Generation
}

// convergeRequests tells what the operator has sent since earlier counts, and how many objects came of it.
func (b *bench) convergeRequests(ctx context.Context, own float64, before requests.Counts) error {
	owns, counted, err := b.counts(ctx)
	if err != nil {
		return err
	}
	made := counted.Since(before).Only(func(key requests.Key) bool { return key.Verb == "POST" && key.Code == "201" })
	b.say("created meanwhile, by everybody:\n%s", made)
	b.figure("meshes_converge_requests", (owns-own)/float64(b.meshes), "of the operator per mesh", "")
	return nil
}

// counts are how many requests the operator has sent, and those that the API server has answered.
func (b *bench) counts(ctx context.Context) (float64, requests.Counts, error) {
	figures, err := b.process.Metrics(ctx)
	if err != nil {
		return 0, nil, err
	}
	all, err := requests.Read(ctx, b.plain)
	return figures.Sum("rest_client_requests_total"), all, err
}

// restartWithMeshes starts an operator that knows nothing, with all in force: it has nothing to write.
func (b *bench) restartWithMeshes(ctx context.Context) error {
	if b.process != nil {
		if err := b.stopOperator(); err != nil {
			return err
		}
	}
	before, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	b.say("starting the operator with %d meshes", b.meshes)
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	after, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	writes := after.Since(before).Only(writesOfMeshes)
	if len(writes) > 0 {
		b.say("writes at the start: %v", writes)
	}
	own, err := b.ownWrites(ctx)
	if err != nil {
		return err
	}
	b.figure("meshes_writes_at_start", float64(writes.Total()), "requests", "0")
	b.figure("meshes_own_writes_at_start", own, "requests of the operator, dry runs among them", "")
	return nil
}

// restMeshes counts the API server's writes, and those that the operator says it has sent, dry runs among them.
func (b *bench) restMeshes(ctx context.Context) error {
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := b.ownWrites(ctx)
	if err != nil {
		return err
	}
	if err := b.writesAtRest(ctx, "meshes_writes_at_rest", writesOfMeshes); err != nil {
		return err
	}
	after, err := b.ownWrites(ctx)
	if err != nil {
		return err
	}
	b.figure("meshes_own_writes_at_rest", after-before, "requests of the operator", "0")
	return nil
}

// ownWrites is how many requests that are no reads the operator has sent since it began.
func (b *bench) ownWrites(ctx context.Context) (float64, error) {
	figures, err := b.process.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	const name = "rest_client_requests_total"
	return figures.Sum(name) - figures.Sum(name, "method", "GET"), nil
}

// writesOfMeshes leaves out what the controller of the autoscalers writes, which finds no metrics here: it tells so again and
// again, in events of the old API group. The operator's are of the new one.
func writesOfMeshes(key requests.Key) bool {
	told := key.Resource == "events" && key.Group == ""
	return requests.Write(key) && !told && !(key.Resource == "horizontalpodautoscalers" && key.Subresource == "status")
}

// labelMembers stands in for all istiods at once, and takes the time until all members name their revisions.
func (b *bench) labelMembers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	events, err := b.client.Watch(ctx, &corev1.NamespaceList{}, client.HasLabels{inMesh})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer events.Stop()
	planes, err := b.istiods(ctx)
	if err != nil {
		return err
	}
	own, _, err := b.counts(ctx)
	if err != nil {
		return err
	}
	b.say("%d istiods come up", b.meshes)
	before, start := b.cpu(), time.Now()
	var up time.Duration
	raised := make(chan error, 1)
	go func() { raised <- planes.raise(ctx) }()
	total := b.meshes * b.members
	for labelled := map[string]bool{}; len(labelled) < total || raised != nil; {
		select {
		case event, open := <-events.ResultChan():
			ns, ok := event.Object.(*corev1.Namespace)
			if !open || !ok {
				return errors.Join(fmt.Errorf("the watch ended with %d labelled: %v", len(labelled), event.Object), context.Cause(ctx))
			}
			if ns.Labels[revisionLabel] != "" {
				labelled[ns.Name] = true
			}
		case err := <-raised:
			if err != nil {
				return err
			}
			raised, up = nil, time.Since(start)
		}
	}
	b.figure("meshes_istiods_up", up.Seconds(), "s", "")
	b.figure("meshes_members_labelled", time.Since(start).Seconds(), "s", "")
	b.say("CPU of %s", b.cpu().since(before))
	owns, _, err := b.counts(ctx)
	if err != nil {
		return err
	}
	b.figure("meshes_members_requests", (owns-own)/float64(total), "of the operator per member", "")
	return nil
}
