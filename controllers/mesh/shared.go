// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/conditions"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// What meshes share: the definitions of Istio's kinds, and what runs on nodes.
const (
	sharedDefinitions = "definitions"
	sharedNodes       = "nodes"
)

// useCheck is how soon to look again whether definitions that no mesh needs are still used. No event tells.
const useCheck = 10 * time.Second

// sharedReconciler keeps what meshes share. Of each there is one set in a cluster, of the newest version that a mesh has.
type sharedReconciler struct {
	client client.Reader
	// own has the definitions that there are, with their labels.
	own        client.Reader
	objects    metadata.Interface
	engine     *apply.Engine
	ledger     *ledger
	catalogue  *catalogue.Catalogue
	kubernetes *kubernetes

	// known and agents are what was rendered last: to render takes longer than to repair a change.
	known struct {
		version    catalogue.Version
		kubernetes string
		objects    []client.Object
	}
	agents struct {
		of      *render.Nodes
		objects []client.Object
	}
}

// contributor is a mesh and what it was given.
type contributor struct {
	mesh    *v1alpha1.Mesh
	outcome *outcome
}

// Reconcile implements reconcile.Reconciler.
func (r *sharedReconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	all, known, err := r.contributors(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !known {
		return ctrl.Result{RequeueAfter: cacheWait}, nil
	}
	if request.Name == sharedNodes {
		return r.nodes(ctx, all)
	}
	return r.definitions(ctx, all)
}

// contributors are all meshes, the one with the newest version first. known is false while one of them was not looked at:
// to decide without it could take away what it has.
func (r *sharedReconciler) contributors(ctx context.Context) (out []contributor, known bool, err error) {
	var list v1alpha1.MeshList
	if err := r.client.List(ctx, &list); err != nil {
		return nil, false, fmt.Errorf("list meshes: %w", err)
	}
	for i := range list.Items {
		mesh := &list.Items[i]
		seen, _ := r.ledger.read(mesh.Name, mesh.UID)
		if seen == nil && mesh.DeletionTimestamp != nil && r.ledger.removing(mesh.Name, mesh.UID) {
			// What it has goes, and nothing is decided for it any more.
			continue
		}
		if seen == nil {
			return nil, false, nil
		}
		out = append(out, contributor{mesh, seen})
	}
	slices.SortFunc(out, func(a, b contributor) int {
		return cmp.Or(-a.outcome.version.Compare(b.outcome.version), cmp.Compare(a.mesh.Name, b.mesh.Name))
	})
	return out, true, nil
}

// definitions keeps those of the newest version that a mesh has, or that is there already: objects of a newer version may
// not be valid by the definitions of an older one.
func (r *sharedReconciler) definitions(ctx context.Context, all []contributor) (ctrl.Result, error) {
	live, err := r.live(ctx, slices.ContainsFunc(all, func(c contributor) bool { return adopts(c.mesh) }))
	if err != nil {
		return ctrl.Result{}, err
	}
	version := live
	if len(all) > 0 && all[0].outcome.version.Compare(version) > 0 {
		version = all[0].outcome.version
	}
	cluster, err := r.kubernetes.version()
	if err != nil {
		return ctrl.Result{}, err
	}
	objects, err := r.render(version, cluster)
	if err != nil {
		out := shared{of: wishes(all)}
		out.stuck = stuck{v1alpha1.ReasonUnknownVersion, fmt.Sprintf("the definitions of Istio's kinds are of version %s: %v", version, err)}
		r.ledger.appliedShared(sharedDefinitions, teller(all), out)
		return ctrl.Result{}, nil
	}
	if len(all) == 0 {
		if objects, err = r.used(ctx, objects); err != nil {
			return ctrl.Result{}, err
		}
	}
	result, err := r.apply(ctx, sharedDefinitions, objects, all, wishes(all))
	if len(all) == 0 && len(objects) > 0 && result.RequeueAfter == 0 {
		result.RequeueAfter = useCheck
	}
	return result, err
}

// live is the version of the definitions that we made, or may take over. That of most of them counts: labels can be edited. It is
// zero where there are none.
func (r *sharedReconciler) live(ctx context.Context, adopts bool) (catalogue.Version, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(definitions.GroupVersion().WithKind(definitions.Kind + "List"))
	err := r.own.List(ctx, list, client.UnsafeDisableDeepCopy)
	if err != nil {
		return catalogue.Version{}, fmt.Errorf("list definitions: %w", err)
	}
	var versions []catalogue.Version
	for i := range list.Items {
		d := &list.Items[i]
		counts := d.Labels[labelMesh] == sharedDefinitions || adopts && strings.HasSuffix(d.Name, ".istio.io")
		if v, ok := render.VersionOf(d.Labels); ok && counts && d.DeletionTimestamp == nil {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return catalogue.Version{}, nil
	}
	slices.SortFunc(versions, catalogue.Version.Compare)
	return versions[len(versions)/2], nil
}

// render gives the definitions of a version; none for the zero version.
func (r *sharedReconciler) render(version catalogue.Version, cluster string) ([]client.Object, error) {
	if version == (catalogue.Version{}) {
		return nil, nil
	}
	if r.known.version == version && r.known.kubernetes == cluster {
		return r.known.objects, nil
	}
	entries := r.catalogue.Entries()
	at := slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version == version })
	if at < 0 {
		return nil, errors.New("this operator does not know it, and leaves them as they are")
	}
	charts, err := r.catalogue.Charts(entries[at])
	if err != nil {
		return nil, err
	}
	rendered, err := render.Shared(charts, cluster)
	if err != nil {
		return nil, err
	}
	r.known.version, r.known.kubernetes, r.known.objects = version, cluster, label(sharedDefinitions, rendered)
	return r.known.objects, nil
}

// used are the definitions that objects exist of: to delete a definition deletes them.
func (r *sharedReconciler) used(ctx context.Context, all []client.Object) ([]client.Object, error) {
	var out []client.Object
	for _, definition := range all {
		resource, ok := stored(definition)
		if !ok {
			out = append(out, definition)
			continue
		}
		list, err := r.objects.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
		switch {
		case client.IgnoreNotFound(err) != nil:
			return nil, fmt.Errorf("look for objects of %s: %w", definition.GetName(), err)
		case err == nil && len(list.Items) > 0:
			out = append(out, definition)
		}
	}
	return out, nil
}

// nodes keeps what the newest mesh that has something on nodes wants there.
func (r *sharedReconciler) nodes(ctx context.Context, all []contributor) (ctrl.Result, error) {
	of := wishes(all)
	if slices.ContainsFunc(all, func(c contributor) bool { return c.outcome.unknown }) {
		// What is there may be what this mesh has, and it stays.
		return ctrl.Result{}, nil
	}
	all = slices.DeleteFunc(slices.Clone(all), func(c contributor) bool { return c.outcome.nodes == nil })
	if len(all) == 0 {
		return r.apply(ctx, sharedNodes, nil, nil, of)
	}
	objects, err := r.renderNodes(all[0].outcome.nodes)
	if err != nil {
		r.ledger.appliedShared(sharedNodes, teller(all), shared{
			of: of, stuck: stuck{v1alpha1.ReasonInvalidValues, fmt.Sprintf("what runs on nodes cannot be made: %v", err)},
		})
		return ctrl.Result{}, nil
	}
	return r.apply(ctx, sharedNodes, objects, all, of)
}

// renderNodes gives what runs on nodes. Plans that did not change have the same pointer.
func (r *sharedReconciler) renderNodes(nodes *render.Nodes) ([]client.Object, error) {
	if r.agents.of == nodes {
		return r.agents.objects, nil
	}
	rendered, err := nodes.Objects()
	if err != nil {
		return nil, err
	}
	for _, o := range rendered {
		if err := makes(o); err != nil {
			return nil, err
		}
	}
	r.agents.of, r.agents.objects = nodes, label(sharedNodes, rendered)
	return r.agents.objects, nil
}

func (r *sharedReconciler) apply(
	ctx context.Context, name string, objects []client.Object, all []contributor, of map[string]wish,
) (ctrl.Result, error) {
	set := apply.Set{
		Key: sharedPrefix + name, Objects: objects,
		Paused: every(all, func(m *v1alpha1.Mesh) bool { return paused(m) }),
		Adopt:  slices.ContainsFunc(all, func(c contributor) bool { return adopts(c.mesh) }),
	}
	if every(all, func(m *v1alpha1.Mesh) bool { return m.Spec.Drift == v1alpha1.Warn }) {
		set.Mode = apply.Warn
	}
	result, err := r.engine.Apply(ctx, set)
	r.ledger.appliedShared(name, teller(all), shared{of: of, result: result, failure: conditions.FailureClass(err)})
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: result.RequeueAfter}, nil
}

// wishes are what all meshes want.
func wishes(all []contributor) map[string]wish {
	out := make(map[string]wish, len(all))
	for _, c := range all {
		out[c.mesh.Name] = c.outcome.wish()
	}
	return out
}

// teller is the mesh that tells of changes to what all share.
func teller(all []contributor) string {
	if len(all) == 0 {
		return ""
	}
	return all[0].mesh.Name
}

func every(all []contributor, test func(*v1alpha1.Mesh) bool) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(c contributor) bool { return !test(c.mesh) })
}

// stored is the resource that a definition's objects are stored as.
func stored(definition client.Object) (schema.GroupVersionResource, bool) {
	tree, ok := definition.(interface{ UnstructuredContent() map[string]any })
	if !ok {
		return schema.GroupVersionResource{}, false
	}
	spec, _ := tree.UnstructuredContent()["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	group, _ := spec["group"].(string)
	plural, _ := names["plural"].(string)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if version["storage"] == true && version["served"] == true {
			return schema.GroupVersionResource{Group: group, Version: name, Resource: plural}, group != "" && plural != ""
		}
	}
	return schema.GroupVersionResource{}, false
}
