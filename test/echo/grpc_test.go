// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestGRPCHealth(t *testing.T) {
	s, _ := start(t, nil)
	connection, err := grpc.NewClient(s.addresses()["http"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	for _, unhealthy := range []bool{false, true} {
		s.unhealthy.Store(unhealthy)
		answer, err := healthpb.NewHealthClient(connection).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		want := healthpb.HealthCheckResponse_SERVING
		if unhealthy {
			want = healthpb.HealthCheckResponse_NOT_SERVING
		}
		if answer.Status != want {
			t.Errorf("unhealthy=%v answers %v; want %v", unhealthy, answer.Status, want)
		}
	}
}
