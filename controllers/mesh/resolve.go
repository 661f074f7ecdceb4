// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/values"
)

// wanted is what the spec of a mesh comes to, and what is wrong with it.
type wanted struct {
	rollout.Spec
	// settings are those of the spec; Source is their name.
	settings history.Settings
	// asked is the exact version that the spec asks for, also where it is refused for something else; empty where there is none.
	asked string
	// reason is why the spec is refused, as a condition has it; Refused is the message. Empty where it is not.
	reason   string
	problems []v1alpha1.Problem
}

// resolver makes sense of specs. It is safe for concurrent use.
type resolver struct {
	catalogue *catalogue.Catalogue
	now       func() time.Time

	mu sync.Mutex
	// checked are the values that were looked at last, by mesh: that takes longer than to repair a change.
	checked map[string]verdictOfValues
}

// verdictOfValues is what was found wrong with the values of a spec for a version.
type verdictOfValues struct {
	uid        types.UID
	generation int64
	version    catalogue.Version
	problems   []values.Problem
}

// resolve says what a mesh wants.
func (r *resolver) resolve(seen *observed, record *history.Record) wanted {
	mesh, kubernetes := seen.mesh, seen.kubernetes
	spec := &mesh.Spec
	out := wanted{settings: history.SettingsOf(spec)}
	seen.inherit(&out.settings, record)
	out.Spec = rollout.Spec{
		Mesh: mesh.Name, Version: string(spec.Version), Source: out.settings.Source(), Available: r.available(spec, kubernetes),
		Strategy: strategyOf(spec), Automatic: rollout.Automatic(spec.Automatic()), OnFailure: rollout.OnFailure(spec.Upgrade.OnFailure),
		ProgressDeadline: durationOf(spec.Upgrade.ProgressDeadline, defaultDeadline), BatchSize: batchOf(spec, seen.count()),
		RestartWorkloads: spec.Members != nil && spec.Members.RestartWorkloads, Retry: mesh.Annotations[v1alpha1.AnnotationRetry],
	}
	out.windows(spec)
	if spec.RollbackTo > 0 {
		r.rollback(&out, mesh, record)
		return out
	}
	entry, err := r.version(spec, kubernetes, &record.Progress)
	if err != nil {
		out.refuse(reasonOf(err), err.Error())
		return out
	}
	out.Resolved, out.asked = entry.Version.String(), entry.Version.String()
	r.check(&out, mesh, entry)
	return out
}

func (w *wanted) refuse(reason, message string) {
	w.reason, w.Refused, w.Resolved, w.RollbackTo = reason, message, "", nil
}

// defaultDeadline is the API's.
const defaultDeadline = 10 * time.Minute

func durationOf(text v1alpha1.Duration, unset time.Duration) time.Duration {
	if d, err := time.ParseDuration(string(text)); err == nil && d > 0 {
		return d
	}
	return unset
}

// strategyOf is the strategy of a spec, whose default the API server writes.
func strategyOf(spec *v1alpha1.MeshSpec) rollout.Strategy {
	if spec.Upgrade.Strategy == v1alpha1.UpgradeInPlace {
		return rollout.InPlace
	}
	return rollout.Canary
}

// batchOf is how many namespaces move at a time; it may be a share of the members.
func batchOf(spec *v1alpha1.MeshSpec, members int) int {
	if spec.Members == nil || spec.Members.BatchSize == nil {
		return 1
	}
	size, err := intstr.GetScaledValueFromIntOrPercent(spec.Members.BatchSize, members, true)
	if err != nil {
		return 1
	}
	return max(size, 1)
}

// windows reads the maintenance windows. With one that cannot be read, nothing begins by itself.
func (w *wanted) windows(spec *v1alpha1.MeshSpec) {
	for i, window := range spec.Upgrade.MaintenanceWindows {
		on := make([]string, len(window.Days))
		for j, day := range window.Days {
			on[j] = string(day)
		}
		parsed, err := rollout.ParseWindow(on, window.Start, durationOf(window.Duration, 0), window.TimeZone)
		if err != nil {
			w.problems = append(w.problems, v1alpha1.Problem{
				Field: fmt.Sprintf("upgrade.maintenanceWindows[%d]", i), Reason: v1alpha1.ProblemInvalid,
				Message: err.Error() + "; no upgrade begins by itself",
			})
			w.Automatic = rollout.AutomaticNone
			continue
		}
		w.Windows = append(w.Windows, parsed)
	}
}

// version resolves spec.version. What runs goes on when its life ends, and when the cluster outgrows it.
func (r *resolver) version(spec *v1alpha1.MeshSpec, kubernetes string, progress *rollout.Progress) (catalogue.Entry, error) {
	entry, err := r.catalogue.Resolve(string(spec.Version), kubernetes, r.now(), spec.EndOfLife == v1alpha1.EndOfLifeAllow)
	var refused *catalogue.Refusal
	if !errors.As(err, &refused) || refused.Reason == catalogue.Unknown {
		return entry, err
	}
	for _, runs := range []rollout.Release{progress.Target, progress.Good} {
		if known, ok := r.entry(runs.Version); ok && asksFor(spec.Version, known.Version) {
			return known, nil
		}
	}
	return entry, err
}

// entry is the version of the catalogue with a name.
func (r *resolver) entry(version string) (catalogue.Entry, bool) {
	for _, e := range r.catalogue.Entries() {
		if e.Version.String() == version {
			return e, true
		}
	}
	return catalogue.Entry{}, false
}

func asksFor(want v1alpha1.IstioVersion, version catalogue.Version) bool {
	return string(want) == version.String() || string(want) == version.MinorName()
}

// available are the versions that can be had.
func (r *resolver) available(spec *v1alpha1.MeshSpec, kubernetes string) []string {
	var out []string
	for _, e := range r.catalogue.Entries() {
		if _, err := r.catalogue.Resolve(e.Version.String(), kubernetes, r.now(), spec.EndOfLife == v1alpha1.EndOfLifeAllow); err == nil {
			out = append(out, e.Version.String())
		}
	}
	return out
}

// reasonOf is the reason of a condition for an error of the catalogue.
func reasonOf(err error) string {
	var refused *catalogue.Refusal
	if errors.As(err, &refused) {
		switch refused.Reason {
		case catalogue.EndOfLife:
			return v1alpha1.ReasonEndOfLife
		case catalogue.Kubernetes:
			return v1alpha1.ReasonUnsupportedKubernetes
		}
	}
	return v1alpha1.ReasonUnknownVersion
}

// rollback finds the release that spec.rollbackTo names.
func (r *resolver) rollback(out *wanted, mesh *v1alpha1.Mesh, record *history.Record) {
	entry, ok := record.Find(mesh.Spec.RollbackTo)
	if !ok {
		out.refuse(v1alpha1.ReasonUnknownRollback, fmt.Sprintf(
			"rollbackTo: the history has no number %d; status.history lists those that it has", mesh.Spec.RollbackTo))
		return
	}
	if _, ok := r.entry(entry.Version); !ok {
		out.refuse(v1alpha1.ReasonUnknownRollback, fmt.Sprintf("rollbackTo: Istio %s of number %d is not in the catalogue", entry.Version, entry.Number))
		return
	}
	out.RollbackTo = &rollout.Rollback{Number: entry.Number, Version: entry.Version, Source: entry.Source}
}

// check refuses values that the charts of the version do not know.
func (r *resolver) check(out *wanted, mesh *v1alpha1.Mesh, entry catalogue.Entry) {
	r.mu.Lock()
	known, ok := r.checked[mesh.Name]
	r.mu.Unlock()
	if !ok || known.uid != mesh.UID || known.generation != mesh.Generation || known.version != entry.Version {
		given, err := mesh.Spec.Values.Map()
		if err != nil {
			out.refuse(v1alpha1.ReasonInvalidValues, err.Error())
			return
		}
		charts, err := r.catalogue.Charts(entry)
		if err != nil {
			out.refuse(v1alpha1.ReasonUnknownVersion, err.Error())
			return
		}
		known = verdictOfValues{mesh.UID, mesh.Generation, entry.Version, values.Check(charts, given)}
		r.mu.Lock()
		r.checked[mesh.Name] = known
		r.mu.Unlock()
	}
	if len(known.problems) > 0 {
		out.problems = append(out.problems, problems(known.problems)...)
		out.refuse(v1alpha1.ReasonInvalidValues, known.problems[0].String())
	}
}

func (r *resolver) forget(mesh string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.checked, mesh)
}

func problems(found []values.Problem) []v1alpha1.Problem {
	out := make([]v1alpha1.Problem, 0, len(found))
	for _, p := range found {
		out = append(out, v1alpha1.Problem{Field: "values." + p.Path, Reason: v1alpha1.ProblemInvalid, Message: p.Message})
	}
	return out
}
