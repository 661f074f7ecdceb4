// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import "testing"

func TestMounted(t *testing.T) {
	if !mounted("/proc") {
		t.Error("nothing is mounted at /proc")
	}
	if folder := t.TempDir(); mounted(folder) {
		t.Errorf("something is mounted at %s", folder)
	}
}
