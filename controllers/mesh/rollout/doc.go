// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout decides how a mesh gets from what runs to what its spec asks for: which revisions of istiod are
// installed, which one each member namespace names, and which workloads restart now.
//
// It is pure: Decide takes what was observed, what was persisted and the time, and answers. Nothing is remembered between
// two looks, so an operator that is killed anywhere goes on where it was.
//
//	         spec asks for another release
//	Idle ───────────────────────────────────▶ Installing   the new istiod beside the old one, or in its place
//	 ▲                                            │ rolled out, webhook answers, a dry-run pod is injected
//	 │   every namespace moved and healthy        ▼
//	 ├──────────────────────────────────────── Moving      namespaces in batches: label, restart, health
//	 │                                            │ no progress within the deadline (of Installing, too)
//	 │   all are back                             ▼
//	 └── until the spec changes ◀────────── RollingBack    to the last good release, once; or Held, where it stands
//
// The strategies differ in nothing but the name of the revision: Canary puts the version into it, so a new version is a new
// istiod beside the old one; InPlace does not. What is no longer wanted stays installed until no namespace names it and no
// proxy runs that it made.
package rollout
