// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const maxRequest = 4 << 10

// status is the answer to GET /status.
type status struct {
	// Version is HAProxy's, like 3.2.1.
	Version string `json:"version"`
	// Running is true while there is a master, and PID is its id.
	Running bool `json:"running"`
	PID     int  `json:"pid"`
	// Starts is how often this process started HAProxy.
	Starts int `json:"starts"`
}

// checkRequest is the body of POST /check.
type checkRequest struct {
	// Config is a file below the folder of the supervisor.
	Config string `json:"config"`
}

// checkResult is the answer to it.
type checkResult struct {
	OK bool `json:"ok"`
	// Output is what HAProxy says.
	Output string `json:"output"`
	// Failed is true where HAProxy came to no verdict.
	Failed bool `json:"failed,omitempty"`
}

func (s *supervisor) update(change func(*status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// serve answers the agent on a Unix socket until the function that it returns is called.
func (s *supervisor) serve() (func(), error) {
	path := s.path(proxySocket)
	// That of a container that was here before.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.answerStatus)
	mux.HandleFunc("POST /check", s.answerCheck)
	// There is no answer as long as this process lives: who asks learns of its end at once.
	mux.HandleFunc("GET /wait", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("Stopped answering the agent", "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}

func (s *supervisor) answerStatus(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	answer := s.status
	s.mu.Unlock()
	reply(w, answer)
}

func (s *supervisor) answerCheck(w http.ResponseWriter, r *http.Request) {
	var request checkRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		http.Error(w, fmt.Sprintf("read the request: %v", err), http.StatusBadRequest)
		return
	}
	if !filepath.IsAbs(request.Config) || !strings.HasPrefix(filepath.Clean(request.Config), s.dir+"/") {
		http.Error(w, "the configuration must be below "+s.dir, http.StatusBadRequest)
		return
	}
	reply(w, s.check(r.Context(), filepath.Clean(request.Config)))
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		slog.Error("Cannot answer the agent", "error", err)
	}
}
