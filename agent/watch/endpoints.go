// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
)

// namespace is the EndpointSlices of one.
type namespace struct {
	*source
	// slices are by service and name.
	slices map[string]map[string]*discoveryv1.EndpointSlice
}

func (w *Watcher) watchNamespace(id string) *namespace {
	n := &namespace{slices: map[string]map[string]*discoveryv1.EndpointSlice{}}
	n.source = &source{
		what: "EndpointSlices in " + id, lists: endpointSlices(w.opts.Client, id), object: &discoveryv1.EndpointSlice{},
		trim: func(object any) (any, error) { return w.trimSlice(object), nil },
		changed: func(old, object any) {
			at := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, service := range n.take(old, object) {
				w.serviceChanged(name{id, service}, at)
			}
		},
	}
	w.start(w.ctx, n.source)
	return n
}

// take takes over a slice, and gives the services that it belongs to and belonged to.
func (n *namespace) take(old, object any) []string {
	var services []string
	if before, is := old.(*discoveryv1.EndpointSlice); is {
		service := before.Labels[discoveryv1.LabelServiceName]
		delete(n.slices[service], before.Name)
		if len(n.slices[service]) == 0 {
			delete(n.slices, service)
		}
		services = append(services, service)
	}
	if slice, is := object.(*discoveryv1.EndpointSlice); is {
		service := slice.Labels[discoveryv1.LabelServiceName]
		if n.slices[service] == nil {
			n.slices[service] = map[string]*discoveryv1.EndpointSlice{}
		}
		n.slices[service][slice.Name] = slice
		if !slices.Contains(services, service) {
			services = append(services, service)
		}
	}
	return services
}

// serviceChanged hands on endpoints. Before the namespace is known as a whole, what is there is not all.
func (w *Watcher) serviceChanged(service name, at time.Time) {
	namespace := w.namespaces[service.namespace]
	if namespace == nil || namespace.state() != known {
		return
	}
	w.handEndpoints(service, at)
	if service == (name{w.opts.Namespace, w.opts.Object}) && w.input != nil && w.input.Model != nil && limited(w.input.Model) {
		w.peersChanged()
	}
}

func (w *Watcher) handEndpoints(service name, at time.Time) {
	namespace := w.namespaces[service.namespace]
	if namespace == nil {
		return
	}
	for _, ref := range w.refs[service] {
		w.sink.SetEndpoints(ref, endpoints(ref, namespace.slices[service.name]), at)
	}
}

// endpoints are those of a port, in order. Where none is ready, those that end and still serve stand in.
func endpoints(ref model.ServiceRef, all map[string]*discoveryv1.EndpointSlice) []haproxy.Endpoint {
	out := []haproxy.Endpoint{}
	ready := false
	for _, slice := range all {
		port := portOf(ref, slice)
		if port == 0 || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for i := range slice.Endpoints {
			one := &slice.Endpoints[i]
			endpoint := haproxy.Endpoint{Port: port, Serving: true}
			switch conditions := one.Conditions; {
			case is(conditions.Ready, true):
				ready = true
			case is(conditions.Terminating, false) && is(conditions.Serving, false):
				endpoint.Draining = true
			default:
				continue
			}
			if one.NodeName != nil {
				endpoint.Node = *one.NodeName
			}
			if len(one.Addresses) > 0 {
				// All of one endpoint are the same; more than one is for others.
				endpoint.Address = one.Addresses[0]
				out = append(out, endpoint)
			}
		}
	}
	for i := range out {
		out[i].Draining = out[i].Draining && ready
	}
	slices.SortFunc(out, func(a, b haproxy.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return out
}

// is reads a condition, which has a meaning where it is not set.
func is(condition *bool, unset bool) bool {
	if condition == nil {
		return unset
	}
	return *condition
}

// portOf is the port of endpoints, 0 for a slice that does not have it.
func portOf(ref model.ServiceRef, slice *discoveryv1.EndpointSlice) int32 {
	if len(slice.Ports) == 0 {
		return ref.Port
	}
	for i := range slice.Ports {
		port := &slice.Ports[i]
		tcp := port.Protocol == nil || *port.Protocol == corev1.ProtocolTCP
		if name := port.Name; tcp && port.Port != nil && (name == nil && ref.PortName == "" || name != nil && *name == ref.PortName) {
			return *port.Port
		}
	}
	return 0
}

// trimSlice keeps what endpoints needs; whose pod it is matters for the replicas only.
func (w *Watcher) trimSlice(object any) any {
	slice, is := object.(*discoveryv1.EndpointSlice)
	if !is {
		return object
	}
	out := &discoveryv1.EndpointSlice{ObjectMeta: trimMeta(slice.ObjectMeta), AddressType: slice.AddressType}
	own := slice.Namespace == w.opts.Namespace && slice.Labels[discoveryv1.LabelServiceName] == w.opts.Object
	for _, port := range slice.Ports {
		port.AppProtocol = nil
		out.Ports = append(out.Ports, port)
	}
	out.Endpoints = make([]discoveryv1.Endpoint, 0, len(slice.Endpoints))
	for i := range slice.Endpoints {
		one := &slice.Endpoints[i]
		kept := discoveryv1.Endpoint{Addresses: one.Addresses, Conditions: one.Conditions, NodeName: one.NodeName}
		if own && one.TargetRef != nil {
			kept.TargetRef = &corev1.ObjectReference{Kind: one.TargetRef.Kind, Name: one.TargetRef.Name}
		}
		out.Endpoints = append(out.Endpoints, kept)
	}
	return out
}

// peersChanged hands on the replicas when they have been the same ones for a while.
func (w *Watcher) peersChanged() {
	if slices.Equal(w.readPeers(), w.peers) {
		return
	}
	if w.peersTimer == nil {
		w.peersTimer = time.AfterFunc(peersQuiet, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.peersTimer = nil
			w.peers = w.readPeers()
			w.settle()
		})
		return
	}
	w.peersTimer.Reset(peersQuiet)
}

// peersNow are the replicas as they were handed on last.
func (w *Watcher) peersNow() []haproxy.Peer {
	if w.peers == nil {
		w.peers = w.readPeers()
	}
	return w.peers
}

// readPeers are the pods behind the load balancer's own Service, and this one whether it is there or not.
func (w *Watcher) readPeers() []haproxy.Peer {
	peers := []haproxy.Peer{{Name: w.opts.Pod, Address: w.opts.Address}}
	self, err := netip.ParseAddr(w.opts.Address)
	namespace := w.namespaces[w.opts.Namespace]
	if err != nil || namespace == nil {
		return peers
	}
	for _, slice := range namespace.slices[w.opts.Object] {
		for i := range slice.Endpoints {
			one := &slice.Endpoints[i]
			if one.TargetRef == nil || one.TargetRef.Kind != "Pod" || len(one.Addresses) == 0 {
				continue
			}
			address, err := netip.ParseAddr(one.Addresses[0])
			same := func(p haproxy.Peer) bool { return p.Name == one.TargetRef.Name }
			if err == nil && address.Is4() == self.Is4() && !slices.ContainsFunc(peers, same) {
				peers = append(peers, haproxy.Peer{Name: one.TargetRef.Name, Address: address.String()})
			}
		}
	}
	slices.SortFunc(peers, func(a, b haproxy.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}
