// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle holds controllers/limitpolicy/check to the code it speaks for: the LimitRanger plugin and the
// validation of k8s.io/kubernetes. It is a module of its own, so that the operator does not depend on that code.
//
// Its tests generate cases from a fixed seed and compare every verdict; `go test -run '^$' -fuzz FuzzLimitRanger`
// looks further. After a change of the operator's own requirements, run `go mod tidy` here.
package oracle
