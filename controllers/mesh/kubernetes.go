// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
)

// versionAge is how long an answer of the API server about its version stands. It may be upgraded while we run.
const versionAge = 5 * time.Minute

// kubernetes is the version of the cluster. It is safe for concurrent use.
type kubernetes struct {
	client discovery.ServerVersionInterface

	mu    sync.Mutex
	known string
	at    time.Time
}

// version is like v1.37.2. An answer that is old stands for as long as there is no other.
func (k *kubernetes) version() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known != "" && time.Since(k.at) < versionAge {
		return k.known, nil
	}
	answer, err := k.client.ServerVersion()
	switch {
	case err == nil:
		k.known, k.at = answer.GitVersion, time.Now()
	case k.known == "":
		return "", fmt.Errorf("ask for the version of the cluster: %w", err)
	}
	return k.known, nil
}
