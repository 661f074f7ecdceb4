// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/setup"
)

const (
	operatorNamespace  = "fairlead-system"
	operatorDeployment = "fairlead-controller-manager"
)

// TestOperatorRuns finds the operator as the manifests install it: two pods, one leader, nothing that it does not need.
func TestOperatorRuns(t *testing.T) {
	pods := operatorPods(t)
	for i := range pods {
		pod := &pods[i]
		if pod.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("pod %s was restarted %d times", pod.Name, pod.Status.ContainerStatuses[0].RestartCount)
		}
		if pod.Spec.ServiceAccountName != operatorDeployment {
			t.Errorf("pod %s runs as %s", pod.Name, pod.Spec.ServiceAccountName)
		}
	}
	if leader := leader(t); !strings.HasPrefix(leader, operatorDeployment+"-") {
		t.Errorf("the leader is %q", leader)
	}
	// Who may not read metrics gets none.
	err := suite.plain.CoreV1().RESTClient().Get().Namespace(operatorNamespace).Resource("services").
		Name("https:fairlead-controller-manager-metrics-service:https").SubResource("proxy", "metrics").Do(t.Context()).Error()
	if !apierrors.IsUnauthorized(err) && !apierrors.IsForbidden(err) {
		t.Errorf("metrics without a token of ours: %v", err)
	}
}

// TestOperatorDeletedWhileItCovers deletes the leader's pod in the middle of covering 200 namespaces.
func TestOperatorDeletedWhileItCovers(t *testing.T) {
	const number = 200
	label := name(t, "deleted")
	names := namespaces(t, label, number)
	leading := leader(t)
	p := policy(t, label, maxMemory("512Mi"))
	eventually(t, "a part of the namespaces is covered", func(ctx context.Context) (bool, string, error) {
		n, err := covered(ctx, label)
		return n > number/20, fmt.Sprint(n), err
	})
	pod := strings.SplitN(leading, "_", 2)[0]
	if err := suite.plain.CoreV1().Pods(operatorNamespace).Delete(t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	if n, err := covered(t.Context(), label); err != nil || n >= number {
		t.Errorf("the leader was deleted too late: %d namespaces were covered (%v)", n, err)
	}
	ready(t, p, number)
	if now := leader(t); now == leading {
		t.Errorf("the leader is still %s", now)
	}
	raise(t, names[0], "8Gi")
	lowered(t, names[0], "512Mi")
	operatorPods(t)
}

// operatorPods waits until the operator's Deployment is complete, and gives its pods.
func operatorPods(t *testing.T) []corev1.Pod {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorDeployment}}
	available(t, d)
	pods := &corev1.PodList{}
	if err := suite.client.List(t.Context(), pods, client.InNamespace(operatorNamespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
		t.Fatal(err)
	}
	running := pods.Items[:0]
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			running = append(running, pods.Items[i])
		}
	}
	if len(running) != int(*d.Spec.Replicas) {
		t.Fatalf("%d pods of the operator; want %d", len(running), *d.Spec.Replicas)
	}
	return running
}

// leader is the identity in the lease: the pod's name, and something random after a "_".
func leader(t *testing.T) string {
	t.Helper()
	var holder string
	eventually(t, "an operator leads", func(ctx context.Context) (bool, string, error) {
		lease, err := suite.plain.CoordinationV1().Leases(operatorNamespace).Get(ctx, setup.LeaseName, metav1.GetOptions{})
		if err == nil {
			holder = ptr.Deref(lease.Spec.HolderIdentity, "")
		}
		return holder != "", "no holder", err
	})
	return holder
}
