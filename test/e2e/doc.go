// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Fairlead on a cluster whose pods run, installed there as users install it. The tests need the build
// tag e2e; "make e2e" brings the cluster, the images and the operator.
package e2e
