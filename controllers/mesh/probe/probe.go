// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe asks a control plane whether it injects, by a pod that is never made.
package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// What Istio reads from a pod, and what it writes.
const (
	labelInject    = "sidecar.istio.io/inject"
	labelRevision  = "istio.io/rev"
	containerProxy = "istio-proxy"
	containerInit  = "istio-init"
)

const (
	// patience is how long an answer may take. A person who makes a pod waits for it, too.
	patience = 5 * time.Second
	// prefix is what the names of the pods begin with; the API server adds letters.
	prefix = "fairlead-probe-"
	// restrictions is what the API server calls a quota's wish for numbers.
	restrictions = "must specify "
)

// Result is what came of it.
type Result struct {
	// Answers is that the webhook was reached, Injects that a pod gets the proxy of the revision. Where a webhook that
	// cannot be reached is ignored by its failurePolicy, only Injects tells.
	Answers, Injects bool
	// Why says what is missing, or what keeps pods from being made though they are injected. It is for a condition: the
	// same trouble has the same text.
	Why string
}

// Inject makes a dry-run pod that asks for the proxy of a revision, in a namespace that need not be labelled for it. It takes
// a few seconds at most. The error is of the request, and says nothing of the revision.
func Inject(ctx context.Context, c client.Client, namespace, revision string) (Result, error) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := newPod(namespace, revision)
	err := c.Create(bounded, answer, client.DryRunAll, client.FieldOwner(v1alpha1.ManagedBy))
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), restrictions) {
		// Only a quota that wants numbers gets them, since any number may be against the limits of another namespace.
		answer = newPod(namespace, revision)
		answer.Spec.Containers[0].Resources = least()
		err = c.Create(bounded, answer, client.DryRunAll, client.FieldOwner(v1alpha1.ManagedBy))
	}
	switch {
	case err == nil:
		return judge(answer, revision), nil
	case errors.Is(bounded.Err(), context.DeadlineExceeded) && ctx.Err() == nil:
		return Result{Why: fmt.Sprintf("a dry-run pod has no answer within %s", patience)}, nil
	}
	if result, ok := refused(err); ok {
		return result, nil
	}
	return Result{}, fmt.Errorf("dry-run a pod in namespace %s: %w", namespace, err)
}

// newPod is a pod that every Pod Security level admits.
func newPod(namespace, revision string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: prefix, Labels: map[string]string{labelRevision: revision, labelInject: "true"},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			RestartPolicy:                corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "probe", Image: "fairlead.invalid/probe:none",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

func least() corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	return corev1.ResourceRequirements{Requests: list, Limits: list.DeepCopy()}
}

// judge looks at a pod that was admitted.
func judge(pod *corev1.Pod, revision string) Result {
	isProxy := func(c corev1.Container) bool { return c.Name == containerProxy }
	proxied := slices.ContainsFunc(pod.Spec.Containers, isProxy) || slices.ContainsFunc(pod.Spec.InitContainers, isProxy)
	switch by := pod.Annotations[labelRevision]; {
	case !proxied:
		return Result{Answers: true, Why: "a dry-run pod got no proxy"}
	case by != revision:
		return Result{Answers: true, Why: fmt.Sprintf("a dry-run pod got its proxy from revision %q", by)}
	default:
		return Result{Answers: true, Injects: true}
	}
}
