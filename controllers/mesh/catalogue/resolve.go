// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package catalogue

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"
)

// Reason says why a version cannot be had.
type Reason string

// The reasons.
const (
	Unknown    Reason = "Unknown"
	EndOfLife  Reason = "EndOfLife"
	Kubernetes Reason = "Kubernetes"
)

// Refusal is the error of a version that cannot be had.
type Refusal struct {
	Reason Reason
	// Want is what was asked for.
	Want string
	// Detail says why, without the list of what is possible.
	Detail string
	// Possible are the versions that can be had, newest first.
	Possible []string
}

func (r *Refusal) Error() string {
	if len(r.Possible) == 0 {
		return r.Detail + "; no version is possible here"
	}
	return r.Detail + "; possible are " + strings.Join(r.Possible, ", ")
}

var minorName = regexp.MustCompile(`^\d+\.\d+$`)

// Resolve finds what a person asks for: an exact version, or a minor one, which is its newest release. kubernetes is the cluster's
// version, like v1.37.2. A version that is past its life is taken only where allowEndOfLife says so. The error is a *Refusal.
func (c *Catalogue) Resolve(want, kubernetes string, now time.Time, allowEndOfLife bool) (Entry, error) {
	entries := c.Entries()
	slices.Reverse(entries)
	var possible []string
	var first *Refusal
	var found *Entry
	for _, e := range entries {
		refused := e.refuse(kubernetes, now, allowEndOfLife)
		if refused == nil {
			possible = append(possible, e.Version.String())
		}
		if !matches(want, e.Version) || found != nil {
			continue
		}
		switch {
		case refused == nil:
			found = &e
		case first == nil:
			first = refused
		}
	}
	if found != nil {
		return *found, nil
	}
	if first == nil {
		detail := append([]string{fmt.Sprintf("Istio %s is not in the catalogue", want)}, c.absences()...)
		first = &Refusal{Reason: Unknown, Detail: strings.Join(detail, "; ")}
	}
	first.Want, first.Possible = want, possible
	return Entry{}, first
}

// matches says whether a version is what was asked for. Test releases have to be asked for by their whole name.
func matches(want string, v Version) bool {
	if minorName.MatchString(want) {
		return v.MinorName() == want && v.Pre == ""
	}
	return v.String() == want
}

func (e Entry) refuse(kubernetes string, now time.Time, allowEndOfLife bool) *Refusal {
	if e.Dead(now) && !allowEndOfLife {
		return &Refusal{Reason: EndOfLife, Detail: fmt.Sprintf("Istio %s is past its life since %s", e.Version, e.EndOfLife.Format(time.DateOnly))}
	}
	have, err := version.ParseGeneric(kubernetes)
	if err != nil {
		return &Refusal{Reason: Kubernetes, Detail: fmt.Sprintf("the cluster's version %q is none that is known", kubernetes)}
	}
	if have.LessThan(version.MustParseGeneric(e.MinKubernetes)) {
		return &Refusal{Reason: Kubernetes, Detail: fmt.Sprintf("Istio %s needs Kubernetes %s, and this is %s", e.Version, e.MinKubernetes, kubernetes)}
	}
	return nil
}
