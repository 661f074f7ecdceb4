// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// page is a policy made ready for use.
type page struct {
	generation int64
	enforced   bool
	warn       bool
	parsed     render.Policy
	selector   labels.Selector
	// named are the namespaces that the selector names outright.
	named map[string]bool
}

// book keeps the policies ready for use: each spec is parsed once. Where a new spec cannot be parsed, the
// page of the last good one stays.
type book struct {
	// own is the operator's namespace.
	own string

	mu    sync.Mutex
	pages map[types.UID]page
	// bad are the specs that could not be parsed, by generation.
	bad map[types.UID]badSpec
}

type badSpec struct {
	generation int64
	why        error
}

func newBook(ownNamespace string) *book {
	return &book{own: ownNamespace, pages: map[types.UID]page{}, bad: map[types.UID]badSpec{}}
}

// open gives the page of a policy: that of its spec, or with an error that of its last good one, or with an
// error and false none at all.
func (b *book) open(policy *v1alpha1.LimitPolicy) (page, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.pages[policy.UID]
	if ok && known.generation == policy.Generation {
		return known, true, nil
	}
	if bad, isBad := b.bad[policy.UID]; isBad && bad.generation == policy.Generation {
		return known, ok, bad.why
	}
	fresh, err := read(policy)
	if err != nil {
		b.bad[policy.UID] = badSpec{generation: policy.Generation, why: err}
		return known, ok, err
	}
	delete(b.bad, policy.UID)
	b.pages[policy.UID] = fresh
	return fresh, true, nil
}

// close drops the pages of policies that are gone.
func (b *book) close(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, uid)
	delete(b.bad, uid)
}

func read(policy *v1alpha1.LimitPolicy) (page, error) {
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.NamespaceSelector)
	if err != nil {
		return page{}, fmt.Errorf("spec.namespaceSelector: %w", err)
	}
	parsed, err := render.Parse(policy)
	if err != nil {
		return page{}, err
	}
	return page{
		generation: policy.Generation,
		enforced:   policy.Spec.Enforcement != v1alpha1.DryRun,
		warn:       policy.Spec.Drift == v1alpha1.Warn,
		parsed:     parsed,
		selector:   selector,
		named:      namedOutright(&policy.Spec.NamespaceSelector),
	}, nil
}

func namedOutright(selector *metav1.LabelSelector) map[string]bool {
	named := map[string]bool{}
	if name, ok := selector.MatchLabels[corev1.LabelMetadataName]; ok {
		named[name] = true
	}
	for _, term := range selector.MatchExpressions {
		if term.Key == corev1.LabelMetadataName && term.Operator == metav1.LabelSelectorOpIn {
			for _, name := range term.Values {
				named[name] = true
			}
		}
	}
	return named
}

// selects reports whether a policy picks a namespace.
func (b *book) selects(p page, namespace *metav1.PartialObjectMetadata) bool {
	if !p.selector.Matches(labels.Set(namespace.Labels)) {
		return false
	}
	return !b.protected(namespace.Name) || p.named[namespace.Name]
}

// protected are the namespaces that no policy gets by a broad selector: limits on them can stop the
// cluster, or the operator that would lift them.
func (b *book) protected(name string) bool {
	return name == b.own || strings.HasPrefix(name, "kube-") || name == "openshift" || strings.HasPrefix(name, "openshift-")
}
