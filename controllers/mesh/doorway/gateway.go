// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/render"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

const (
	// labelIstio is how Gateway objects pick proxies, by the name of the gateway.
	labelIstio = "istio"
	// labelNamespace keeps a Gateway object of ours to its own proxies: Istio looks for a selector's labels in all namespaces,
	// and gateways in two of them may have the same name.
	labelNamespace = "fleet.fairlead.io/gateway-namespace"
	// statusPort is where proxies say that they are ready.
	statusPort = 15021
)

// What a Scaling says that says nothing.
const (
	defaultReplicas    = 2
	defaultUtilization = 70
)

// proxyValues are the values of the chart gateway.
func proxyValues(plane *render.Plane, g *v1alpha1.MeshGateway) map[string]any {
	out := map[string]any{
		"labels":  map[string]any{labelIstio: g.Name, labelNamespace: string(g.Namespace)},
		"service": serviceValues(g),
	}
	if secrets := pullSecrets(plane); len(secrets) > 0 {
		out["imagePullSecrets"] = secrets
	}
	least := scalingValues(&g.Scaling, out)
	if least > 1 {
		// A pod that is not ready serves nobody, and must not keep a node from being drained.
		out["podDisruptionBudget"] = map[string]any{"maxUnavailable": 1, "unhealthyPodEvictionPolicy": string(policyv1.AlwaysAllow)}
	}
	return out
}

func serviceValues(g *v1alpha1.MeshGateway) map[string]any {
	annotations := map[string]any{}
	for key, value := range g.Service.Annotations {
		annotations[key] = string(value)
	}
	ports := []any{portValues("status-port", statusPort)}
	for _, p := range portsOf(g) {
		ports = append(ports, portValues(portName(p), p.Port))
	}
	kind := cmp.Or(g.Service.Type, corev1.ServiceTypeLoadBalancer)
	out := map[string]any{"type": string(kind), "annotations": annotations, "ports": ports}
	if kind != corev1.ServiceTypeClusterIP {
		out["externalTrafficPolicy"] = string(cmp.Or(g.Service.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyLocal))
	}
	if class := g.Service.LoadBalancerClass; class != "" {
		// The chart writes it without quotes, and a class may look like a number.
		out["loadBalancerClass"] = strconv.Quote(class)
	}
	return out
}

func portValues(name string, port int32) map[string]any {
	return map[string]any{"name": name, "port": int64(port), "targetPort": int64(port), "protocol": string(corev1.ProtocolTCP)}
}

// scalingValues sets how many proxies there are, and gives the least number.
func scalingValues(s *v1alpha1.Scaling, out map[string]any) int32 {
	if s.MaxReplicas == 0 {
		least := cmp.Or(s.Replicas, defaultReplicas)
		out["autoscaling"], out["replicaCount"] = map[string]any{"enabled": false}, int64(least)
		return least
	}
	least := cmp.Or(s.MinReplicas, defaultReplicas)
	out["autoscaling"] = map[string]any{
		"enabled": true, "minReplicas": int64(least), "maxReplicas": int64(s.MaxReplicas),
		"targetCPUUtilizationPercentage": int64(cmp.Or(s.TargetCPUUtilization, defaultUtilization)),
	}
	return least
}

// pullSecrets are those of all of the mesh's images, as references.
func pullSecrets(plane *render.Plane) []any {
	names, _ := values.Get(plane.Values, "global", "imagePullSecrets")
	list, _ := names.([]any)
	var out []any
	for _, name := range list {
		out = append(out, map[string]any{"name": name})
	}
	return out
}

// portsOf are the ports of a gateway, those of one that names none among them.
func portsOf(g *v1alpha1.MeshGateway) []v1alpha1.GatewayPort {
	if len(g.Ports) > 0 {
		return g.Ports
	}
	out := []v1alpha1.GatewayPort{{Port: 80, Protocol: v1alpha1.GatewayHTTP}}
	if g.TLS != nil {
		out = append(out, v1alpha1.GatewayPort{Port: 443, Protocol: v1alpha1.GatewayHTTPS})
	}
	return out
}

func portName(p v1alpha1.GatewayPort) string {
	return fmt.Sprintf("%s-%d", strings.ToLower(string(p.Protocol)), p.Port)
}

// gateway tells the proxies which hosts to serve at which ports.
func gateway(g *v1alpha1.MeshGateway) client.Object {
	var servers []any
	for _, p := range portsOf(g) {
		server := map[string]any{
			"port":  map[string]any{"number": int64(p.Port), "name": portName(p), "protocol": string(p.Protocol)},
			"hosts": texts(g.Hosts),
		}
		switch {
		case g.TLS == nil:
		case p.Protocol == v1alpha1.GatewayHTTPS:
			server["tls"] = map[string]any{"mode": "SIMPLE", "credentialName": g.TLS.SecretName}
		case g.TLS.HTTPSRedirect:
			server["tls"] = map[string]any{"httpsRedirect": true}
		}
		servers = append(servers, server)
	}
	return object(gatewayKind, string(g.Namespace), g.Name, map[string]any{
		"selector": map[string]any{labelIstio: g.Name, labelNamespace: string(g.Namespace)},
		"servers":  servers,
	})
}

func texts[T ~string](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = string(in[i])
	}
	return out
}
