// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package compile turns the spec of a LoadBalancer into the model that agents carry out.
//
//	spec, Services, ReferenceGrants ──▶ model.Config and problems
//
// It is pure and total: what cannot be put in force is left out and told as a problem, and the parts beside it go
// on. Where leaving a part out would open what shall be closed (a client's certificate, a password, a list of
// addresses), what it protects is closed instead.
package compile

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

// Offset is what a listener's port differs by from the port where the process listens.
const Offset = 10000

// Input is everything that a model is made from.
type Input struct {
	Namespace, Name string
	Generation      int64
	Spec            *v1alpha1.LoadBalancerSpec
	// Services are those of References that exist; their type, clusterIP and ports are read.
	Services map[types.NamespacedName]*corev1.Service
	// Grants are the ReferenceGrants of the namespaces of References.
	Grants []*gatewayv1beta1.ReferenceGrant
}

// Output is what came of it.
type Output struct {
	// Config passes model.Validate.
	Config model.Config
	// Problems are the parts that are not in force, by field.
	Problems []v1alpha1.Problem
	// EndpointNamespaces and SecretNamespaces are other namespaces than its own that the model refers to, sorted.
	EndpointNamespaces, SecretNamespaces []string
}

// Compile makes the model.
func Compile(in Input) Output {
	c := &compiler{in: in, spec: in.Spec}
	c.config = model.Config{
		Version:        model.Version,
		Name:           in.Namespace + "/" + in.Name,
		Generation:     in.Generation,
		DrainTimeout:   c.duration("drainTimeout", in.Spec.DrainTimeout, DrainTimeout, drainBounds),
		MaxConnections: in.Spec.MaxConnections,
	}
	if in.Spec.AccessLog == v1alpha1.AccessLogJSON {
		c.config.AccessLog = model.LogJSON
	}
	c.drain()
	c.replicas()
	c.pools()
	c.listeners()
	c.routes()
	c.clean()
	slices.SortStableFunc(c.problems, func(a, b v1alpha1.Problem) int { return cmp.Compare(a.Field, b.Field) })
	out := Output{Config: c.config, Problems: slices.Compact(c.problems)}
	out.EndpointNamespaces, out.SecretNamespaces = uses(&c.config, in.Namespace)
	return out
}

// compiler is one compilation.
type compiler struct {
	in       Input
	spec     *v1alpha1.LoadBalancerSpec
	config   model.Config
	problems []v1alpha1.Problem
}

// problem tells of a part that is not in force.
func (c *compiler) problem(field, reason, format string, args ...any) {
	c.problems = append(c.problems, v1alpha1.Problem{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// drain copies the drained nodes and addresses; what is no address is left out by clean.
func (c *compiler) drain() {
	if c.spec.Drain == nil {
		return
	}
	c.config.Drain.Nodes = slices.Clone(c.spec.Drain.Nodes)
	c.config.Drain.Addresses = texts(c.spec.Drain.Addresses)
}

// replicas tells of numbers that contradict each other, or are none. What is rendered does without them.
func (c *compiler) replicas() {
	if _, err := c.spec.Pod.Resources.ResourceRequirements(); err != nil {
		c.problem("pod.resources", v1alpha1.ProblemInvalid, "%.200s; the default is used", err.Error())
	}
	s := c.spec.Scaling
	if s.MaxReplicas > 0 && s.MinReplicas > s.MaxReplicas {
		c.problem("scaling.minReplicas", v1alpha1.ProblemInvalid, "is more than maxReplicas; %d is used for both", s.MaxReplicas)
	}
}

// texts turns a list of a string type into strings.
func texts[T ~string](list []T) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = string(text)
	}
	return out
}

// uses lists the namespaces other than its own that a model refers to for endpoints and for Secrets.
func uses(config *model.Config, own string) (endpoints, secrets []string) {
	note := func(list *[]string, namespace string) {
		if namespace != own && !slices.Contains(*list, namespace) {
			*list = append(*list, namespace)
		}
	}
	for i := range config.Pools {
		for _, member := range config.Pools[i].Members {
			if member.Service != nil {
				note(&endpoints, member.Service.Namespace)
			}
		}
	}
	eachSecret(config, func(ref model.SecretRef) { note(&secrets, ref.Namespace) })
	slices.Sort(endpoints)
	slices.Sort(secrets)
	return endpoints, secrets
}

func eachSecret(config *model.Config, do func(model.SecretRef)) {
	for i := range config.Listeners {
		if tls := config.Listeners[i].TLS; tls != nil {
			for _, ref := range tls.Certificates {
				do(ref)
			}
			if tls.ClientAuth != nil {
				do(tls.ClientAuth.CA)
			}
		}
	}
	for i := range config.Pools {
		if tls := config.Pools[i].TLS; tls != nil {
			for _, ref := range []*model.SecretRef{tls.CA, tls.Certificate} {
				if ref != nil {
					do(*ref)
				}
			}
		}
	}
	for i := range config.Routes {
		if auth := config.Routes[i].BasicAuth; auth != nil {
			do(auth.Users)
		}
	}
}
