// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply makes the cluster equal to a complete desired set of objects and tells what it did.
//
// Per object it keeps the expected state: the server's own answer to the last write, defaults and
// allocated values included. A watch event that differs from it is drift, and the repair is one JSON
// merge patch from live to expected that carries the object's UID. Nothing is sent while live and
// expected agree.
//
// The flow for one object:
//
//	observe ──▶ own? ──▶ expect ──▶ carry exemptions ──▶ diff ──▶ write ──▶ learn the answer
package apply
