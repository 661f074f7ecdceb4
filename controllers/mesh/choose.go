// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// installed is a revision that is there.
type installed struct {
	revision string
	version  catalogue.Version
}

// choice is what a mesh is to be.
type choice struct {
	installed
	entry catalogue.Entry
	// desired is what the spec asks for, empty where that cannot be had.
	desired string
	// stuck is why it is not what the spec asks for. Where entry is set, that goes on nevertheless.
	stuck stuck
}

// choose says which version a mesh is to be, and under which revision. What runs goes on: when its life ends, when the
// cluster outgrows it, and when the spec asks for what cannot follow.
func choose(all *catalogue.Catalogue, mesh *v1alpha1.Mesh, kubernetes string, there []installed, now time.Time) choice {
	spec := &mesh.Spec
	current, runs := newest(all, there)
	entry, err := all.Resolve(string(spec.Version), kubernetes, now, spec.EndOfLife == v1alpha1.EndOfLifeAllow)
	var refused *catalogue.Refusal
	switch {
	case errors.As(err, &refused) && runs && refused.Reason != catalogue.Unknown && asksFor(spec.Version, current.entry.Version):
		current.desired = current.entry.Version.String()
		return current
	case errors.As(err, &refused):
		current.stuck = stuck{reasonOf(refused.Reason), refused.Error()}
		return current
	case err != nil:
		current.stuck = stuck{v1alpha1.ReasonUnknownVersion, err.Error()}
		return current
	case !runs:
		name := rollout.Name(rollout.Strategy(spec.Upgrade.Strategy), mesh.Name, entry.Version.String())
		return choice{installed: installed{name, entry.Version}, entry: entry, desired: entry.Version.String()}
	case current.entry.Version == entry.Version:
		current.desired = entry.Version.String()
		return current
	}
	return follow(current, entry, spec)
}

// follow goes from what runs to another version, where it may.
func follow(current choice, to catalogue.Entry, spec *v1alpha1.MeshSpec) choice {
	current.desired = to.Version.String()
	canary := spec.Upgrade.Strategy != v1alpha1.UpgradeInPlace
	if err := catalogue.Upgradable(current.entry.Version, to.Version, canary); err != nil {
		current.stuck = stuck{v1alpha1.ReasonUnsupportedUpgrade, fmt.Sprintf("from %s to %s: %v", current.entry.Version, to.Version, err)}
		return current
	}
	if canary {
		current.stuck = stuck{v1alpha1.ReasonUnsupportedUpgrade, fmt.Sprintf("from %s to %s: this operator has no strategy Canary yet", current.entry.Version, to.Version)}
		return current
	}
	current.entry, current.version = to, to.Version
	return current
}

// newest is what runs of what the catalogue knows, as a choice to leave it as it is.
func newest(all *catalogue.Catalogue, there []installed) (out choice, ok bool) {
	entries := all.Entries()
	for _, i := range there {
		at := slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version == i.version })
		if at >= 0 && (!ok || out.version.Compare(i.version) < 0) {
			out, ok = choice{installed: i, entry: entries[at]}, true
		}
	}
	return out, ok
}

func asksFor(want v1alpha1.IstioVersion, version catalogue.Version) bool {
	return string(want) == version.String() || string(want) == version.MinorName()
}

func reasonOf(reason catalogue.Reason) string {
	switch reason {
	case catalogue.EndOfLife:
		return v1alpha1.ReasonEndOfLife
	case catalogue.Kubernetes:
		return v1alpha1.ReasonUnsupportedKubernetes
	default:
		return v1alpha1.ReasonUnknownVersion
	}
}

// deploymentPrefix begins the name of istiod's Deployment of a revision.
const deploymentPrefix = "istiod-"

// revisions tells from the Deployments of a mesh which revisions there are. Their names cannot be edited as labels can; the
// version is in the name of the revision, or else in what the status told last.
func revisions(all *catalogue.Catalogue, mesh *v1alpha1.Mesh, deployments []string) []installed {
	var out []installed
	for _, name := range deployments {
		revision, ok := strings.CutPrefix(name, deploymentPrefix)
		if !ok || !rollout.Owns(mesh.Name, revision) {
			continue
		}
		if version, ok := versionOf(all, mesh, revision); ok {
			out = append(out, installed{revision, version})
		}
	}
	return out
}

func versionOf(all *catalogue.Catalogue, mesh *v1alpha1.Mesh, revision string) (catalogue.Version, bool) {
	for _, e := range all.Entries() {
		if rollout.Name(rollout.Canary, mesh.Name, e.Version.String()) == revision {
			return e.Version, true
		}
	}
	for _, known := range mesh.Status.Revisions {
		if known.Name == revision {
			version, err := catalogue.ParseVersion(known.Version)
			return version, err == nil
		}
	}
	return catalogue.Version{}, false
}
