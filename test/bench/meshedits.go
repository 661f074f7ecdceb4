// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead/fairlead/controllers/mesh"
	"github.com/fairlead/fairlead/test/requests"
)

const (
	// objectsOfMeshes selects what is a mesh's, or shared by meshes.
	objectsOfMeshes = "fleet.fairlead.io/mesh"
	definition      = "CustomResourceDefinition"
	// definitionRounds is how often each definition is edited.
	definitionRounds = 2
)

// meshEdit sets a field of an object of a mesh.
type meshEdit struct {
	path  []string
	value any
}

// meshEdits are what a person does to objects, by kind. None starts a rollout: ReplicaSets and pods take more of the machine
// than edit and repair.
var meshEdits = map[string]meshEdit{
	"ClusterRole":                    {[]string{"rules", "0", "verbs"}, []any{"*"}},
	"ClusterRoleBinding":             {[]string{"subjects", "0", "name"}, "somebody"},
	"ConfigMap":                      {[]string{"data", "x"}, "y"},
	definition:                       {[]string{"spec", "names", "categories"}, []any{"edited"}},
	"Deployment":                     {[]string{"spec", "minReadySeconds"}, 7},
	"HorizontalPodAutoscaler":        {[]string{"spec", "maxReplicas"}, 9},
	"MutatingWebhookConfiguration":   {[]string{"webhooks", "0", "failurePolicy"}, "Ignore"},
	"Role":                           {[]string{"rules", "0", "verbs"}, []any{"*"}},
	"RoleBinding":                    {[]string{"subjects", "0", "name"}, "somebody"},
	"Service":                        {[]string{"spec", "ports", "0", "targetPort"}, 9},
	"ValidatingWebhookConfiguration": {[]string{"webhooks", "0", "rules", "0", "operations"}, []any{"CREATE"}},
}

// editOf takes an object out of its mesh where its kind has nothing better.
func editOf(kind string) meshEdit {
	if edit, ok := meshEdits[kind]; ok {
		return edit
	}
	return meshEdit{[]string{"metadata", "labels", objectsOfMeshes}, "other"}
}

// deletable leaves out what has pods, Services, whose addresses are free some time after they are gone only, and the
// definitions, with which go the objects of their kinds.
func deletable(kind string) bool {
	return kind != "Deployment" && kind != "Service" && kind != definition
}

func (e meshEdit) pointer() string {
	var out strings.Builder
	for _, part := range e.path {
		out.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return out.String()
}

func operation(op, path string, value any) []byte {
	text, err := json.Marshal([]map[string]any{{"op": op, "path": path, "value": value}})
	if err != nil {
		panic(err) // All values are such that it cannot.
	}
	return text
}

// undo gives the patch to how an object was before.
func (e meshEdit) undo(before *unstructured.Unstructured) []byte {
	var at any = before.Object
	for _, part := range e.path {
		switch inner := at.(type) {
		case map[string]any:
			at = inner[part]
		case []any:
			at = inner[part[0]-'0']
		}
		if at == nil {
			return operation("remove", e.pointer(), nil)
		}
	}
	return operation("replace", e.pointer(), at)
}

// trial is one edit or deletion of an object, and when it was seen.
type trial struct {
	resource schema.GroupVersionResource
	before   *unstructured.Unstructured
	deletion bool
	// want is the essence of before.
	want          string
	broken, whole time.Time
	done          chan struct{}
}

func (t *trial) kind() string { return t.before.GetKind() }

// essence is what a person decides of an object.
func essence(object *unstructured.Unstructured) string {
	out := maps.Clone(object.Object)
	annotations := object.GetAnnotations()
	delete(annotations, "deployment.kubernetes.io/revision")
	out["metadata"] = map[string]any{"labels": object.GetLabels(), "annotations": annotations}
	delete(out, "status")
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // It came as JSON.
	}
	return string(text)
}

// meshWatch sees the objects of meshes as anybody outside the operator does.
type meshWatch struct {
	stores map[schema.GroupVersionResource]cache.Store

	mu     sync.Mutex
	trials map[string]*trial
	// undo is called with what was seen broken; nil for nothing.
	undo func(*trial)
}

func (b *bench) watchMeshes(ctx context.Context) (*meshWatch, error) {
	w := &meshWatch{stores: map[schema.GroupVersionResource]cache.Store{}, trials: map[string]*trial{}}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(b.dynamic, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		// What remembers the progress of a mesh is none of what is rendered.
		o.LabelSelector = objectsOfMeshes + "," + managedBy + "=" + fairlead
	})
	for _, kind := range mesh.Kinds() {
		// Kubernetes makes endpoints of a Service with its labels.
		if kind.Optional || kind.Resource == "endpoints" || kind.Resource == "endpointslices" {
			continue
		}
		resource := kind.GVK.GroupVersion().WithResource(kind.Resource)
		informer := factory.ForResource(resource).Informer()
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { w.note(object, false) },
			UpdateFunc: func(_, object any) { w.note(object, false) },
			DeleteFunc: func(object any) { w.note(object, true) },
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", kind.Resource, err)
		}
		w.stores[resource] = informer.GetStore()
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return w, nil
}

func keyOf(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

func (w *meshWatch) note(event any, deleted bool) {
	if lost, ok := event.(cache.DeletedFinalStateUnknown); ok {
		event = lost.Obj
	}
	object, ok := event.(*unstructured.Unstructured)
	if !ok {
		return
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trials[keyOf(object)]
	if t == nil || !t.whole.IsZero() {
		return
	}
	whole := !deleted && essence(object) == t.want
	switch {
	case whole && !t.broken.IsZero():
		t.whole = now
		close(t.done)
	case !whole && t.broken.IsZero():
		t.broken = now
		if w.undo != nil {
			go w.undo(t)
		}
	}
}

func (w *meshWatch) undoBy(undo func(*trial)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.undo = undo
}

// victims are the objects that there are of meshes, or the definitions that they share, in the same order each time.
func (w *meshWatch) victims(shared bool) []*trial {
	var out []*trial
	for resource, store := range w.stores {
		for _, object := range store.List() {
			object := object.(*unstructured.Unstructured)
			if kind := object.GetKind(); (kind == definition) == shared {
				out = append(out, &trial{resource: resource, before: object})
			}
		}
	}
	slices.SortFunc(out, func(a, b *trial) int { return cmp.Compare(keyOf(a.before), keyOf(b.before)) })
	return out
}

// begin gives a trial of an object as it is now.
func (w *meshWatch) begin(of *trial, deletion bool) (*trial, error) {
	now, ok, err := w.stores[of.resource].GetByKey(cache.MetaObjectToName(of.before).String())
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%s is not there", keyOf(of.before)), err)
	}
	object := now.(*unstructured.Unstructured)
	out := &trial{resource: of.resource, before: object, deletion: deletion, want: essence(object), done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trials[keyOf(object)] = out
	return out, nil
}

// patch sends a JSON patch for the object of a trial.
func (b *bench) patch(ctx context.Context, t *trial, patch []byte) error {
	objects := b.dynamic.Resource(t.resource).Namespace(t.before.GetNamespace())
	_, err := objects.Patch(ctx, t.before.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "bench"})
	return err
}

// repairMeshes has the operator repair, and after that, with the operator stopped, the bench itself: what the API server
// takes of a repair.
func (b *bench) repairMeshes(ctx context.Context) error {
	w, err := b.watchMeshes(ctx)
	if err != nil {
		return err
	}
	objects, definitions := w.victims(false), w.victims(true)
	kinds := map[string]int{}
	for _, o := range objects {
		kinds[o.kind()]++
	}
	b.say("%d objects, %d definitions: %v", len(objects), len(definitions), kinds)
	b.figure("meshes_objects", float64(len(objects)), "objects", "")
	random := rand.New(rand.NewPCG(7, 8))
	random.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	round := func(prefix, target, count string) error {
		if err := b.repairObjects(ctx, w, prefix+"_repair", objects, b.edits, b.editors, target, count); err != nil {
			return err
		}
		return b.repairObjects(ctx, w, prefix+"_definitions_repair", definitions, definitionRounds*len(definitions), 1, "", count)
	}
	profiled := make(chan error, 1)
	go func() { profiled <- b.takeProfile(ctx, profileSpan, ".repairs") }()
	if err := round("meshes", "under 100", "at most 2"); err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := b.stopOperator(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	w.undoBy(func(t *trial) {
		if err := b.undo(ctx, t); err != nil {
			select {
			case failed <- fmt.Errorf("%s: %w", keyOf(t.before), err):
			default:
			}
		}
	})
	err = round("meshes_bare", "", "")
	select {
	case failure := <-failed:
		return errors.Join(err, failure)
	default:
		return err
	}
}

// undo brings back what a trial broke, by one request.
func (b *bench) undo(ctx context.Context, t *trial) error {
	if !t.deletion {
		return b.patch(ctx, t, editOf(t.kind()).undo(t.before))
	}
	again := t.before.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(again.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(again.Object, "status")
	objects := b.dynamic.Resource(t.resource).Namespace(again.GetNamespace())
	_, err := objects.Create(ctx, again, metav1.CreateOptions{FieldManager: "bench"})
	return err
}

// repairObjects breaks objects one after the other, every third by a deletion, and takes the time from the answer to that, or
// its event if it comes before, to the event of the repair.
func (b *bench) repairObjects(ctx context.Context, w *meshWatch, name string, objects []*trial, edits, editors int, target, count string) error {
	b.say("%s: %d edits and deletions, %d at a time with pauses of %s", name, edits, editors, b.pause)
	own, counted, err := b.repairCounts(ctx)
	if err != nil {
		return err
	}
	before, start := b.cpu(), time.Now()
	took, kinds := make([]time.Duration, edits), make([]string, edits)
	err = each(ctx, 0, edits, editors, func(ctx context.Context, i int) error {
		if err := sleep(ctx, b.pause); err != nil {
			return err
		}
		of := objects[i%len(objects)]
		t, err := w.begin(of, i%3 == 2 && deletable(of.kind()))
		if err != nil {
			return err
		}
		kinds[i] = t.kind()
		took[i], err = b.tryOne(ctx, w, t)
		return err
	})
	if err != nil {
		return err
	}
	b.say("it took %.2f s; CPU of %s", time.Since(start).Seconds(), b.cpu().since(before))
	owns, after, err := b.repairCounts(ctx)
	if err != nil {
		return err
	}
	resources := map[string]bool{}
	for _, o := range objects {
		resources[o.resource.Resource] = true
	}
	writes := after.Since(counted).Only(func(key requests.Key) bool {
		return requests.Write(key) && resources[key.Resource] && key.Subresource == ""
	})
	b.figure(name+"_p50", milliseconds(quantile(took, .5)), "ms", "")
	b.figure(name+"_p95", milliseconds(quantile(took, .95)), "ms", "")
	b.figure(name+"_p99", milliseconds(quantile(took, .99)), "ms", target)
	b.figure(name+"_max", milliseconds(slices.Max(took)), "ms", "")
	b.figure(name+"_requests", float64(writes.Total()-edits)/float64(edits), "writes to objects per repair", count)
	if b.process != nil {
		b.figure(name+"_requests_all", (owns-own)/float64(edits), "of the operator per repair, status and events among them", "")
	}
	b.say("by kind, the number and the median:\n%s", byKind(kinds, took))
	return nil
}

// repairCounts are the operator's requests, where it runs, and the API server's.
func (b *bench) repairCounts(ctx context.Context) (float64, requests.Counts, error) {
	if b.process != nil {
		return b.counts(ctx)
	}
	counts, err := requests.Read(ctx, b.plain)
	return 0, counts, err
}

func (b *bench) tryOne(ctx context.Context, w *meshWatch, t *trial) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if t.deletion {
		err = b.dynamic.Resource(t.resource).Namespace(t.before.GetNamespace()).Delete(ctx, t.before.GetName(), metav1.DeleteOptions{})
	} else {
		edit := editOf(t.kind())
		err = b.patch(ctx, t, operation("add", edit.pointer(), edit.value))
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("break %s: %w", keyOf(t.before), err)
	}
	answered := time.Now()
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the repair of %s (deleted: %v): %w", keyOf(t.before), t.deletion, context.Cause(ctx))
	case <-t.done:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.broken.Before(answered) {
		answered = t.broken
	}
	return t.whole.Sub(answered), nil
}

// byKind lists the kinds that were edited, how often, and the median of their repairs.
func byKind(kinds []string, took []time.Duration) string {
	of := map[string][]time.Duration{}
	for i, kind := range kinds {
		of[kind] = append(of[kind], took[i])
	}
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		lines = append(lines, fmt.Sprintf("  %s: %d, %.1f ms, slowest %.1f", kind, len(of[kind]), milliseconds(quantile(of[kind], .5)), milliseconds(slices.Max(of[kind]))))
	}
	return strings.Join(lines, "\n")
}
