// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backoff spaces the retries of one request in a queue.
package backoff

import (
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	first = 50 * time.Millisecond
	last  = time.Minute
	// jitter is the most that is added to a delay, as a share of it: what failed together does not come back together.
	jitter = 0.5
)

// Limiter doubles the delay of each request that fails, from 50 ms to a minute, with jitter. Requests do
// not slow each other down.
func Limiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return jittered{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](first, last)}
}

type jittered struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

// When implements workqueue.TypedRateLimiter.
func (j jittered) When(request reconcile.Request) time.Duration {
	return wait.Jitter(j.TypedRateLimiter.When(request), jitter)
}
