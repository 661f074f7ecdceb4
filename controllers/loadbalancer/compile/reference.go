// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

const (
	kindService = "Service"
	kindSecret  = "Secret"
)

// References are the Services that a spec names, and the other namespaces that it refers to, sorted.
func References(namespace string, spec *v1alpha1.LoadBalancerSpec) (services []types.NamespacedName, namespaces []string) {
	foreign := map[string]struct{}{}
	note := func(in string) {
		if in != "" && in != namespace {
			foreign[in] = struct{}{}
		}
	}
	for i := range spec.Pools {
		pool := &spec.Pools[i]
		for _, member := range pool.Members {
			if member.Service != nil {
				services = append(services, types.NamespacedName{Namespace: cmp.Or(member.Service.Namespace, namespace), Name: member.Service.Name})
				note(member.Service.Namespace)
			}
		}
		if pool.TLS != nil {
			for _, ref := range []*v1alpha1.SecretReference{pool.TLS.CA, pool.TLS.Certificate} {
				if ref != nil {
					note(ref.Namespace)
				}
			}
		}
	}
	for i := range spec.Listeners {
		if tls := spec.Listeners[i].TLS; tls != nil {
			for _, ref := range tls.Certificates {
				note(ref.Namespace)
			}
			if tls.ClientAuth != nil {
				note(tls.ClientAuth.CA.Namespace)
			}
		}
	}
	for i := range spec.Routes {
		if auth := spec.Routes[i].BasicAuth; auth != nil {
			note(auth.Users.Namespace)
		}
	}
	slices.SortFunc(services, func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
	for name := range foreign {
		namespaces = append(namespaces, name)
	}
	slices.Sort(namespaces)
	return slices.Compact(services), namespaces
}

// granted reports whether an object may be referred to. named is true where the only grants are for this one name.
func (c *compiler) granted(kind, namespace, name string) (ok, named bool) {
	if namespace == c.in.Namespace {
		return true, false
	}
	for _, grant := range c.in.Grants {
		if grant.Namespace != namespace || !slices.ContainsFunc(grant.Spec.From, c.isFrom) {
			continue
		}
		for _, to := range grant.Spec.To {
			switch {
			case to.Group != "" || string(to.Kind) != kind:
			case to.Name == nil || *to.Name == "":
				return true, false
			case string(*to.Name) == name:
				ok, named = true, true
			}
		}
	}
	return ok, named
}

func (c *compiler) isFrom(from gatewayv1beta1.ReferenceGrantFrom) bool {
	return string(from.Group) == v1alpha1.GroupVersion.Group && from.Kind == "LoadBalancer" && string(from.Namespace) == c.in.Namespace
}

func (c *compiler) notGranted(field, kind, namespace, name, effect string) {
	c.problem(field, v1alpha1.ProblemNotGranted,
		"%s %s/%s is in another namespace, and no ReferenceGrant in %s lets a LoadBalancer of namespace %s refer to it; %s",
		kind, namespace, name, namespace, c.in.Namespace, effect)
}

// secret resolves a reference to a Secret. Agents read what they refer to by a role on all Secrets of its
// namespace, so a grant for one Secret by name would be stretched to all of them: it is not enough.
func (c *compiler) secret(field string, ref v1alpha1.SecretReference, effect string) (model.SecretRef, bool) {
	out := model.SecretRef{Namespace: cmp.Or(ref.Namespace, c.in.Namespace), Name: ref.SecretName}
	ok, named := c.granted(kindSecret, out.Namespace, out.Name)
	switch {
	case !ok:
		c.notGranted(field, kindSecret, out.Namespace, out.Name, effect)
	case named:
		c.problem(field, v1alpha1.ProblemNotGranted,
			"the ReferenceGrant in %s is for Secret %s alone, and replicas read Secrets of other namespaces by a role on all of them: grant kind Secret without a name, or copy the Secret; %s",
			out.Namespace, out.Name, effect)
	}
	return out, ok && !named
}

const memberLeftOut = "the member is left out"

// service resolves a reference to a port of a Service.
func (c *compiler) service(field string, ref *v1alpha1.ServiceReference) (*model.ServiceRef, bool) {
	out := &model.ServiceRef{Namespace: cmp.Or(ref.Namespace, c.in.Namespace), Name: ref.Name}
	if ok, _ := c.granted(kindService, out.Namespace, out.Name); !ok {
		c.notGranted(field, kindService, out.Namespace, out.Name, memberLeftOut)
		return nil, false
	}
	service := c.in.Services[types.NamespacedName{Namespace: out.Namespace, Name: out.Name}]
	name := out.Namespace + "/" + out.Name
	switch {
	case out.Namespace == c.in.Namespace && out.Name == c.in.Name+"-lb":
		c.problem(field, v1alpha1.ProblemUnsupported, "Service %s is the load balancer's own, so that a request would go in a circle; %s", name, memberLeftOut)
		return nil, false
	case service == nil:
		c.problem(field, v1alpha1.ProblemNotFound, "Service %s does not exist; %s", name, memberLeftOut)
		return nil, false
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		c.problem(field, v1alpha1.ProblemUnsupported,
			"Service %s has type ExternalName and so no endpoints: name the address as a member, or make a Service without selector and an EndpointSlice for it; %s",
			name, memberLeftOut)
		return nil, false
	}
	return out, c.port(field, name, ref.Port, service, out)
}

// port finds the port of the endpoints. Endpoints know ports by the name that the Service gives them.
func (c *compiler) port(field, name string, port *intstr.IntOrString, service *corev1.Service, out *model.ServiceRef) bool {
	var ports []corev1.ServicePort
	for _, p := range service.Spec.Ports {
		if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
			ports = append(ports, p)
		}
	}
	if len(service.Spec.Ports) == 0 {
		return c.endpointPort(field, name, port, out)
	}
	if port == nil {
		if len(ports) != 1 {
			c.problem(field, v1alpha1.ProblemPortNeeded, "Service %s has %d TCP ports: say which in port; %s", name, len(ports), memberLeftOut)
			return false
		}
		out.PortName = ports[0].Name
		return true
	}
	for _, p := range ports {
		if port.Type == intstr.Int && p.Port == port.IntVal || port.Type == intstr.String && p.Name == port.StrVal {
			out.PortName = p.Name
			return true
		}
	}
	c.problem(field, v1alpha1.ProblemNotFound, "Service %s has no TCP port %.20s, it has %s; %s", name, port.String(), list(ports), memberLeftOut)
	return false
}

// endpointPort is for a headless Service without ports: its endpoints have none either, so it must be a number.
func (c *compiler) endpointPort(field, name string, port *intstr.IntOrString, out *model.ServiceRef) bool {
	if port == nil || port.Type != intstr.Int || port.IntVal < 1 || port.IntVal > 65535 {
		c.problem(field, v1alpha1.ProblemPortNeeded, "Service %s names no ports: say the endpoints' port as a number in port; %s", name, memberLeftOut)
		return false
	}
	out.Port = port.IntVal
	return true
}

// list names ports for a message.
func list(ports []corev1.ServicePort) string {
	if len(ports) == 0 {
		return "none"
	}
	text := ""
	for i, p := range ports {
		switch {
		case i == 4:
			return text + fmt.Sprintf(" and %d more", len(ports)-i)
		case i > 0:
			text += ", "
		}
		text += strconv.Itoa(int(p.Port))
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
	}
	return text
}
