// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

const driftSpec = `
scaling: {minReplicas: 1, maxReplicas: 2}
listeners:
- {name: http, port: 80, protocol: HTTP, pool: web}
- {name: https, port: 443, protocol: HTTPS, tls: {certificates: [{secretName: shop-tls}, {secretName: other-tls}]}, pool: web}
pools:
- {name: web, members: [{service: {name: web, port: http}}]}
- {name: other, members: [{service: {name: web, port: http}}]}
routes:
- {name: other, hostnames: [other.test], action: {pool: other}}
`

// TestDriftUnderTraffic edits and deletes everything that a LoadBalancer made, and then HAProxy itself through its socket.
// Every request meanwhile is answered, and every change is told.
func TestDriftUnderTraffic(t *testing.T) {
	ownNode(t)
	ns := namespaces(t, name(t, "drift"), 1)[0]
	ca := newAuthority(t)
	create(t, ca.tlsSecret(t, ns, "shop-tls", "shop.test"))
	create(t, ca.tlsSecret(t, ns, "other-tls", "other.test"))
	available(t, backend(t, ns, "web", 2, nil))
	lb := loadBalancer(t, ns, "shop", newestHAProxy, specOf(t, driftSpec))
	address := serves(t, lb)
	meta := metav1.ObjectMeta{Namespace: ns, Name: "shop-lb"}
	for _, c := range []struct {
		object client.Object
		patch  string
		// who is told; a removal leaves no trace of who made it.
		who string
	}{
		{&appsv1.Deployment{ObjectMeta: meta}, `{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical"}}}}`, "eve"},
		{&corev1.Service{ObjectMeta: meta}, `{"spec":{"selector":{"app":"mine"}}}`, "eve"},
		{&corev1.ConfigMap{ObjectMeta: meta}, `{"data":{"model.json":"{}","more":"x"}}`, "eve"},
		{&policyv1.PodDisruptionBudget{ObjectMeta: meta}, `{"spec":{"maxUnavailable":"100%"}}`, "eve"},
		{&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta}, `{"spec":{"maxReplicas":9}}`, "eve"},
		{&rbacv1.RoleBinding{ObjectMeta: meta}, `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}]}`, "eve"},
		{&networkingv1.NetworkPolicy{ObjectMeta: meta}, `{"spec":{"ingress":[{}]}}`, "unknown"},
	} {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", c.object), "*")
		t.Run(kind, func(t *testing.T) {
			if err := suite.client.Patch(t.Context(), c.object, client.RawPatch(types.MergePatchType, []byte(c.patch)), client.FieldOwner("eve")); err != nil {
				t.Fatal(err)
			}
			_, kind, _ := strings.Cut(kind, ".")
			told(t, lb, kind+" "+ns+"/shop-lb", c.who)
			if a := ask(t, "http://"+address+"/", question{}); a.status != 200 {
				t.Errorf("answered %d", a.status)
			}
		})
	}
	serves(t, lb)
	driftOfHAProxy(t, lb, ca)
}

// driftOfHAProxy changes a server, a map and a certificate in the running HAProxy.
func driftOfHAProxy(t *testing.T, lb *v1alpha1.LoadBalancer, ca *authority) {
	t.Helper()
	pods := &corev1.PodList{}
	err := suite.client.List(t.Context(), pods, client.InNamespace(lb.Namespace), client.MatchingLabels{"app.kubernetes.io/instance": lb.Name})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("%d pods: %v", len(pods.Items), err)
	}
	pod := pods.Items[0].Name
	var server string
	for _, line := range strings.Split(tell(t, lb.Namespace, pod, "show servers state pool.web"), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && fields[1] == "pool.web" {
			server = "pool.web/" + fields[3]
		}
	}
	if server == "" {
		t.Fatal("HAProxy tells of no server")
	}
	t.Run("a server is disabled", func(t *testing.T) {
		tell(t, lb.Namespace, pod, "set server "+server+" state maint")
		told(t, lb, "server "+server, "unknown")
	})
	t.Run("a map entry is changed", func(t *testing.T) {
		hosts := "/run/fairlead/maps/listener.http.hosts.map"
		if answer := tell(t, lb.Namespace, pod, "set map "+hosts+" other.test nowhere"); strings.TrimSpace(answer) != "" {
			t.Fatal(answer)
		}
		told(t, lb, "map listener.http.hosts.map", "unknown")
		eventually(t, "the route is right again", func(ctx context.Context) (bool, string, error) {
			a, err := try(ctx, "http://"+lb.Status.Addresses[0]+"/", question{host: "other.test"})
			return err == nil && a.status == 200, fmt.Sprintf("%+v", a), err
		})
	})
	t.Run("a certificate is taken off its list", func(t *testing.T) {
		list := "/run/fairlead/certs/listener.https.list"
		answer := tell(t, lb.Namespace, pod, "del ssl crt-list "+list+" /run/fairlead/certs/"+lb.Namespace+".other-tls.pem")
		if !strings.HasPrefix(strings.TrimSpace(answer), "Entry ") {
			t.Fatal(answer)
		}
		told(t, lb, "certificate list listener.https.list", "unknown")
		eventually(t, "the certificate is shown again", func(context.Context) (bool, string, error) {
			f := features{address: lb.Status.Addresses[0], ca: ca}
			a, err := f.handshake(t, 443, tlsConfig("other.test"), false)
			return err == nil && a.status == 200, "", err
		})
	})
}

// told waits until the status tells of a repair of an object by somebody.
func told(t *testing.T, lb *v1alpha1.LoadBalancer, object, who string) {
	t.Helper()
	eventually(t, "the repair of "+object+" is told", func(ctx context.Context) (bool, string, error) {
		found := &v1alpha1.LoadBalancer{}
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), found); err != nil {
			return false, "", err
		}
		return slices.ContainsFunc(found.Status.Repairs, func(r v1alpha1.RepairRecord) bool {
			return strings.Contains(r.Object, object) && r.Manager == who && r.Repaired
		}), fmt.Sprintf("%+v", found.Status.Repairs), nil
	})
}

// tell runs a command of HAProxy's runtime socket in its container.
func tell(t *testing.T, namespace, pod, command string) string {
	t.Helper()
	request := suite.plain.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: "haproxy", Stdout: true, Stderr: true,
			Command: append([]string{"/opt/fairlead/fairlead-proxy", "ask"}, strings.Fields(command)...),
		}, clientgoscheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(suite.config, "POST", request.URL())
	if err != nil {
		t.Fatal(err)
	}
	var out, complaint bytes.Buffer
	if err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out, Stderr: &complaint}); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, complaint.String())
	}
	return out.String()
}
