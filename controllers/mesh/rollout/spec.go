// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Spec is the part of a Mesh's spec that its rollout follows, resolved.
type Spec struct {
	// Mesh is the name of the Mesh.
	Mesh string
	// Version is spec.version as it is written: "1.31" or "1.31.0".
	Version string
	// Resolved is the exact version that the catalogue gives for it today, or empty, and then Refused says why.
	Resolved, Refused string
	// Available are all exact versions that could be installed on this cluster today.
	Available []string
	// Source names the settings of the spec: the ControllerRevision to render from.
	Source string
	// RollbackTo is what spec.rollbackTo names, found in the history. It wins over everything else.
	RollbackTo *Rollback

	Strategy         Strategy
	Automatic        Automatic
	OnFailure        OnFailure
	ProgressDeadline time.Duration
	Windows          []Window
	// BatchSize is how many namespaces move or restart at a time; at least one.
	BatchSize        int
	RestartWorkloads bool
	// Retry is any text: another one is another try of what failed.
	Retry string
}

// Rollback is a release of the history.
type Rollback struct {
	Number          int64
	Version, Source string
}

// Strategy is how a new version is brought in.
type Strategy string

// Automatic is which new versions of the catalogue are followed when spec.version is a minor. An exact version is that version.
type Automatic string

// OnFailure is what is done with a release that makes no progress.
type OnFailure string

// The values are those of the API.
const (
	Canary  Strategy = "Canary"
	InPlace Strategy = "InPlace"

	AutomaticNone  Automatic = "None"
	AutomaticPatch Automatic = "Patch"
	AutomaticMinor Automatic = "Minor"

	FailureRollback OnFailure = "Rollback"
	FailureHold     OnFailure = "Hold"
)

// attempt tells whether the spec has changed since something failed: only what could make it succeed counts, not a
// namespace selector or a gateway.
func (s *Spec) attempt() string {
	text := fmt.Sprintf("%q %q %q %q %s %q", s.Version, s.Source, s.Strategy, s.OnFailure, s.ProgressDeadline, s.Retry)
	if s.RollbackTo != nil {
		text += fmt.Sprintf(" to %d", s.RollbackTo.Number)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func (s *Spec) batch() int { return max(s.BatchSize, 1) }
