// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// answer is the JSON of a request.
type answer struct {
	Name      string      `json:"name"`
	Proto     string      `json:"proto"`
	Method    string      `json:"method"`
	Host      string      `json:"host"`
	Path      string      `json:"path"`
	Query     url.Values  `json:"query"`
	Headers   http.Header `json:"headers"`
	Remote    string      `json:"remote"`
	TLS       *answerTLS  `json:"tls,omitempty"`
	BodyBytes int64       `json:"bodyBytes"`
}

// answerTLS is there for HTTPS only.
type answerTLS struct {
	SNI  string `json:"sni"`
	ALPN string `json:"alpn"`
	// ClientCN is the common name of the client's certificate, which nobody verified.
	ClientCN string `json:"clientCN"`
}

func (s *server) handler(socketContext context.Context) http.Handler {
	socket := s.webSocket(socketContext)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo-Name", s.name)
		// No http.ServeMux: it answers paths like //a/../b by a redirect instead of telling what arrived.
		switch r.Method + " " + r.URL.Path {
		case "GET /healthz":
			s.healthz(w)
		case "POST /healthy":
			s.setUnhealthy(w, false)
		case "POST /unhealthy":
			s.setUnhealthy(w, true)
		case "GET /ws":
			socket(w, r)
		case "POST /grpc.health.v1.Health/Check":
			s.grpcHealth(w, r)
		default:
			s.echo(w, r)
		}
	})
}

func (s *server) healthz(w http.ResponseWriter) {
	switch {
	case s.draining.Load():
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	case s.unhealthy.Load():
		http.Error(w, "told to be unhealthy", http.StatusServiceUnavailable)
	default:
		_, _ = io.WriteString(w, "ok\n")
	}
}

func (s *server) setUnhealthy(w http.ResponseWriter, value bool) {
	s.unhealthy.Store(value)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) echo(w http.ResponseWriter, r *http.Request) {
	k, err := parseKnobs(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, "read the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	burn(r.Context(), k.burn)
	if !sleep(r.Context(), k.delay) {
		return
	}
	switch {
	case k.chunks > 0:
		k.stream(w, r, s.name)
	case k.size > 0:
		k.fill(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(k.status)
		_ = json.NewEncoder(w).Encode(s.describe(r, n))
	}
}

func (s *server) describe(r *http.Request, bodyBytes int64) answer {
	a := answer{
		Name: s.name, Proto: r.Proto, Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.Query(),
		Headers: r.Header, Remote: r.RemoteAddr, BodyBytes: bodyBytes,
	}
	if r.TLS != nil {
		a.TLS = &answerTLS{SNI: r.TLS.ServerName, ALPN: r.TLS.NegotiatedProtocol}
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			a.TLS.ClientCN = certs[0].Subject.CommonName
		}
	}
	return a
}
