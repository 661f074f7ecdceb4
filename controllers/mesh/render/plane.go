// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render makes the objects of Istio from its charts. It is pure: the same input renders the same objects in the same order.
package render

import (
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// Names of releases, as Istio's documentation has them. They stand in labels of pods.
const (
	ReleaseIstiod  = "istiod"
	ReleaseBase    = "istio-base"
	ReleaseCNI     = "istio-cni"
	ReleaseZTunnel = "ztunnel"
)

// DefaultTag is the tag of the control plane that namespaces without a revision get.
const DefaultTag = "default"

// Plane is one control plane: a revision of a mesh.
type Plane struct {
	// Mesh is the name of the mesh, for messages.
	Mesh string
	// Namespace is where istiod is.
	Namespace string
	// Revision stands in the names of all objects. Two planes of a cluster never have the same, in whichever namespaces they are: istiod finds
	// its webhooks by it. Empty is the one control plane that has no revision, as istioctl and Helm install it.
	Revision string
	Charts   *catalogue.Charts
	Entry    catalogue.Entry
	// Profile is one of the charts' profiles; empty is default.
	Profile string
	// Values are a person's, checked.
	Values map[string]any
	// Kubernetes is the cluster's version, like v1.37.2.
	Kubernetes string
	// Default says that this plane validates objects without a revision and has the tag default. One plane of a cluster has it.
	Default bool
	// Tags are further names that namespaces may be labelled with.
	Tags []string
	// Ambient says that ztunnels are served; NodesNamespace is where they are, if it is not Namespace.
	Ambient        bool
	NodesNamespace string
	// DiscoverySelectors pick the namespaces that istiod looks at, unless Values have some. Meshes that share a cluster need them: each istiod
	// writes its root certificate into a ConfigMap of the same name in every namespace that it looks at.
	DiscoverySelectors []metav1.LabelSelector
	// Release and ManagedBy stand in the labels of istiod's pods. They are set to what a control plane has that is adopted, since other labels
	// would restart it; empty means ReleaseIstiod and this operator.
	Release, ManagedBy string
}

// Objects are all of the revision, and of the default if this plane is it.
func (p *Plane) Objects() ([]Object, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	given, err := p.values()
	if err != nil {
		return nil, p.wrap(err)
	}
	out, err := p.release(catalogue.Istiod, p.releaseName(), given).objects()
	if err != nil {
		return nil, p.wrap(err)
	}
	if p.Default {
		marks, err := p.defaults(given)
		if err != nil {
			return nil, p.wrap(err)
		}
		out = append(out, marks...)
	}
	settle(out, policyOf(given))
	out, err = arrange(out, p.Namespace)
	return out, p.wrap(err)
}

// Common are the objects in the mesh's namespace that all of its revisions share, made by the newest of them.
func (p *Plane) Common() ([]Object, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	given, err := p.values()
	if err != nil {
		return nil, p.wrap(err)
	}
	r := p.release(catalogue.Base, ReleaseBase, given)
	r.without = []string{"crds.yaml", "defaultrevision-validatingadmissionpolicy.yaml", "defaultrevision-validatingwebhookconfiguration.yaml"}
	out, err := r.objects()
	if err != nil {
		return nil, p.wrap(err)
	}
	out, err = arrange(out, p.Namespace)
	return out, p.wrap(err)
}

// defaults are the validator of objects without a revision, the tag default, and the policy of profile stable for these objects.
func (p *Plane) defaults(given map[string]any) ([]Object, error) {
	r := p.release(catalogue.Default, ReleaseBase, given)
	// A control plane without a revision has the selectors of the tag in its own webhook.
	if p.Revision == "" {
		r.without = []string{"mutatingwebhook.yaml"}
	}
	out, err := r.objects()
	if err != nil {
		return nil, err
	}
	revision := p.Revision
	if revision == "" {
		revision = DefaultTag
	}
	policies := p.release(catalogue.Base, ReleaseBase, values.Set(given, revision, "defaultRevision"))
	policies.without = []string{"crds.yaml", "reader-serviceaccount.yaml", "defaultrevision-validatingwebhookconfiguration.yaml"}
	more, err := policies.objects()
	return append(out, more...), err
}

func (p *Plane) release(chart, name string, given map[string]any) release {
	return release{
		charts: p.Charts, chart: chart, name: name, by: p.ManagedBy, namespace: p.Namespace, kubernetes: p.Kubernetes, values: given,
	}
}

func (p *Plane) releaseName() string {
	if p.Release != "" {
		return p.Release
	}
	return ReleaseIstiod
}

func (p *Plane) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mesh %s, revision %q: %w", p.Mesh, p.Revision, err)
}

func (p *Plane) check() error {
	switch {
	case p.Charts == nil:
		return p.wrap(errors.New("no charts"))
	case p.Namespace == "":
		return p.wrap(errors.New("no namespace"))
	case p.Revision == DefaultTag:
		// It would have the labels of the one without a revision, and other names.
		return p.wrap(errors.New("no revision may have the name of the default tag"))
	}
	if err := texts(append([]string{p.Namespace, p.Revision, p.NodesNamespace}, p.Tags...)...); err != nil {
		return p.wrap(err)
	}
	for _, tag := range p.Tags {
		if tag == DefaultTag || tag == p.Revision {
			return p.wrap(fmt.Errorf("tag %q is the name of a revision", tag))
		}
	}
	return nil
}

// values are what the charts get: a person's, and above them what follows from the plane.
func (p *Plane) values() (map[string]any, error) {
	tags := make([]any, len(p.Tags))
	for i, tag := range p.Tags {
		tags[i] = tag
	}
	operator := map[string]any{
		"revision": p.Revision, "revisionTags": tags,
		"global": map[string]any{"istioNamespace": p.Namespace},
	}
	if p.Ambient && p.NodesNamespace != "" && p.NodesNamespace != p.Namespace {
		operator["pilot"] = map[string]any{"trustedZtunnelNamespace": p.NodesNamespace}
	}
	if len(p.DiscoverySelectors) > 0 {
		if _, ok := values.Get(p.Values, "meshConfig", "discoverySelectors"); !ok {
			selectors := make([]any, len(p.DiscoverySelectors))
			for i := range p.DiscoverySelectors {
				plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&p.DiscoverySelectors[i])
				if err != nil {
					return nil, err
				}
				selectors[i] = plain
			}
			operator["meshConfig"] = map[string]any{"discoverySelectors": selectors}
		}
	}
	chosen, err := profile(p.Charts, catalogue.Istiod, p.Profile, p.Ambient)
	if err != nil {
		return nil, err
	}
	given := values.Without(p.Values, "ztunnel", "cni")
	// The section cni is that of another chart; istiod has two keys of the same name.
	if cni, ok := p.Values["cni"].(map[string]any); ok {
		own := map[string]any{}
		for _, key := range []string{"enabled", "provider"} {
			if value, ok := cni[key]; ok {
				own[key] = value
			}
		}
		if len(own) > 0 {
			given["cni"] = own
		}
	}
	return values.Merge(images(p.Charts, catalogue.Istiod, p.Entry), chosen, given, operator), nil
}

// policyOf is what validating webhooks do while istiod does not answer.
func policyOf(given map[string]any) admissionv1.FailurePolicyType {
	if text, ok := values.Get(given, "base", "validationFailurePolicy"); ok && text == string(admissionv1.Ignore) {
		return admissionv1.Ignore
	}
	return admissionv1.Fail
}
