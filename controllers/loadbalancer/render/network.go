// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Ports of a pod beside those of listeners, which begin at 10001.
const (
	// PortHealth is HAProxy's: /healthz and /metrics.
	PortHealth = 8404
	// PortPeers is where replicas tell each other what they counted.
	PortPeers = 8405
	// PortAgent is the agent's: /readyz, /healthz and /metrics.
	PortAgent = 8406

	offset = 10000
)

func (in *Input) service() *corev1.Service {
	asked := in.Spec.Service
	out := &corev1.Service{ObjectMeta: in.meta()}
	out.Annotations = annotations(asked.Annotations)
	out.Spec = corev1.ServiceSpec{Type: cmp.Or(asked.Type, corev1.ServiceTypeLoadBalancer), Selector: in.selector()}
	if out.Spec.Type != corev1.ServiceTypeClusterIP {
		// Local keeps clients' addresses, which rate limits, lists of addresses and logs go by.
		out.Spec.ExternalTrafficPolicy = cmp.Or(asked.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal)
	}
	if out.Spec.Type == corev1.ServiceTypeLoadBalancer && asked.LoadBalancerClass != "" {
		out.Spec.LoadBalancerClass = new(asked.LoadBalancerClass)
	}
	for i := range in.Spec.Listeners {
		l := &in.Spec.Listeners[i]
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{
			Name: string(l.Name), Port: l.Port, TargetPort: intstr.FromInt32(offset + l.Port), Protocol: corev1.ProtocolTCP,
		})
	}
	return out
}

// networkPolicy lets in what a replica is for. Listeners take connections from anywhere; their own lists of
// addresses see the client, which a NetworkPolicy behind a Service often does not. Figures and health are read by
// Prometheus, whose namespace is not known, so by any pod, and by nobody from outside the cluster; they tell names and
// numbers and take no orders. The kubelet's probes come from the node, which no NetworkPolicy keeps out. What replicas
// tell each other has no password, so only pods of the same load balancer may. Where members are is for them to say,
// so what goes out is not bounded.
func (in *Input) networkPolicy() *networkingv1.NetworkPolicy {
	pods := &metav1.LabelSelector{MatchLabels: in.selector()}
	rules := []networkingv1.NetworkPolicyIngressRule{
		{
			Ports: []networkingv1.NetworkPolicyPort{policyPort(PortHealth), policyPort(PortAgent)},
			From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
		},
		{
			Ports: []networkingv1.NetworkPolicyPort{policyPort(PortPeers)},
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: pods}},
		},
	}
	listeners := networkingv1.NetworkPolicyIngressRule{}
	for i := range in.Spec.Listeners {
		listeners.Ports = append(listeners.Ports, policyPort(offset+in.Spec.Listeners[i].Port))
	}
	if len(listeners.Ports) > 0 { // Without ports a rule would be for all of them.
		rules = append(rules, listeners)
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: in.meta(),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: *pods,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     rules,
		},
	}
}

func policyPort(port int32) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(port))}
}
