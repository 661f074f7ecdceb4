// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// features is a LoadBalancer with everything in it.
type features struct {
	// address is where it serves, http the URL of its first listener.
	address, http string
	ca            *authority
	namespace     string
}

func (f *features) at(port int) string { return fmt.Sprintf("http://%s:%d", f.address, port) }

// TestFeatures sends requests to every feature of a LoadBalancer, on each HAProxy.
func TestFeatures(t *testing.T) {
	ownNode(t)
	t.Parallel()
	ns := namespaces(t, name(t, "features"), 1)[0]
	ca := newAuthority(t)
	featureSecrets(t, ns, ca)
	featureBackends(t, ns)
	for version := range haproxyImages {
		t.Run("HAProxy "+version, func(t *testing.T) {
			lb := loadBalancer(t, ns, "all-"+version[:1], version, specFrom(t, "testdata/features.yaml"))
			address := serves(t, lb)
			f := &features{address: address, http: "http://" + address, ca: ca, namespace: ns}
			t.Run("routes", f.routes)
			t.Run("actions", f.actions)
			t.Run("limits", f.limits)
			t.Run("tls", f.tls)
			t.Run("streams", f.streams)
			t.Run("listeners", f.listeners)
			t.Run("algorithms", f.algorithms)
			t.Run("persistence", f.persistence)
			t.Run("members", f.members)
			t.Run("monitors", f.monitors)
		})
	}
}

func featureSecrets(t *testing.T, ns string, ca *authority) {
	t.Helper()
	create(t, ca.tlsSecret(t, ns, "a-tls", "a.test"))
	create(t, ca.tlsSecret(t, ns, "b-tls", "b.test"))
	create(t, ca.tlsSecret(t, ns, "member-tls", "secure.test"))
	create(t, ca.tlsSecret(t, ns, "client-tls", "the-load-balancer"))
	create(t, ca.caSecret(ns, "ca"))
	create(t, newAuthority(t).caSecret(ns, "other-ca"))
	// The password is "secret".
	users := "ann:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA\n"
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "users"}, StringData: map[string]string{"auth": users}})
}

func featureBackends(t *testing.T, ns string) {
	t.Helper()
	all := []*appsv1.Deployment{
		backend(t, ns, "blue", 2, nil),
		backend(t, ns, "green", 1, nil),
		backend(t, ns, "sick", 2, nil),
		backend(t, ns, "proxied", 1, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Args = []string{"-proxy-protocol"}
		}),
		backend(t, ns, "secure", 1, func(d *appsv1.Deployment) {
			spec := &d.Spec.Template.Spec
			spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](65532)}
			spec.Containers[0].Args = []string{"-cert=/tls/tls.crt", "-key=/tls/tls.key"}
			spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}}
			spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "member-tls"}}}}
		}),
	}
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "headless"},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "blue"},
			Ports: []corev1.ServicePort{{Port: 8080}},
		},
	})
	// A member by its address.
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "fixed"},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.100.77.77", Selector: map[string]string{"app": "blue"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	for _, d := range all {
		available(t, d)
	}
}
