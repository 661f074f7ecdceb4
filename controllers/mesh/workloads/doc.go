// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloads knows the pods of the cluster and what owns them, as far as a rollout asks: which proxies run, whether
// their workloads are healthy, and which budgets protect them. It also restarts workloads.
//
//	API server ──▶ informers ──▶ trim ──▶ store ──▶ observe (pure) ──▶ rollout.Workload
//	     ▲                                  │
//	     └──── Restart, as it was seen ◀────┴──▶ changed, gathered
//
// Objects are cut down to a few words before they are stored, and an informer starts with the first question that needs it.
package workloads
