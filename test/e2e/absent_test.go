// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/test/controlplane"
)

const absentSpec = `
listeners:
- {name: http, port: 80, protocol: HTTP, pool: web}
pools:
- {name: web, members: [{service: {name: web, port: http}}]}
`

// TestOperatorIsDown takes the operator away for a minute: traffic follows the endpoints all the same.
func TestOperatorIsDown(t *testing.T) {
	ownNode(t)
	ns := namespaces(t, name(t, "absent"), 1)[0]
	web := backend(t, ns, "web", 1, graceful)
	available(t, web)
	address := serves(t, loadBalancer(t, ns, "shop", newestHAProxy, specOf(t, absentSpec)))
	operator := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorDeployment}}
	scaleTo := func(ctx context.Context, replicas int) {
		body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
		if err := suite.client.Patch(ctx, operator, client.RawPatch(types.MergePatchType, body)); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { scaleTo(context.Background(), 2) })
	scaleTo(t.Context(), 0)
	eventually(t, "no operator runs", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(operator), operator)
		return operator.Status.Replicas == 0, fmt.Sprint(operator.Status.Replicas), err
	})
	end := time.Now().Add(time.Minute)
	for replicas := int32(3); time.Now().Before(end); replicas = 4 - replicas {
		scale(t, web, replicas)
		eventually(t, "all pods answer, and no other", func(ctx context.Context) (bool, string, error) {
			return answeredBy(ctx, t, ns, address)
		})
	}
	scaleTo(t.Context(), 2)
	available(t, operator)
}

// answeredBy reports whether exactly the pods of web that run answer.
func answeredBy(ctx context.Context, t *testing.T, ns, address string) (bool, string, error) {
	t.Helper()
	pods := &corev1.PodList{}
	if err := suite.client.List(ctx, pods, client.InNamespace(ns), client.MatchingLabels{"app": "web"}); err != nil {
		return false, "", err
	}
	want := map[string]bool{}
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			want[pods.Items[i].Name] = true
		}
	}
	found := map[string]int{}
	for range 30 {
		a, err := try(ctx, "http://"+address+"/", question{})
		if err != nil {
			return false, "", err
		}
		if a.status != 200 {
			t.Errorf("answered %d", a.status)
		}
		found[a.headers.Get("X-Echo-Name")]++
	}
	for pod := range found {
		if !want[pod] {
			return false, fmt.Sprintf("%s answers and is not among %v", pod, want), nil
		}
	}
	return len(found) == len(want), fmt.Sprintf("%v; want %v", found, want), nil
}

// TestLastGoodConfig ends HAProxy's and the agent's processes while there is no API server: what they served is served
// again by the containers that follow.
func TestLastGoodConfig(t *testing.T) {
	node := ownNode(t)
	ns := namespaces(t, name(t, "lastgood"), 1)[0]
	available(t, backend(t, ns, "web", 1, nil))
	spec := specOf(t, absentSpec)
	spec.Scaling = v1alpha1.Scaling{Replicas: 1}
	address := serves(t, loadBalancer(t, ns, "shop", newestHAProxy, spec))
	before := kubeletSees(t, ns)
	uid := podUID(t, ns)
	err := node.WithoutControlPlane(t.Context(), controlplane.APIServer, func(ctx context.Context) error {
		if err := node.KillContainers(uid); err != nil {
			return err
		}
		return serving(ctx, address)
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both containers were started anew", func(context.Context) (bool, string, error) {
		after := kubeletSees(t, ns)
		return after["haproxy"] > before["haproxy"] && after["agent"] > before["agent"], fmt.Sprint(before, after), nil
	})
	if a := ask(t, "http://"+address+"/", question{}); a.status != 200 {
		t.Errorf("with the API server back answered %d", a.status)
	}
}

// serving waits until requests are answered again, ten in a row.
func serving(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for good := 0; good < 10; {
		a, err := try(ctx, "http://"+address+"/", question{})
		switch {
		case err == nil && a.status == 200:
			good++
			continue
		case err == nil:
			err = fmt.Errorf("answered %d", a.status)
		}
		good, last = 0, err
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing is served without the API server: %w", last)
		case <-time.After(poll):
		}
	}
	return nil
}

// podUID is that of the one pod of the load balancer.
func podUID(t *testing.T, ns string) string {
	t.Helper()
	pods := &corev1.PodList{}
	err := suite.client.List(t.Context(), pods, client.InNamespace(ns), client.MatchingLabels{"app.kubernetes.io/instance": "shop"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods: %v", len(pods.Items), err)
	}
	return string(pods.Items[0].UID)
}

// kubeletSees counts the restarts of the load balancer's containers.
func kubeletSees(t *testing.T, ns string) map[string]int32 {
	t.Helper()
	pods := &corev1.PodList{}
	err := suite.client.List(t.Context(), pods, client.InNamespace(ns), client.MatchingLabels{"app.kubernetes.io/instance": "shop"})
	if err != nil {
		t.Fatal(err)
	}
	restarts := map[string]int32{}
	for i := range pods.Items {
		for _, s := range pods.Items[i].Status.ContainerStatuses {
			restarts[s.Name] += s.RestartCount
		}
	}
	return restarts
}
