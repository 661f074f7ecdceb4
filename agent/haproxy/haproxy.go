// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package haproxy turns the model of a load balancer into what HAProxy has to hold: the structure of its config, which
// only a reload changes, and the servers, maps and certificates, which change while it runs. It is pure: no files, no
// sockets, no clock; the same input gives the same bytes.
//
//	model.Config + Secrets ──Build──▶ Structure ──Text(servers)──▶ config file
//	Structure + Endpoints ──Servers──▶ servers of each backend
package haproxy

import (
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// Options are what the machine decides.
type Options struct {
	// Dir is the folder of HAProxy's files, the same for the one who writes and the one who reads them.
	Dir string
	// Version is HAProxy's, like 2.6 or 3.2.
	Version Version
	// Threads is how many HAProxy runs; 0 leaves it to HAProxy.
	Threads int
	// Peers are the replicas' addresses for rate limits that are counted together, with Self among them by name.
	Peers []Peer
	Self  string
	// Without are fields to refuse, like routes[api], pools[web] or listeners[https], because HAProxy does not take them.
	Without map[string]bool
	// IPv4Only is for a machine without IPv6.
	IPv4Only bool
	// HealthPort serves /healthz and /metrics, PeersPort what replicas exchange; 0 for 8404 and 8405.
	HealthPort, PeersPort int32
	// NoExporter is for a HAProxy that was built without its exporter for Prometheus.
	NoExporter bool
}

// Version is a release of HAProxy.
type Version struct{ Major, Minor int }

// AtLeast compares releases.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Peer is another replica of the same load balancer.
type Peer struct {
	// Name is that of the pod.
	Name    string
	Address string
}

// Secrets holds the data of the Secrets that a model names; one that is missing is not in it.
type Secrets map[model.SecretRef]map[string][]byte

// Endpoints are what serves behind the ports of Services.
type Endpoints map[model.ServiceRef][]Endpoint

// Endpoint is one address behind a Service, of one port.
type Endpoint struct {
	Address string
	Port    int32
	// Serving is false for one that must not get requests at all; Draining is true for one that ends and gets no new ones.
	Serving, Draining bool
	Node              string
}

// Refusal is a part of the model that could not be put in force. The parts beside it are.
type Refusal struct {
	// Field names it as the source's user knows it, like routes[api].basicAuth.users.
	Field string
	// Reason is one word in PascalCase, Message one sentence without secrets.
	Reason, Message string
}

// Server is one member's endpoint in a backend.
type Server struct {
	// Name is unique in the backend and made of the address and port.
	Name    string
	Address string
	Port    int32
	// Weight is 0 to 256.
	Weight int
	State  socket.State
	// Params are the other arguments of the server, one word each, as "add server" takes them at run time.
	Params []string
}

// Certificate is a line of a certificate list.
type Certificate struct {
	// Path is that of the PEM file, and its name on the socket.
	Path string
	// Options stand in brackets behind the path, one word each; Names are the server names that it is picked by, empty for those in it.
	Options, Names []string
}
