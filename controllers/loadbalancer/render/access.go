// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// ClusterRoles that replicas get, each in single namespaces; config/rbac has them, and lets the operator bind them
// though it does not have what they allow.
const (
	RoleAgent     = "fairlead-agent"
	RoleEndpoints = "fairlead-agent-endpoints"
	RoleSecrets   = "fairlead-agent-secrets"
)

func reserved(annotation string) bool {
	return strings.HasPrefix(annotation, v1alpha1.GroupVersion.Group+"/")
}

func (in *Input) serviceAccount() *corev1.ServiceAccount {
	// Pods mount a token of their own making, in one container of two.
	return &corev1.ServiceAccount{ObjectMeta: in.meta(), AutomountServiceAccountToken: new(false)}
}

func (in *Input) configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: in.meta(), Data: map[string]string{ModelKey: string(in.Model)}}
}

func (in *Input) roleBinding() *rbacv1.RoleBinding { return in.bind(in.meta(), RoleAgent) }

func (in *Input) bind(meta metav1.ObjectMeta, role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: in.Namespace, Name: ObjectName(in.Name)}},
	}
}

// foreignBindings let replicas read in other namespaces. An owner reference does not reach across namespaces, so
// they have none. Their names are unique, since a namespace has no dot, and far from too long: 63 + 1 + 40 + 11.
func (in *Input) foreignBindings() []Object {
	var out []Object
	for _, access := range []struct {
		namespaces   []string
		suffix, role string
	}{{in.EndpointNamespaces, "", RoleEndpoints}, {in.SecretNamespaces, "-secrets", RoleSecrets}} {
		for _, namespace := range access.namespaces {
			meta := metav1.ObjectMeta{Namespace: namespace, Name: in.Namespace + "." + ObjectName(in.Name) + access.suffix, Labels: in.labels()}
			out = append(out, in.bind(meta, access.role))
		}
	}
	return out
}
