// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testutil holds what the tests of several packages need: one control plane per test binary, a look at
// the requests on the way to the API server, and faults on that way.
package testutil
