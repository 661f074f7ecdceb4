// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairlead/fairlead/agent/driver"
)

// askTimeout bounds one question to HAProxy.
const askTimeout = time.Second

// server answers the kubelet and Prometheus.
type server struct{ http http.Server }

func newServer(address string, d *driver.Driver, m *metrics) *server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context(), d); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return &server{http: http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
}

// ready is nil while HAProxy serves what it should: the newest model, or the last good one where the newest is refused or
// the API server cannot be asked. While a newer model is on its way into force, the one before still counts: all
// replicas get it at the same time.
func ready(ctx context.Context, d *driver.Driver) error {
	s := d.Status()
	if s.Model == "" && !s.Restored {
		if s.Refused != "" {
			return errors.New("the model is refused, and there is none that was in force before")
		}
		return errors.New("no model is in force yet")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := d.Alive(ctx); err != nil {
		return fmt.Errorf("HAProxy does not answer: %w", err)
	}
	return nil
}

func (s *server) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
	})
	defer stop()
	if err := s.http.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
