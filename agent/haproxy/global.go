// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
)

// Names of files and ports of the process itself.
const (
	// AdminSocket is HAProxy's runtime socket, and StateFile what keeps the health of members over a reload; both in Options.Dir.
	AdminSocket = "admin.sock"
	StateFile   = "server-state"

	defaultHealthPort = 8404
	defaultPeersPort  = 8405
	// localPeer is the name of a replica that has none.
	localPeer = "local"
	// logLength takes a line of the access log at its longest.
	logLength = 16384
)

// Ciphers for clients up to TLS 1.2 where a listener names none: forward secrecy and authenticated encryption only.
const (
	defaultCiphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
		"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
	defaultCipherSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
)

// global writes what concerns the process.
func (b *builder) global(w *config.Writer) {
	w.Section("global", "")
	w.Line("log stdout", config.Raw("len"), config.Int(logLength), config.Raw("format raw local0"))
	w.Line("stats socket", config.Word(b.file(AdminSocket)), config.Raw("mode 600 level admin expose-fd listeners"))
	w.Line("server-state-file", config.Word(b.file(StateFile)))
	w.Line("localpeer", config.Word(b.self()))
	w.Line("hard-stop-after", config.Millis(b.cfg.DrainTimeout.Std()))
	if b.options.Threads > 0 {
		w.Line("nbthread", config.Int(b.options.Threads))
	}
	if b.cfg.MaxConnections > 0 {
		w.Line("maxconn", config.Int(b.cfg.MaxConnections))
	}
	// A machine with fewer file descriptors than the connections need serves what it can.
	w.Line("no strict-limits")
	w.Line("no insecure-fork-wanted")
	w.Line("tune.ssl.default-dh-param 2048")
	w.Line("ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets")
	w.Line("ssl-default-bind-ciphers", config.Word(defaultCiphers))
	w.Line("ssl-default-bind-ciphersuites", config.Word(defaultCipherSuites))
}

// defaults writes what holds for all sections that say nothing else.
func (b *builder) defaults(w *config.Writer) {
	w.Section("defaults", "")
	w.Line("mode http")
	w.Line("log global")
	w.Line("load-server-state-from-file global")
	w.Line("timeout connect 5s")
	w.Line("timeout client 60s")
	w.Line("timeout server 60s")
	w.Line("timeout http-request 10s")
	w.Line("timeout client-fin 10s")
	w.Line("timeout server-fin 10s")
}

// self is the replica's own name among the peers.
func (b *builder) self() string {
	if b.options.Self == "" {
		return localPeer
	}
	return b.options.Self
}

// peers are all replicas by name, this one among them.
func (b *builder) peers() []Peer {
	peers := slices.Clone(b.options.Peers)
	if !slices.ContainsFunc(peers, func(p Peer) bool { return p.Name == b.self() }) {
		peers = append(peers, Peer{Name: b.self(), Address: "127.0.0.1"})
	}
	slices.SortFunc(peers, func(p, q Peer) int { return strings.Compare(p.Name, q.Name) })
	return peers
}

// peersLines writes the section of replicas. It is there also for one alone: a process that a reload replaces teaches its
// tables to the next.
func (b *builder) peersLines(w *config.Writer) {
	port := b.options.PeersPort
	if port == 0 {
		port = defaultPeersPort
	}
	w.Section("peers", peersSection)
	for _, peer := range b.peers() {
		w.Line("peer", config.Word(peer.Name), config.Word(net.JoinHostPort(peer.Address, strconv.Itoa(int(port)))))
	}
}

// health writes what the kubelet and Prometheus ask.
func (b *builder) health(w *config.Writer) {
	port := b.options.HealthPort
	if port == 0 {
		port = defaultHealthPort
	}
	w.Section("frontend", "health")
	w.Line("bind", config.Raw(b.bind(port)))
	w.Line("no log")
	w.Line("option idle-close-on-response")
	w.Line("http-request return status 200 content-type text/plain string ok if { path /healthz }")
	if !b.options.NoExporter {
		w.Line("http-request use-service prometheus-exporter if { path /metrics }")
	}
	w.Line("http-request deny deny_status 404")
}
