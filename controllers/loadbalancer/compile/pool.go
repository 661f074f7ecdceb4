// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

const sourceTimeout = 30 * time.Minute

func (c *compiler) pools() {
	for i := range c.spec.Pools {
		c.config.Pools = append(c.config.Pools, c.pool(&c.spec.Pools[i]))
	}
}

// emptyPool answers 503, and closes a stream.
func emptyPool(name string) model.Pool {
	return model.Pool{
		Name: name, Algorithm: model.RoundRobin, MinActive: 1,
		Timeouts: model.PoolTimeouts{
			Connect: model.Duration(5 * time.Second), Response: model.Duration(time.Minute), Tunnel: model.Duration(time.Hour),
		},
	}
}

// needPool tells of a pool that is named and does not exist, and puts one without members in its place: what goes
// there must not go anywhere else.
func (c *compiler) needPool(field string, name v1alpha1.Name) {
	if c.inSpec(name) {
		return
	}
	c.problem(field, v1alpha1.ProblemNotFound, "there is no pool %s; what goes there is answered 503, or closed", name)
	if !c.hasPool(name) {
		c.config.Pools = append(c.config.Pools, emptyPool(string(name)))
	}
}

func (c *compiler) hasPool(name v1alpha1.Name) bool {
	return slices.ContainsFunc(c.config.Pools, func(p model.Pool) bool { return p.Name == string(name) })
}

func (c *compiler) pool(p *v1alpha1.Pool) model.Pool {
	field := part("pools", p.Name)
	out := model.Pool{
		Name: string(p.Name), Algorithm: model.Algorithm(cmp.Or(p.Algorithm, v1alpha1.RoundRobin)), HashHeader: string(p.HashHeader),
		MinActive: max(p.MinActive, 1), MaxConnections: p.MaxConnections,
		SlowStart: c.duration(field+".slowStart", p.SlowStart, 0, timeoutBounds),
		Timeouts: model.PoolTimeouts{
			Connect:  c.duration(field+".timeouts.connect", p.Timeouts.Connect, 5*time.Second, timeoutBounds),
			Response: c.duration(field+".timeouts.response", p.Timeouts.Response, time.Minute, timeoutBounds),
			Tunnel:   c.duration(field+".timeouts.tunnel", p.Timeouts.Tunnel, time.Hour, timeoutBounds),
		},
	}
	if p.Protocol == v1alpha1.MemberHTTP2 {
		out.Protocol = model.MemberHTTP2
	}
	switch p.ProxyProtocol {
	case v1alpha1.ProxyProtocolV1:
		out.ProxyProtocol = 1
	case v1alpha1.ProxyProtocolV2:
		out.ProxyProtocol = 2
	}
	if p.Monitor != nil {
		out.Monitor = c.monitor(field+".monitor", p.Monitor)
	}
	c.passive(field, p, &out)
	c.persistence(field+".persistence", p.Persistence, &out)
	c.queue(field+".queue", p, &out)
	for i := range p.Members {
		if member, ok := c.member(fmt.Sprintf("%s.members[%d]", field, i), &p.Members[i]); ok {
			out.Members = append(out.Members, member)
		}
	}
	if p.TLS != nil {
		var ok bool
		if out.TLS, ok = c.memberTLS(field+".tls", p.TLS); !ok {
			out.Members = nil
		}
	}
	return out
}

func (c *compiler) member(field string, m *v1alpha1.Member) (model.Member, bool) {
	out := model.Member{Weight: ptr.Deref(m.Weight, 1), Priority: m.Priority, Drain: m.Drain}
	switch {
	case m.Service != nil && m.Address != nil || m.Service == nil && m.Address == nil:
		c.problem(field, v1alpha1.ProblemInvalid, "a member has exactly one of service and address; %s", memberLeftOut)
		return out, false
	case m.Service != nil:
		var ok bool
		out.Service, ok = c.service(field+".service", m.Service)
		return out, ok
	}
	address, err := netip.ParseAddr(string(m.Address.Host))
	switch {
	case err != nil || address.Zone() != "":
		c.problem(field+".address.host", v1alpha1.ProblemInvalid, "%.50q is no IP address; %s", m.Address.Host, memberLeftOut)
		return out, false
	case reserved(address.Unmap()):
		// The same that Kubernetes refuses in EndpointSlices: they lead into the replica itself or to its node's secrets.
		c.problem(field+".address.host", v1alpha1.ProblemUnsupported,
			"%s is loopback, link-local, multicast or unspecified, and means something else in each replica; %s", m.Address.Host, memberLeftOut)
		return out, false
	}
	out.Address = &model.Address{Host: string(m.Address.Host), Port: m.Address.Port}
	return out, true
}

func reserved(address netip.Addr) bool {
	return address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsMulticast() || address.IsUnspecified()
}

func (c *compiler) monitor(field string, m *v1alpha1.Monitor) *model.Monitor {
	out := &model.Monitor{
		Type:     model.MonitorType(m.Type),
		Interval: c.duration(field+".interval", m.Interval, 2*time.Second, timeoutBounds),
		Timeout:  c.duration(field+".timeout", m.Timeout, time.Second, timeoutBounds),
		Healthy:  cmp.Or(m.HealthyThreshold, 2), Unhealthy: cmp.Or(m.UnhealthyThreshold, 3),
		Port: m.Port, GRPCService: m.GRPCService,
	}
	if m.Type == v1alpha1.MonitorHTTP {
		out.Method, out.Path, out.Host = cmp.Or(m.Method, "GET"), cmp.Or(m.Path, "/"), string(m.Host)
		out.Headers, out.Statuses, out.Body, out.BodyRegex = headers(m.Headers), slices.Clone(m.Statuses), m.Body, m.BodyRegex
	}
	return out
}

func (c *compiler) passive(field string, p *v1alpha1.Pool, out *model.Pool) {
	if p.Passive == nil {
		return
	}
	if p.Monitor == nil {
		c.problem(field+".passive", v1alpha1.ProblemUnsupported, "nothing would let a member in again that it took out: the pool needs a monitor; it is left out")
		return
	}
	out.Passive = &model.PassiveCheck{Connections: p.Passive.Observe == v1alpha1.ObserveConnections, Errors: cmp.Or(p.Passive.Errors, 10)}
}

func (c *compiler) persistence(field string, p *v1alpha1.Persistence, out *model.Pool) {
	if p == nil {
		return
	}
	byDefault := sourceTimeout
	if p.Type == v1alpha1.PersistCookie {
		byDefault = 0
	}
	out.Persistence = &model.Persistence{
		Type: model.PersistenceType(p.Type), Name: p.Name,
		Timeout: c.duration(field+".timeout", p.Timeout, byDefault, timeoutBounds),
	}
}

func (c *compiler) queue(field string, p *v1alpha1.Pool, out *model.Pool) {
	if p.Queue == nil {
		return
	}
	if p.MaxConnections == 0 {
		c.problem(field, v1alpha1.ProblemUnsupported, "nothing waits where maxConnections does not bound what a member gets; it is left out")
		return
	}
	out.MaxQueue = p.Queue.Length
	out.QueueTimeout = c.duration(field+".timeout", p.Queue.Timeout, 5*time.Second, timeoutBounds)
}

const poolEmptied = "the pool has no members, since they could not be told from others"

func (c *compiler) memberTLS(field string, t *v1alpha1.MemberTLS) (*model.MemberTLS, bool) {
	out := &model.MemberTLS{ServerName: string(t.ServerName), Insecure: t.InsecureSkipVerify}
	if t.CA != nil {
		ca, ok := c.secret(field+".ca", *t.CA, poolEmptied)
		if !ok {
			return nil, false
		}
		out.CA = &ca
	}
	if t.Certificate != nil {
		certificate, ok := c.secret(field+".certificate", *t.Certificate, "the pool has no members, since they could not tell who asks")
		if !ok {
			return nil, false
		}
		out.Certificate = &certificate
	}
	return out, true
}

func headers(list []v1alpha1.Header) []model.Header {
	var out []model.Header
	for _, h := range list {
		out = append(out, model.Header{Name: string(h.Name), Value: h.Value})
	}
	return out
}
