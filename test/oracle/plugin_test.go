// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/admission"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"
)

// apiServer is the part of the API server that a create passes through, in its order: core/v1 defaults, the
// plugin's Admit, PrepareForCreate and validation of the kind, the plugin's Validate.
type apiServer struct {
	plugin     *limitranger.LimitRanger
	errors     *recorder
	ranges     cache.Indexer
	namespaces atomic.Int64
}

// recorder is the plugin's own action, with the single errors kept that the plugin folds into one text.
type recorder struct {
	limitranger.DefaultLimitRangerActions
	into *[]string
}

func (r *recorder) ValidateLimit(limitRange *corev1.LimitRange, kind string, obj runtime.Object) error {
	err := r.DefaultLimitRangerActions.ValidateLimit(limitRange, kind, obj)
	*r.into = append(*r.into, messages(err)...)
	return err
}

func messages(err error) []string {
	var aggregate utilerrors.Aggregate
	if !errors.As(err, &aggregate) {
		return nil
	}
	var out []string
	for _, one := range aggregate.Errors() {
		out = append(out, one.Error())
	}
	slices.Sort(out)
	return out
}

// newAPIServer makes one for the use of one goroutine.
func newAPIServer() (*apiServer, error) {
	r := &recorder{into: new([]string)}
	plugin, err := limitranger.NewLimitRanger(r)
	if err != nil {
		return nil, err
	}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin.SetExternalKubeClientSet(client)
	plugin.SetExternalKubeInformerFactory(factory)
	if err := plugin.ValidateInitialization(); err != nil {
		return nil, err
	}
	return &apiServer{plugin: plugin, errors: r, ranges: factory.Core().V1().LimitRanges().Informer().GetIndexer()}, nil
}

// limitRange is the LimitRange of the items as the API server would store it.
func limitRange(items []corev1.LimitRangeItem) *corev1.LimitRange {
	lr := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "limits", Namespace: "team"}}
	lr.Spec.Limits = items
	lr = lr.DeepCopy()
	legacyscheme.Scheme.Default(lr)
	return lr
}

// within runs f with the LimitRange in a namespace of its own.
func (s *apiServer) within(lr *corev1.LimitRange, f func(namespace string) error) error {
	lr = lr.DeepCopy()
	lr.Namespace = fmt.Sprintf("team-%d", s.namespaces.Add(1))
	if err := s.ranges.Add(lr); err != nil {
		return err
	}
	return nilOr(f(lr.Namespace), s.ranges.Delete(lr))
}

func nilOr(errs ...error) error { return utilerrors.NewAggregate(errs) }

func attributes(obj runtime.Object, namespace, name, kind, resource string) admission.Attributes {
	version := corev1.SchemeGroupVersion
	return admission.NewAttributesRecord(obj, nil, version.WithKind(kind), namespace, name,
		version.WithResource(resource), "", admission.Create, &metav1.CreateOptions{}, false, nil)
}

// podOutcome is what the API server made of a pod.
type podOutcome struct {
	defaulted *core.Pod // after the core/v1 defaults
	admitted  *core.Pod // after the plugin's defaults
	refused   bool      // by the plugin
	messages  []string  // of the plugin's refusal, sorted
	stored    *core.Pod // what the plugin's checks saw

	validWithout bool     // whether it would be valid if there were no limits
	invalid      []string // what is wrong with it under the limits
}

// createPod sends a pod through the API server.
func (s *apiServer) createPod(lr *corev1.LimitRange, v1Pod *corev1.Pod) (*podOutcome, error) {
	out := &podOutcome{}
	v1Pod = v1Pod.DeepCopy()
	legacyscheme.Scheme.Default(v1Pod)
	pod := &core.Pod{}
	if err := legacyscheme.Scheme.Convert(v1Pod, pod, nil); err != nil {
		return nil, err
	}
	out.defaulted = pod.DeepCopy()
	without := pod.DeepCopy()
	ctx := genericapirequest.NewDefaultContext()
	podregistry.Strategy.PrepareForCreate(ctx, without)
	out.validWithout = len(podregistry.Strategy.Validate(ctx, without)) == 0

	return out, s.within(lr, func(namespace string) error {
		pod.Namespace = namespace
		a := attributes(pod, namespace, pod.Name, "Pod", "pods")
		if err := s.plugin.Admit(ctx, a, nil); err != nil {
			return err
		}
		out.admitted = pod.DeepCopy()
		podregistry.Strategy.PrepareForCreate(ctx, pod)
		for _, err := range podregistry.Strategy.Validate(ctx, pod) {
			out.invalid = append(out.invalid, err.Error())
		}
		slices.Sort(out.invalid)
		out.stored = pod
		out.refused, out.messages = s.validate(ctx, a)
		return nil
	})
}

// createClaim sends a claim through the plugin.
func (s *apiServer) createClaim(lr *corev1.LimitRange, v1Claim *corev1.PersistentVolumeClaim) (refused bool, found []string, err error) {
	v1Claim = v1Claim.DeepCopy()
	legacyscheme.Scheme.Default(v1Claim)
	claim := &core.PersistentVolumeClaim{}
	if err := legacyscheme.Scheme.Convert(v1Claim, claim, nil); err != nil {
		return false, nil, err
	}
	err = s.within(lr, func(namespace string) error {
		ctx := genericapirequest.NewDefaultContext()
		a := attributes(claim, namespace, claim.Name, "PersistentVolumeClaim", "persistentvolumeclaims")
		if err := s.plugin.Admit(ctx, a, nil); err != nil {
			return err
		}
		refused, found = s.validate(ctx, a)
		return nil
	})
	return refused, found, err
}

func (s *apiServer) validate(ctx context.Context, a admission.Attributes) (refused bool, found []string) {
	*s.errors.into = nil
	err := s.plugin.Validate(ctx, a, nil)
	return err != nil, *s.errors.into
}
