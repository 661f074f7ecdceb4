// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/workloads"
)

// observed is everything that decides what a mesh gets.
type observed struct {
	mesh *v1alpha1.Mesh
	// all are the meshes that there are.
	all []v1alpha1.Mesh
	// kubernetes is the version of the cluster.
	kubernetes string
	// first is whether the mesh has what a cluster has one of: the tag default, and the validator of objects without a
	// revision. The oldest mesh has it, unless it is beside somebody else's.
	first, beside bool
	// alone is whether there is no other mesh.
	alone bool
	// holder is the older mesh in the same namespace, empty for none.
	holder string
	// planes are the control planes that there are, by revision.
	planes map[string]*living
	// namespaces are the members, and those that name a revision of the mesh or run proxies of one.
	namespaces []rollout.Namespace
	// proxies are the pods with a proxy, of all meshes, by revision.
	proxies map[string]int
	budgets map[string]int
	// left are the pods with a proxy of the mesh, which is being deleted.
	left int
}

// living is a control plane that there is.
type living struct {
	deployment *appsv1.Deployment
	webhooks   []*admissionv1.MutatingWebhookConfiguration
	// found is the release of one that somebody else installed; nil for ours.
	found *rollout.Release
}

// observer looks at the cluster for a mesh.
type observer struct {
	client client.Reader
	// own has the kinds of ownObjects.
	own client.Reader
	// live asks the API server.
	live       client.Reader
	workloads  *workloads.Cache
	kubernetes *kubernetes
	ledger     *ledger
	selections *selections
	// operator is the namespace of the operator.
	operator string
	// up is when this operator began to work.
	up func() time.Time
}

func (o *observer) observe(ctx context.Context, mesh *v1alpha1.Mesh) (*observed, error) {
	seen := &observed{mesh: mesh}
	var err error
	if seen.kubernetes, err = o.kubernetes.version(); err != nil {
		return nil, err
	}
	var list v1alpha1.MeshList
	if err := o.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list meshes: %w", err)
	}
	seen.all = list.Items
	o.selections.forget(seen.all)
	seen.place()
	if seen.holder != "" {
		return seen, nil
	}
	if err := o.controlPlanes(ctx, seen); err != nil {
		return nil, err
	}
	if err := o.adopt(ctx, seen); err != nil {
		return nil, err
	}
	if seen.proxies, err = o.workloads.Proxies(ctx); err != nil {
		return nil, err
	}
	if seen.budgets, err = o.workloads.Budgets(ctx); err != nil {
		return nil, err
	}
	return seen, o.members(ctx, seen)
}

// place compares the mesh with all that there are.
func (s *observed) place() {
	s.alone = len(s.all) <= 1
	order := slices.SortedFunc(slices.Values(s.all), func(a, b v1alpha1.Mesh) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	for i := range order {
		if order[i].Name == s.mesh.Name {
			s.first = i == 0
			return
		}
		if order[i].Spec.Namespace == s.mesh.Spec.Namespace && s.holder == "" {
			s.holder = order[i].Name
		}
	}
	s.first = len(order) == 0
}

// controlPlanes finds the revisions of a mesh.
func (o *observer) controlPlanes(ctx context.Context, seen *observed) error {
	ours := client.MatchingLabels{labelMesh: seen.mesh.Name}
	var deployments appsv1.DeploymentList
	if err := o.own.List(ctx, &deployments, client.InNamespace(seen.mesh.Spec.Namespace), ours, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list control planes: %w", err)
	}
	seen.planes = map[string]*living{}
	plane := func(revision string) *living {
		if seen.planes[revision] == nil {
			seen.planes[revision] = &living{}
		}
		return seen.planes[revision]
	}
	for i := range deployments.Items {
		d := &deployments.Items[i]
		if release := releaseOf(d); d.DeletionTimestamp == nil && d.Name == deploymentName(release.Revision) {
			plane(release.Revision).deployment = d
		}
	}
	var webhooks admissionv1.MutatingWebhookConfigurationList
	if err := o.own.List(ctx, &webhooks, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	for i := range webhooks.Items {
		w := &webhooks.Items[i]
		if injectsByDefault(w) && !adopts(seen.mesh) {
			seen.beside = true
		}
		if w.Labels[labelMesh] != seen.mesh.Name {
			continue
		}
		if release := releaseOf(w); w.DeletionTimestamp == nil && w.Labels[labelTag] == "" && release.Revision != "" {
			p := plane(release.Revision)
			p.webhooks = append(p.webhooks, w)
		}
	}
	return nil
}

// injectsByDefault reports whether a webhook of somebody else gives proxies where no revision is named. Beside it, a tag of ours would
// give pods two.
func injectsByDefault(w *admissionv1.MutatingWebhookConfiguration) bool {
	return w.Labels[labelMesh] == "" && (w.Labels[labelRevision] == render.DefaultTag || w.Labels[labelTag] == render.DefaultTag)
}

// release is the one that a control plane was last applied for. Where istiod is elsewhere, the webhook tells.
func (l *living) release() rollout.Release {
	switch {
	case l.found != nil:
		return *l.found
	case l.deployment != nil:
		return releaseOf(l.deployment)
	}
	return releaseOf(l.webhooks[0])
}

// rolledOut reports whether all pods of a control plane are of its newest template, and available. One that is elsewhere is
// not ours to look at.
func (l *living) rolledOut(remote bool) bool {
	if l.deployment == nil {
		return remote
	}
	d := l.deployment
	if d.Spec.Replicas == nil || *d.Spec.Replicas < 1 {
		return false
	}
	s := &d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas >= *d.Spec.Replicas && s.AvailableReplicas >= *d.Spec.Replicas &&
		s.Replicas == s.UpdatedReplicas
}

// certified reports whether the API server can verify who answers for each of the webhooks.
func (l *living) certified() bool {
	for _, w := range l.webhooks {
		if slices.ContainsFunc(w.Webhooks, func(hook admissionv1.MutatingWebhook) bool { return len(hook.ClientConfig.CABundle) == 0 }) {
			return false
		}
	}
	return len(l.webhooks) > 0
}

// members finds the namespaces that have to do with a mesh.
func (o *observer) members(ctx context.Context, seen *observed) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(namespaces.GroupVersion().WithKind(namespaces.Kind + "List"))
	if err := o.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	owns := func(revision string) bool {
		// Proxies of somebody else's control plane without a revision name default, too.
		foreign := revision == render.DefaultTag && seen.beside && seen.planes[revision] == nil
		return rollout.Owns(seen.mesh.Name, revision) && !foreign
	}
	running, err := o.workloads.Running(ctx, owns)
	if err != nil {
		return err
	}
	if seen.mesh.DeletionTimestamp != nil {
		if seen.left, err = o.workloads.Held(ctx, owns); err != nil {
			return err
		}
	}
	for i := range list.Items {
		ns := &list.Items[i]
		revision := ns.Labels[revisionLabel(seen.mesh)]
		member := o.selections.wants(seen.mesh, ns) && o.selections.isMember(ns, o.operator, seen.all, seen.mesh)
		_, runs := slices.BinarySearch(running, ns.Name)
		if ns.DeletionTimestamp != nil || !member && !runs && !owns(revision) {
			continue
		}
		out := rollout.Namespace{Name: ns.Name, Member: member, Revision: revision, LabelledAt: o.labelledAt(ns.Name)}
		// By this label, the control plane without a revision injects.
		if value, ok := ns.Labels[labelInjection]; ok && !ambient(seen.mesh) && (value != "enabled" || revision != render.DefaultTag) {
			out.Contradiction = fmt.Sprintf("the label %s=%s", labelInjection, value)
		}
		if out.Workloads, err = o.workloads.Namespace(ctx, ns.Name); err != nil {
			return err
		}
		if ambient(seen.mesh) {
			out.Workloads = slices.DeleteFunc(out.Workloads, withoutProxy)
		}
		seen.namespaces = append(seen.namespaces, out)
	}
	return nil
}

// withoutProxy is that a workload has no pod with a proxy.
func withoutProxy(w rollout.Workload) bool {
	for proxy, count := range w.Proxies {
		if count > 0 && (proxy != rollout.Proxy{}) {
			return false
		}
	}
	return true
}

// labelledAt is when the labels of a namespace were last written. What was written before this operator began is not
// known, and may be as new as that.
func (o *observer) labelledAt(namespace string) time.Time {
	if at := o.ledger.labelledAt(namespace); !at.IsZero() {
		return at
	}
	return o.up()
}

// state is what the rollout of a mesh depends on.
func (s *observed) state(now, up time.Time, spec rollout.Spec, progress rollout.Progress, ask func(*living) (answers, injects bool)) rollout.State {
	out := rollout.State{
		Now: now, Up: up, Spec: spec, Progress: progress, Namespaces: s.namespaces, Proxies: s.proxies, Budgets: s.budgets,
	}
	for _, plane := range s.planes {
		if plane.found != nil && leftBehind(plane.found.Revision, &progress) {
			continue
		}
		r := rollout.Revision{Release: plane.release(), RolledOut: plane.rolledOut(s.remote()), CABundle: plane.certified()}
		if r.CABundle {
			r.Answers, r.Injects = ask(plane)
		}
		out.Revisions = append(out.Revisions, r)
	}
	slices.SortFunc(out.Revisions, func(a, b rollout.Revision) int { return cmp.Compare(a.Revision, b.Revision) })
	return out
}

// leftBehind is that a control plane of somebody else has nothing to do with the mesh any more.
func leftBehind(revision string, p *rollout.Progress) bool {
	return !p.Good.IsZero() && revision != p.Good.Revision && revision != p.Target.Revision
}

// remote is that istiod is outside of the cluster.
func (s *observed) remote() bool { return s.mesh.Spec.Profile == v1alpha1.ProfileRemote }

// held is what keeps a mesh that is being deleted: pods with a proxy of it, and members whose pods ztunnel serves. Its own
// gateways do not: they go with it.
func (s *observed) held() int {
	n := s.left
	if !ambient(s.mesh) {
		return n
	}
	for i := range s.namespaces {
		if rollout.Owns(s.mesh.Name, s.namespaces[i].Revision) {
			n++
		}
	}
	return n
}
