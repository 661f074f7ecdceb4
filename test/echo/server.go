// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// drainTimeout bounds how long requests may take after the shutdown began; a pod has 30 seconds by default.
	drainTimeout  = 10 * time.Second
	headerTimeout = 10 * time.Second
)

// server is all listeners of one process.
type server struct {
	config
	listeners map[string]net.Listener
	http      *http.Server
	tcp       tcpServer

	unhealthy atomic.Bool
	draining  atomic.Bool
	// sockets are the WebSockets that are open: http.Server does not wait for them.
	sockets    sync.WaitGroup
	endSockets context.CancelFunc
}

// listen opens the listeners; nothing is served before serve.
func listen(c config) (*server, error) {
	s := &server{config: c, listeners: map[string]net.Listener{}}
	for kind, addr := range map[string]string{"http": c.http, "https": c.https, "tcp": c.tcp} {
		if addr == "" {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("listen for %s: %w", kind, err)
		}
		if c.proxyProtocol {
			// Probes of the kubelet come without a header.
			use := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.USE, nil }
			l = &proxyproto.Listener{Listener: l, ConnPolicy: use}
		}
		s.listeners[kind] = l
	}
	tlsConfig, err := s.tlsConfig()
	if err != nil {
		s.closeListeners()
		return nil, err
	}
	s.http = s.httpServer(tlsConfig)
	s.tcp = tcpServer{name: c.name, showRemote: c.proxyProtocol}
	return s, nil
}

func (s *server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// addresses are those that the listeners have, by kind.
func (s *server) addresses() map[string]string {
	addresses := map[string]string{}
	for kind, l := range s.listeners {
		addresses[kind] = l.Addr().String()
	}
	return addresses
}

func (s *server) httpServer(tlsConfig *tls.Config) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	socketContext, cancel := context.WithCancel(context.Background())
	s.endSockets = cancel
	return &http.Server{
		Handler:           s.handler(socketContext),
		TLSConfig:         tlsConfig,
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
	}
}

// serve returns when the context is done and what was under way is finished, or when a listener fails.
func (s *server) serve(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	for kind, l := range s.listeners {
		go func() {
			var err error
			switch kind {
			case "http":
				err = s.http.Serve(l)
			case "https":
				err = s.http.ServeTLS(l, "", "")
			case "tcp":
				err = s.tcp.serve(l)
			}
			failed <- fmt.Errorf("serve %s: %w", kind, err)
		}()
	}
	select {
	case err := <-failed:
		return errors.Join(err, s.shutdown())
	case <-ctx.Done():
	}
	s.draining.Store(true)
	time.Sleep(s.delayShutdown)
	return s.shutdown()
}

func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if l := s.listeners["tcp"]; l != nil {
		_ = l.Close()
	}
	s.endSockets()
	err := s.http.Shutdown(ctx)
	finished := make(chan struct{})
	go func() {
		s.sockets.Wait()
		s.tcp.drain()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("some connections did not end within %s: %w", drainTimeout, err)
	}
	return nil
}
