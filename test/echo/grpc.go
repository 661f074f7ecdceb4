// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
)

// grpcHealth answers grpc.health.v1.Health/Check for every service: a message of one field, status, that is 1 for
// SERVING and 2 for NOT_SERVING.
func (s *server) grpcHealth(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	status := byte(1)
	if s.draining.Load() || s.unhealthy.Load() {
		status = 2
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	// Not compressed, length 2, field 1 as a varint.
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 0x08, status})
	w.Header().Set("Grpc-Status", "0")
}
