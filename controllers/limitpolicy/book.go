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
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

// page is the spec of a policy made ready for use. It does not change.
type page struct {
	generation int64
	enforced   bool
	warn       bool
	parsed     render.Policy
	// quota is the name of the ResourceQuota that the policy has a part in; empty for none.
	quota    string
	selector labels.Selector
	// named are the namespaces that the selector names outright.
	named map[string]bool
}

// book keeps the policies ready for use: each spec is parsed once. Where a new spec cannot be parsed, the
// page of the last good one stays.
type book struct {
	// own is the operator's namespace.
	own string

	mu    sync.Mutex
	pages map[types.UID]*page
	// bad are the specs that could not be parsed, by generation.
	bad map[types.UID]badSpec
}

type badSpec struct {
	generation int64
	why        error
}

func newBook(ownNamespace string) *book {
	return &book{own: ownNamespace, pages: map[types.UID]*page{}, bad: map[types.UID]badSpec{}}
}

// open gives the page of a policy's spec; or with an error that of its last good one, which is nil where none
// is known.
func (b *book) open(policy *v1alpha1.LimitPolicy) (*page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.pages[policy.UID]
	if known != nil && known.generation == policy.Generation {
		return known, nil
	}
	if bad, isBad := b.bad[policy.UID]; isBad && bad.generation == policy.Generation {
		return known, bad.why
	}
	fresh, err := read(policy)
	if err != nil {
		b.bad[policy.UID] = badSpec{generation: policy.Generation, why: err}
		return known, err
	}
	delete(b.bad, policy.UID)
	b.pages[policy.UID] = fresh
	return fresh, nil
}

// close drops the page of a policy that is gone.
func (b *book) close(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, uid)
	delete(b.bad, uid)
}

func read(policy *v1alpha1.LimitPolicy) (*page, error) {
	selector, err := metav1.LabelSelectorAsSelector(policy.Spec.NamespaceSelector.LabelSelector())
	if err != nil {
		return nil, fmt.Errorf("spec.namespaceSelector: %w", err)
	}
	parsed, err := render.Parse(policy)
	if err != nil {
		return nil, err
	}
	// What an older or a newer CRD lets through is not taken for the default, which may be to enforce.
	switch policy.Spec.Enforcement {
	case "", v1alpha1.Enforce, v1alpha1.DryRun:
	default:
		return nil, fmt.Errorf("spec.enforcement: %.40q is neither Enforce nor DryRun", policy.Spec.Enforcement)
	}
	switch policy.Spec.Drift {
	case "", v1alpha1.Repair, v1alpha1.Warn:
	default:
		return nil, fmt.Errorf("spec.drift: %.40q is neither Repair nor Warn", policy.Spec.Drift)
	}
	return &page{
		generation: policy.Generation,
		enforced:   policy.Spec.Enforcement != v1alpha1.DryRun,
		warn:       policy.Spec.Drift == v1alpha1.Warn,
		parsed:     parsed,
		quota:      parsed.QuotaName(),
		selector:   selector,
		named:      namedOutright(policy.Spec.NamespaceSelector),
	}, nil
}

func namedOutright(selector v1alpha1.NamespaceSelector) map[string]bool {
	named := map[string]bool{}
	if name, ok := selector.MatchLabels[corev1.LabelMetadataName]; ok {
		named[string(name)] = true
	}
	for _, term := range selector.MatchExpressions {
		if term.Key == corev1.LabelMetadataName && term.Operator == metav1.LabelSelectorOpIn {
			for _, name := range term.Values {
				named[string(name)] = true
			}
		}
	}
	return named
}

// selects reports whether a policy picks a namespace.
func (b *book) selects(p *page, namespace *metav1.PartialObjectMetadata) bool {
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

// makes reports whether the policy has a part in an object that is made in its namespaces.
func (p *page) makes(ref apply.Ref) bool {
	switch {
	case !p.enforced:
		return false
	case ref.GroupVersionKind == limitRanges:
		return p.bounds()
	default:
		return ref.Name == p.quota
	}
}

// bounds reports whether the policy has a part in the LimitRange.
func (p *page) bounds() bool { return len(p.parsed.Limits) > 0 }
