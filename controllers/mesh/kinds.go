// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/mesh/authority"
	"github.com/fairlead/fairlead/controllers/mesh/doorway"
	"github.com/fairlead/fairlead/controllers/mesh/render"
)

// labelMesh is on every object of a mesh and names it.
const labelMesh = "fleet.fairlead.io/mesh"

var (
	definitions = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	namespaces  = corev1.SchemeGroupVersion.WithKind("Namespace")
)

// whole are the kinds of which other kinds of Fairlead need those of everybody in the cache.
var whole = map[schema.GroupVersionKind]bool{
	corev1.SchemeGroupVersion.WithKind("ResourceQuota"):                  true,
	autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"): true,
}

// Kinds are the kinds that the controllers write: all that charts make, but for those that a cluster may not have.
func Kinds() []apply.Kind {
	var out []apply.Kind
	for _, k := range render.Kinds() {
		if !k.Optional {
			out = append(out, apply.Kind{GVK: k.GVK, Resource: k.Resource, Selective: !whole[k.GVK]})
		}
	}
	return append(out, doorway.Kinds()...)
}

// written is the same as a lookup.
var written = func() map[schema.GroupVersionKind]bool {
	out := map[schema.GroupVersionKind]bool{}
	for _, k := range Kinds() {
		out[k.GVK] = true
	}
	return out
}()

// ownObjects are what the controllers look at beside what they write: how control planes are, and of which version the
// definitions are.
func ownObjects() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: {Label: with(labelMesh), Transform: trimDeployment},
		// Those of others as well: one may inject where no revision is named.
		&admissionv1.MutatingWebhookConfiguration{}: {Transform: trimWebhook},
		partial(definitions):                        {Transform: trimDefinition},
		&corev1.ConfigMap{}: {
			Field: fields.OneTermEqualSelector(metav1.ObjectNameField, rootCertificate), Transform: trimRootCertificate,
		},
	}
}

func with(label string) labels.Selector {
	exists, err := labels.NewRequirement(label, selection.Exists, nil)
	utilruntime.Must(err)
	return labels.NewSelector().Add(*exists)
}

func partial(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{}
	out.SetGroupVersionKind(gvk)
	return out
}

func trimDeployment(obj any) (any, error) {
	if d, ok := obj.(*appsv1.Deployment); ok {
		d.ObjectMeta, d.Spec = identity(&d.ObjectMeta), appsv1.DeploymentSpec{Replicas: d.Spec.Replicas}
		d.Status.Conditions = nil
	}
	return obj, nil
}

// trimWebhook keeps of each webhook whether it knows the authority of its server.
func trimWebhook(obj any) (any, error) {
	if w, ok := obj.(*admissionv1.MutatingWebhookConfiguration); ok {
		w.ObjectMeta = identity(&w.ObjectMeta)
		for i := range w.Webhooks {
			bundle := w.Webhooks[i].ClientConfig.CABundle
			w.Webhooks[i] = admissionv1.MutatingWebhook{Name: w.Webhooks[i].Name}
			w.Webhooks[i].ClientConfig.CABundle = bundle[:min(len(bundle), 1):min(len(bundle), 1)]
		}
	}
	return obj, nil
}

// rootCertificate is the ConfigMap in which istiod tells every namespace whom it signs by, rootCertificateKey its key.
const (
	rootCertificate    = "istio-ca-root-cert"
	rootCertificateKey = "root-cert.pem"
	// annotationNotAfter is, in the cache only, when the first of these certificates ends.
	annotationNotAfter = "fleet.fairlead.io/not-after"
)

// trimRootCertificate keeps when the certificate ends.
func trimRootCertificate(obj any) (any, error) {
	if c, ok := obj.(*corev1.ConfigMap); ok {
		pem := c.Data[rootCertificateKey]
		*c = corev1.ConfigMap{ObjectMeta: identity(&c.ObjectMeta)}
		if end, err := authority.NotAfter(pem); err == nil {
			metav1.SetMetaDataAnnotation(&c.ObjectMeta, annotationNotAfter, end.UTC().Format(time.RFC3339))
		}
	}
	return obj, nil
}

func trimDefinition(obj any) (any, error) {
	if d, ok := obj.(*metav1.PartialObjectMetadata); ok {
		kept := identity(&d.ObjectMeta)
		kept.Labels = d.Labels
		d.ObjectMeta = kept
	}
	return obj, nil
}

// identity is what tells one object and its version from another.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
		Generation: meta.Generation, DeletionTimestamp: meta.DeletionTimestamp,
	}
	for _, key := range []string{labelMesh, labelRevision, labelTag} {
		if value, ok := meta.Labels[key]; ok {
			metav1.SetMetaDataLabel(&out, key, value)
		}
	}
	if release, ok := meta.Annotations[annotationRelease]; ok {
		metav1.SetMetaDataAnnotation(&out, annotationRelease, release)
	}
	return out
}
