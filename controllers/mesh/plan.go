// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/doorway"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// plan is what a mesh gets.
type plan struct {
	objects []client.Object
	// version is the newest of its control planes.
	version catalogue.Version
	// nodes is what it wants to run on nodes; nil for nothing.
	nodes *render.Nodes
	// partial is that there is more, which stays as it is.
	partial bool
}

// planner renders control planes, and keeps what was rendered last: that takes longer than to repair a change. It is safe
// for concurrent use.
type planner struct {
	catalogue *catalogue.Catalogue

	mu sync.Mutex
	// kept are the planes of each mesh by revision.
	kept map[string]map[string]*plane
}

// plane is a control plane as it is rendered.
type plane struct {
	of inputs
	// own are the objects of the revision, with the gateways if it serves them; common those that all revisions of the mesh share.
	own, common []client.Object
	nodes       *render.Nodes
	version     catalogue.Version
}

// inputs are what a plane depends on, beside the catalogue.
type inputs struct {
	uid        types.UID
	generation int64
	release    rollout.Release
	kubernetes string
	// first is that the plane has what a cluster has one of, doorway that it serves the gateways of the mesh.
	first, doorway bool
	alone          bool
}

// plan renders the control planes that a mesh shall have. Until the first one is fit there is no doorway, whose pods need it.
// What cannot be rendered is told as an error. It stays as it was rendered last, or, where that is not known, as it is.
func (p *planner) plan(seen *observed, own history.Settings, record *history.Record, decision *rollout.Decision) (plan, error) {
	p.mu.Lock()
	known := p.kept[seen.mesh.Name]
	p.mu.Unlock()
	owner := cmp.Or(decision.Current, decision.Progress.Target.Revision)
	next := map[string]*plane{}
	var failures []error
	partial := false
	for _, release := range decision.Install {
		if release.Source == "" {
			// It was found, and stays as somebody else made it.
			continue
		}
		key := inputs{
			uid: seen.mesh.UID, generation: seen.mesh.Generation, release: release, kubernetes: seen.kubernetes,
			first: seen.first && !seen.beside && release.Revision == owner, doorway: release.Revision == decision.Current, alone: seen.alone,
		}
		made := known[release.Revision]
		if made == nil || made.of != key {
			rendered, err := p.plane(seen, own, record, key)
			if err != nil {
				failures = append(failures, fmt.Errorf("revision %s (Istio %s): %w", release.Revision, release.Version, err))
			} else {
				made = rendered
			}
		}
		switch {
		case made != nil && made.of.uid == key.uid:
			next[release.Revision] = made
		case seen.planes[release.Revision] != nil:
			partial = true
		}
	}
	p.mu.Lock()
	p.kept[seen.mesh.Name] = next
	p.mu.Unlock()
	out := merge(next, owner)
	out.partial = partial
	return out, errors.Join(failures...)
}

// merge brings the control planes of a mesh together.
func merge(planes map[string]*plane, current string) plan {
	var out plan
	var newest *plane
	for _, revision := range slices.Sorted(maps.Keys(planes)) {
		made := planes[revision]
		out.objects = append(out.objects, made.own...)
		if newest == nil || newest.version.Compare(made.version) < 0 {
			newest = made
		}
		if revision == current {
			out.nodes = made.nodes
		}
	}
	if newest != nil {
		out.version = newest.version
		out.objects = slices.Concat(newest.common, out.objects)
	}
	return out
}

func (p *planner) forget(mesh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, mesh)
}

// plane renders one control plane.
func (p *planner) plane(seen *observed, own history.Settings, record *history.Record, of inputs) (*plane, error) {
	settings, ok := record.Settings(of.release.Source)
	if !ok && own.Source() == of.release.Source {
		settings, ok = own, true
	}
	if !ok {
		return nil, errors.New("its settings are not in the history any more; change spec.values or spec.profile to go on with other ones")
	}
	entries := p.catalogue.Entries()
	at := slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version.String() == of.release.Version })
	if at < 0 {
		return nil, errors.New("the version is not in the catalogue any more, and it stays as it is")
	}
	if chartRevision(of.release.Revision) == "" && !seen.first {
		return nil, errors.New("a mesh of the name default has the control plane without a revision, which only the oldest mesh can have: give it another name, or strategy Canary")
	}
	charts, err := p.catalogue.Charts(entries[at])
	if err != nil {
		return nil, err
	}
	given, err := settings.Values.Map()
	if err != nil {
		return nil, err
	}
	return renderPlane(seen, of, entries[at], &render.Plane{
		Mesh: seen.mesh.Name, Namespace: string(seen.mesh.Spec.Namespace), Revision: chartRevision(of.release.Revision), Charts: charts, Entry: entries[at],
		Profile: string(settings.Profile), Values: values.Merge(given, imageValues(settings.Image)), Kubernetes: seen.kubernetes,
		Default: of.first, Ambient: settings.Profile == v1alpha1.ProfileAmbient, Release: settings.Release, ManagedBy: settings.ManagedBy,
	})
}

func renderPlane(seen *observed, of inputs, entry catalogue.Entry, from *render.Plane) (*plane, error) {
	if !of.alone {
		from.DiscoverySelectors = selectors(&seen.mesh.Spec)
	}
	own, err := from.Objects()
	if err != nil {
		return nil, err
	}
	common, err := from.Common()
	if err != nil {
		return nil, err
	}
	if err := sign(own, of.release); err != nil {
		return nil, err
	}
	out := &plane{of: of, own: label(from.Mesh, own), common: label(from.Mesh, common), version: entry.Version, nodes: nodesOf(from)}
	if of.doorway {
		edge, err := edge(from, &seen.mesh.Spec)
		if err != nil {
			return nil, err
		}
		out.own = append(out.own, edge...)
	}
	for _, o := range slices.Concat(out.common, out.own) {
		if err := makes(o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// edge is what a mesh has where others connect: gateways, and what connections its workloads take.
func edge(from *render.Plane, spec *v1alpha1.MeshSpec) ([]client.Object, error) {
	gateways, err := doorway.Gateways(from, spec.Gateways)
	if err != nil {
		return nil, err
	}
	out := label(from.Mesh, slices.Concat(gateways, doorway.PeerAuthentication(from, spec.MTLS)))
	for _, o := range out {
		if d, ok := o.(*appsv1.Deployment); ok {
			// The engine rolls these pods out; they are none of the workloads that restart.
			d.Spec.Template.Labels[labelMesh] = from.Mesh
		}
	}
	return out, nil
}

// annotationRelease is the release that a Deployment or a webhook was last applied for. It is no part of pods, so that it
// restarts none.
const annotationRelease = "fleet.fairlead.io/release"

// sign marks what tells how a control plane is with the release that it is of.
func sign(objects []render.Object, release rollout.Release) error {
	text, err := json.Marshal(release)
	if err != nil {
		return fmt.Errorf("write a release down: %w", err)
	}
	for _, o := range objects {
		switch o.(type) {
		case *appsv1.Deployment, *admissionv1.MutatingWebhookConfiguration:
			annotations := maps.Clone(o.GetAnnotations())
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[annotationRelease] = string(text)
			o.SetAnnotations(annotations)
		}
	}
	return nil
}

// releaseOf is the release that an object was last applied for; zero for one that somebody else made.
func releaseOf(o client.Object) rollout.Release {
	var out rollout.Release
	if err := json.Unmarshal([]byte(o.GetAnnotations()[annotationRelease]), &out); err != nil {
		return rollout.Release{}
	}
	return out
}

// selectors are the namespaces that a mesh has to do with. The control plane of a mesh that is not alone looks at no others.
func selectors(spec *v1alpha1.MeshSpec) []metav1.LabelSelector {
	names := map[string]bool{string(spec.Namespace): true}
	for i := range spec.Gateways {
		names[string(spec.Gateways[i].Namespace)] = true
	}
	out := []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: slices.Sorted(maps.Keys(names)),
	}}}}
	if spec.Members != nil {
		out = append(out, *spec.Members.NamespaceSelector.LabelSelector())
	}
	return out
}

// nodesOf is what a plane needs on nodes; nil for nothing.
func nodesOf(plane *render.Plane) *render.Nodes {
	enabled, _ := values.Get(plane.Values, "pilot", "cni", "enabled")
	if !plane.Ambient && enabled != true {
		return nil
	}
	return &render.Nodes{
		Namespace: plane.Namespace, Charts: plane.Charts, Entry: plane.Entry, Profile: plane.Profile, Values: plane.Values,
		Kubernetes: plane.Kubernetes, Ambient: plane.Ambient, Revision: plane.Revision, MeshNamespace: plane.Namespace,
	}
}

func imageValues(image *v1alpha1.MeshImage) map[string]any {
	global := map[string]any{}
	if image == nil {
		return global
	}
	for key, value := range map[string]string{"hub": image.Hub, "tag": image.Tag, "imagePullPolicy": string(image.PullPolicy)} {
		if value != "" {
			global[key] = value
		}
	}
	if len(image.PullSecrets) > 0 {
		secrets := make([]any, len(image.PullSecrets))
		for i, name := range image.PullSecrets {
			secrets[i] = name
		}
		global["imagePullSecrets"] = secrets
	}
	return map[string]any{"global": global}
}

// makes refuses an object of a kind that a cluster may not have.
func makes(o client.Object) error {
	if kind := o.GetObjectKind().GroupVersionKind(); !written[kind] {
		return fmt.Errorf("%s %s/%s: the operator does not make objects of this kind", kind.Kind, o.GetNamespace(), o.GetName())
	}
	return nil
}

// label puts the name of a mesh on objects.
func label[T client.Object](mesh string, rendered []T) []client.Object {
	out := make([]client.Object, 0, len(rendered))
	for _, o := range rendered {
		labels := maps.Clone(o.GetLabels())
		if labels == nil {
			labels = map[string]string{}
		}
		labels[labelMesh] = mesh
		o.SetLabels(labels)
		out = append(out, o)
	}
	return out
}
