// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// maxProblems bounds the problems in a status.
const maxProblems = 10

// plan is what a mesh gets.
type plan struct {
	choice
	// objects is nil where nothing can be said of what should be; what is in force then stays.
	objects     []client.Object
	deployments []types.NamespacedName
	webhooks    []string
	nodes       *render.Nodes
	problems    []v1alpha1.Problem
}

// planner computes plans, and keeps the last one of each mesh: to render charts takes longer than to repair a change. It
// is safe for concurrent use.
type planner struct {
	catalogue *catalogue.Catalogue
	now       func() time.Time

	mu   sync.Mutex
	kept map[string]kept
}

type kept struct {
	of   inputs
	plan plan
}

// inputs are what a plan depends on, beside the catalogue.
type inputs struct {
	uid        types.UID
	generation int64
	installed
	stuck        stuck
	desired      string
	kubernetes   string
	first, alone bool
}

// plan says what a mesh gets.
func (p *planner) plan(seen *observed) plan {
	mesh := seen.mesh
	if seen.holder != "" {
		return plan{choice: choice{stuck: stuck{v1alpha1.ReasonNameTaken, fmt.Sprintf(
			"namespace %s is that of the control plane of mesh %s; make this one in another namespace", mesh.Spec.Namespace, seen.holder)}}}
	}
	chosen := choose(p.catalogue, mesh, seen.kubernetes, revisions(p.catalogue, mesh, seen.deployments), p.now())
	if chosen.entry.Archive == "" {
		return plan{choice: chosen}
	}
	key := inputs{
		uid: mesh.UID, generation: mesh.Generation, installed: chosen.installed, stuck: chosen.stuck, desired: chosen.desired,
		kubernetes: seen.kubernetes, first: seen.first, alone: seen.alone,
	}
	p.mu.Lock()
	known, ok := p.kept[mesh.Name]
	p.mu.Unlock()
	if ok && known.of == key {
		return known.plan
	}
	out := p.make(seen, chosen)
	if out.objects == nil && ok && known.of.uid == mesh.UID {
		out = known.plan.insteadOf(out)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[mesh.Name] = kept{key, out}
	return out
}

// insteadOf goes on with what was planned before, where a new plan cannot be carried out.
func (p plan) insteadOf(failed plan) plan {
	p.stuck, p.problems, p.desired = failed.stuck, failed.problems, failed.desired
	return p
}

func (p *planner) forget(mesh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, mesh)
}

// make renders.
func (p *planner) make(seen *observed, chosen choice) plan {
	out := plan{choice: chosen}
	fail := func(reason string, err error) plan {
		out.stuck = stuck{reason, err.Error()}
		return out
	}
	charts, err := p.catalogue.Charts(chosen.entry)
	if err != nil {
		return fail(v1alpha1.ReasonUnknownVersion, err)
	}
	given, err := seen.mesh.Spec.Values.Map()
	if err != nil {
		return fail(v1alpha1.ReasonInvalidValues, err)
	}
	if found := values.Check(charts, given); len(found) > 0 {
		out.problems = problems(found)
		out.stuck = stuck{v1alpha1.ReasonInvalidValues, found[0].String()}
		return out
	}
	plane := planeOf(seen, chosen, charts, values.Merge(given, imageValues(seen.mesh.Spec.Image)))
	objects, err := plane.Objects()
	if err != nil {
		return fail(v1alpha1.ReasonInvalidValues, err)
	}
	common, err := plane.Common()
	if err != nil {
		return fail(v1alpha1.ReasonInvalidValues, err)
	}
	if err := out.take(seen.mesh.Name, slices.Concat(common, objects)); err != nil {
		return fail(v1alpha1.ReasonInvalidValues, err)
	}
	out.nodes = nodesOf(plane)
	return out
}

func planeOf(seen *observed, chosen choice, charts *catalogue.Charts, given map[string]any) *render.Plane {
	spec := &seen.mesh.Spec
	out := &render.Plane{
		Mesh: seen.mesh.Name, Namespace: string(spec.Namespace), Revision: chosen.revision, Charts: charts, Entry: chosen.entry,
		Profile: string(spec.Profile), Values: given, Kubernetes: seen.kubernetes, Default: seen.first,
		Ambient: spec.Profile == v1alpha1.ProfileAmbient,
	}
	if !seen.alone {
		out.DiscoverySelectors = selectors(spec)
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

// take marks what was rendered with the name of the mesh, and notes what makes it ready.
func (p *plan) take(mesh string, rendered []render.Object) error {
	for _, o := range rendered {
		if err := makes(o); err != nil {
			return err
		}
		switch o.(type) {
		case *appsv1.Deployment:
			p.deployments = append(p.deployments, types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()})
		case *admissionv1.MutatingWebhookConfiguration:
			p.webhooks = append(p.webhooks, o.GetName())
		}
	}
	p.objects = label(mesh, rendered)
	return nil
}

// makes refuses an object of a kind that a cluster may not have.
func makes(o render.Object) error {
	if !written[o.GetObjectKind().GroupVersionKind()] {
		return fmt.Errorf("%s: the operator does not make objects of this kind", render.RefOf(o))
	}
	return nil
}

// label puts the name of a mesh on objects.
func label(mesh string, rendered []render.Object) []client.Object {
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

func problems(found []values.Problem) []v1alpha1.Problem {
	out := make([]v1alpha1.Problem, 0, len(found))
	for _, p := range found {
		out = append(out, v1alpha1.Problem{Field: "values." + p.Path, Reason: v1alpha1.ProblemInvalid, Message: p.Message})
	}
	return out
}
