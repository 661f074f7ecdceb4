// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// Labels by which an installation says who made it.
const (
	labelInstance  = "app.kubernetes.io/instance"
	labelManagedBy = "app.kubernetes.io/managed-by"
)

// adopts reports whether a person lets a mesh take over what others installed.
func adopts(mesh *v1alpha1.Mesh) bool { return mesh.Annotations[v1alpha1.AnnotationAdopt] == "true" }

// chartRevision is a revision as charts have it: the control plane without one is called default, in labels alone.
func chartRevision(revision string) string {
	if revision == render.DefaultTag {
		return ""
	}
	return revision
}

// deploymentName is the name of istiod's Deployment of a revision.
func deploymentName(revision string) string {
	if chartRevision(revision) == "" {
		return "istiod"
	}
	return "istiod-" + revision
}

// webhookNames are the names that the injection webhook of a revision may have: that of a namespace other than istio-system
// ends with it.
func webhookNames(revision, namespace string) []string {
	name := "istio-sidecar-injector"
	if rev := chartRevision(revision); rev != "" {
		name += "-" + rev
	}
	return []string{name, name + "-" + namespace}
}

// adopt finds the control plane that a mesh takes over: one that others installed under the name that it would have in place.
func (o *observer) adopt(ctx context.Context, seen *observed) error {
	mesh := seen.mesh
	revision := rollout.Name(rollout.InPlace, mesh.Name, "")
	if !adopts(mesh) || seen.planes[revision] != nil {
		return nil
	}
	key := client.ObjectKey{Namespace: string(mesh.Spec.Namespace), Name: deploymentName(revision)}
	d := &appsv1.Deployment{}
	if err := o.live.Get(ctx, key, d); err != nil {
		return client.IgnoreNotFound(err)
	}
	if d.Annotations[v1alpha1.AnnotationSet] != "" {
		// It is taken over, and the cache will show it.
		return nil
	}
	version, ok := render.VersionOf(d.Spec.Template.Labels)
	if !ok {
		return fmt.Errorf("adopt Deployment %s: no label of its pods tells the version of Istio", key)
	}
	found := &living{deployment: d, found: &rollout.Release{Revision: revision, Version: version.String()}}
	for _, name := range webhookNames(revision, key.Namespace) {
		w := &admissionv1.MutatingWebhookConfiguration{}
		err := o.live.Get(ctx, client.ObjectKey{Name: name}, w)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err == nil {
			found.webhooks = append(found.webhooks, w)
		}
	}
	seen.planes[revision] = found
	return nil
}

// inherit gives settings what the pods of a control plane that is adopted, or was, have in their labels.
func (s *observed) inherit(settings *history.Settings, record *history.Record) {
	if found := s.foreign(); found != nil {
		labels := found.deployment.Spec.Template.Labels
		settings.Release, settings.ManagedBy = labels[labelInstance], labels[labelManagedBy]
	} else if before, ok := record.Settings(record.Progress.Target.Source); ok {
		settings.Release, settings.ManagedBy = before.Release, before.ManagedBy
	}
}

// foreign is the control plane that is to be adopted; nil for none.
func (s *observed) foreign() *living {
	for _, plane := range s.planes {
		if plane.found != nil {
			return plane
		}
	}
	return nil
}

// since is the progress that a rollout goes on from. What was begun before there was leave to adopt counts for nothing: what
// runs does.
func (s *observed) since(record *history.Record) rollout.Progress {
	if s.foreign() != nil && record.Progress.Good.IsZero() {
		return rollout.Progress{}
	}
	return record.Progress
}
