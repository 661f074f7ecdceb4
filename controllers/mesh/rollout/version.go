// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Name is the name of the revision that a version is installed under.
func Name(strategy Strategy, mesh, exact string) string {
	if strategy == InPlace {
		return mesh
	}
	return mesh + "-" + strings.NewReplacer(".", "-", "+", "-").Replace(exact)
}

var dashed = regexp.MustCompile(`^-[0-9]+-[0-9]+-[0-9]+($|-)`)

// Owns is that a revision has a name that the mesh gives.
func Owns(mesh, revision string) bool {
	rest, ok := strings.CutPrefix(revision, mesh)
	return ok && (rest == "" || dashed.MatchString(rest))
}

// Minors that Istio supports going up at once.
const (
	minorsCanary  = 2
	minorsInPlace = 1
)

// Step refuses an upgrade that Istio does not support, and names the way.
func Step(strategy Strategy, from, to string, available []string) error {
	if older(to, from) {
		return fmt.Errorf("%s is older than %s, which runs: to go back to an earlier release, name it in spec.rollbackTo", to, from)
	}
	if !skips(strategy, from, to) {
		return nil
	}
	most := fmt.Sprintf("strategy %s goes up %s", strategy, minors(strategy))
	if via := newest(available, func(v string) bool { return older(from, v) && older(v, to) && !skips(strategy, from, v) }); via != "" {
		return fmt.Errorf("from %s to %s is too far, %s at a time: set spec.version to %s first", from, to, most, via)
	}
	if strategy != Canary && !skips(Canary, from, to) {
		return fmt.Errorf("from %s to %s is too far, %s at a time: set spec.upgrade.strategy to Canary", from, to, most)
	}
	return fmt.Errorf("from %s to %s is too far, %s at a time, and the catalogue has no version between them", from, to, most)
}

func minors(strategy Strategy) string {
	if strategy == InPlace {
		return "one minor"
	}
	return "two minors"
}

// skips is that an upgrade goes up further than Istio supports.
func skips(strategy Strategy, from, to string) bool {
	most := uint(minorsCanary)
	if strategy == InPlace {
		most = minorsInPlace
	}
	a, b := parse(from), parse(to)
	return a.Major() != b.Major() || b.Minor() > a.Minor()+most
}

// parse takes a version that was checked when it came into the catalogue; anything else is older than all of them.
func parse(text string) *version.Version {
	if v, err := version.ParseGeneric(text); err == nil {
		return v
	}
	return version.MustParseGeneric("0.0.0")
}

func older(a, b string) bool { return parse(a).LessThan(parse(b)) }

// floating is a version that names a minor, whose newest patch is meant.
func floating(text string) bool { return strings.Count(text, ".") == 1 }

func sameMinor(a, b string) bool {
	x, y := parse(a), parse(b)
	return x.Major() == y.Major() && x.Minor() == y.Minor()
}

// newest is the newest of the versions that fit, or empty.
func newest(versions []string, fits func(string) bool) string {
	best := ""
	for _, v := range versions {
		if fits(v) && (best == "" || older(best, v)) {
			best = v
		}
	}
	return best
}
