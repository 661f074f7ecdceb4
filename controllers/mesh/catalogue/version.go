// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package catalogue

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Version is a release of Istio, like 1.31.0 or 1.31.0-rc.1. Versions can be compared with == and used as keys.
type Version struct {
	Major, Minor, Patch uint
	// Pre is what follows the first hyphen.
	Pre string
}

// ParseVersion reads an exact version.
func ParseVersion(text string) (Version, error) {
	v, err := version.ParseSemantic(text)
	if err != nil {
		return Version{}, fmt.Errorf("version %q: %w", text, err)
	}
	return Version{Major: v.Major(), Minor: v.Minor(), Patch: v.Patch(), Pre: v.PreRelease()}, nil
}

// String is the name that Istio gives the release.
func (v Version) String() string {
	name := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		name += "-" + v.Pre
	}
	return name
}

// MinorName is the part of the name that all patches share, like 1.31.
func (v Version) MinorName() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Compare is negative where v is older than other, and positive where it is newer.
func (v Version) Compare(other Version) int {
	a, err := version.ParseSemantic(v.String())
	if err != nil {
		return strings.Compare(v.String(), other.String())
	}
	// What does not parse is never made by ParseVersion.
	order, err := a.Compare(other.String())
	if err != nil {
		return strings.Compare(v.String(), other.String())
	}
	return order
}
