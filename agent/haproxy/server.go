// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Servers gives the servers of every backend, by its name, sorted by their names.
func (s *Structure) Servers(endpoints Endpoints) map[string][]Server {
	out := make(map[string][]Server, len(s.Backends))
	for i := range s.Backends {
		out[s.Backends[i].Name] = s.Backends[i].servers(endpoints)
	}
	return out
}

// ServersOf gives the servers only of backends that use one of the services.
func (s *Structure) ServersOf(services map[model.ServiceRef]bool, endpoints Endpoints) map[string][]Server {
	out := map[string][]Server{}
	for i := range s.Backends {
		if s.Backends[i].uses(services) {
			out[s.Backends[i].Name] = s.Backends[i].servers(endpoints)
		}
	}
	return out
}

func (b *Backend) uses(services map[model.ServiceRef]bool) bool {
	return slices.ContainsFunc(b.group.members, func(i int) bool {
		service := b.pool.Members[i].Service
		return service != nil && services[*service]
	})
}

func (b *Backend) servers(endpoints Endpoints) []Server {
	var out []Server
	var weights []int32
	at := map[string]int{}
	add := func(member *model.Member, endpoint Endpoint) {
		address, err := netip.ParseAddr(endpoint.Address)
		if err != nil || address.Zone() != "" || endpoint.Port < 1 || endpoint.Port > 65535 {
			return
		}
		server := Server{Address: address.String(), Port: endpoint.Port, State: socket.Ready}
		server.Name = server.Address + "_" + strconv.Itoa(int(endpoint.Port))
		if member.Drain || endpoint.Draining || drains(b.cfg.Drain, server.Address) ||
			endpoint.Node != "" && slices.Contains(b.cfg.Drain.Nodes, endpoint.Node) {
			server.State = socket.Drain
		}
		i, again := at[server.Name]
		if !again {
			i = len(out)
			at[server.Name] = i
			out, weights = append(out, server), append(weights, 0)
		}
		// Two members may name one address: it has both shares, and drains only if both do.
		if server.State == socket.Ready {
			out[i].State = socket.Ready
		}
		weights[i] += member.Weight
	}
	for _, i := range b.group.members {
		member := &b.pool.Members[i]
		if member.Address != nil {
			add(member, Endpoint{Address: member.Address.Host, Port: member.Address.Port})
			continue
		}
		for _, endpoint := range unique(endpoints[*member.Service]) {
			if endpoint.Serving {
				// How a Service's weight compares to others is not the matter of its endpoints, which are equal.
				add(&model.Member{Weight: min(member.Weight, 1), Drain: member.Drain}, endpoint)
			}
		}
	}
	for i, weight := range scaleWeights(weights) {
		out[i].Weight = weight
	}
	slices.SortFunc(out, func(a, b Server) int { return cmp.Compare(a.Name, b.Name) })
	b.parameters(out)
	return out
}

// unique keeps one of several endpoints with the same address and port: one that drains gives way to one that does not.
func unique(endpoints []Endpoint) []Endpoint {
	type key struct {
		address string
		port    int32
	}
	at := make(map[key]int, len(endpoints))
	out := make([]Endpoint, 0, len(endpoints))
	for _, endpoint := range endpoints {
		if !endpoint.Serving {
			continue
		}
		of := key{endpoint.Address, endpoint.Port}
		i, again := at[of]
		switch {
		case !again:
			at[of] = len(out)
			out = append(out, endpoint)
		case out[i].Draining && !endpoint.Draining:
			out[i] = endpoint
		}
	}
	return out
}

// drains reports whether an address is drained by its name in the model.
func drains(drain model.Drain, address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(drain.Addresses, func(one string) bool {
		other, err := netip.ParseAddr(one)
		return err == nil && other == parsed
	})
}

// idBits are how many bits of a server's id count in HAProxy's consistent hashes: it multiplies the id by 4096 in 32 bits.
const idBits = 20

// parameters gives each server its own params. The id is made of the name, so that hashes put a server in the same place
// in every replica, after a reload, and whatever order servers came in.
func (b *Backend) parameters(servers []Server) {
	taken := make(map[uint32]bool, len(servers))
	for i := range servers {
		hash := fnv.New32a()
		// A hash takes every write.
		_, _ = hash.Write([]byte(servers[i].Name))
		id := hash.Sum32()%(1<<idBits-1) + 1
		for taken[id] {
			id = id%(1<<idBits-1) + 1
		}
		taken[id] = true
		servers[i].Params = append([]string{"id", strconv.FormatUint(uint64(id), 10)}, b.params...)
	}
}
