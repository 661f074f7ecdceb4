// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// events change the spec, the catalogue, the members and the luck, most of them in the midst of something.
func (l *life) events() {
	if l.eventsLeft == 0 || l.now.Before(l.eventAt) {
		return
	}
	l.eventsLeft--
	l.dirty = true
	l.eventAt = l.soon(40 * time.Minute).Add(time.Second)
	if l.chance(20) {
		l.eventAt = l.soon(12 * time.Hour).Add(time.Second)
	}
	if l.eventsLeft == 0 {
		l.eventAt = time.Time{}
	}
	all := []func(){
		l.upgrade, l.upgrade, l.upgrade, l.patch, l.patch, l.settings, l.join, l.join, l.leave, l.knobs, l.rollback,
		l.crash, l.sick, l.edit, l.contradict, l.lose,
	}
	all[l.random.IntN(len(all))]()
}

// choose is a spec.version, and what the catalogue gives for it.
func (l *life) choose(version string) {
	l.spec.Version, l.spec.Resolved, l.spec.Refused = version, "", ""
	for _, v := range l.catalogue {
		if v == version || strings.HasPrefix(v, version+".") {
			l.spec.Resolved = v
		}
	}
	if l.spec.Resolved == "" {
		l.spec.Refused = "unknown version " + version
	}
	l.spec.Available = l.catalogue
	l.say("spec.version %s is %s", version, l.spec.Resolved)
}

func (l *life) upgrade() {
	version := l.catalogue[l.random.IntN(len(l.catalogue))]
	if runs := l.progress.Good.Version; l.chance(75) {
		// One that is possible, if there is one.
		for _, v := range l.catalogue {
			if v > runs && rollout.Step(l.spec.Strategy, runs, v, nil) == nil {
				version = v
				break
			}
		}
	}
	switch l.random.IntN(6) {
	case 0:
		l.bad[version] = true
	case 1:
		l.poison[version] = true
	case 2:
		version = version[:4]
	}
	l.say("bad %v, poison %v", l.bad, l.poison)
	l.choose(version)
}

// patch has a new version in the catalogue.
func (l *life) patch() {
	minor := []string{"1.27", "1.28", "1.30", "1.31"}[l.random.IntN(4)]
	version := fmt.Sprintf("%s.%d", minor, 40-l.eventsLeft)
	for i := range l.catalogue {
		if l.catalogue[i] == version {
			return
		}
	}
	l.catalogue = append(append([]string{}, l.catalogue...), version)
	l.bad[version] = l.chance(15)
	l.poison[version] = l.chance(10)
	l.choose(l.spec.Version)
}

func (l *life) settings() {
	l.spec.Source = fmt.Sprintf("s%d", l.eventsLeft+1)
	l.bad[l.spec.Source] = l.chance(20)
	l.say("settings %s, bad %v", l.spec.Source, l.bad[l.spec.Source])
}

func (l *life) knobs() {
	switch l.random.IntN(6) {
	case 0:
		l.spec.BatchSize = 1 + l.random.IntN(4)
	case 1:
		l.spec.RestartWorkloads = !l.spec.RestartWorkloads
	case 2:
		l.spec.Automatic = []rollout.Automatic{rollout.AutomaticNone, rollout.AutomaticPatch, rollout.AutomaticMinor}[l.random.IntN(3)]
	case 3:
		l.spec.Retry += "again"
	case 4:
		l.spec.Strategy = map[rollout.Strategy]rollout.Strategy{rollout.Canary: rollout.InPlace, rollout.InPlace: rollout.Canary}[l.spec.Strategy]
	case 5:
		l.bad, l.poison = map[string]bool{}, map[string]bool{}
		for _, name := range l.revisions() {
			if i := l.istiods[name]; i.at.Equal(never) {
				i.at = l.soon(time.Hour)
			}
		}
		for _, s := range l.spaces {
			for _, of := range s.workloads {
				for _, p := range of.pods {
					p.dead = false
				}
			}
		}
	}
	l.say("spec %+v", l.spec)
}

func (l *life) rollback() {
	if l.spec.RollbackTo != nil {
		l.spec.RollbackTo = nil
		return
	}
	l.spec.RollbackTo = &rollout.Rollback{Number: int64(l.eventsLeft), Version: l.catalogue[l.random.IntN(3)], Source: "old"}
	l.say("rollback %+v", l.spec.RollbackTo)
}

func (l *life) join() {
	name := fmt.Sprintf("ns%d", len(l.spaces))
	s := &space{name: name, member: true}
	l.spaces[name] = s
	for i := range l.random.IntN(4) {
		of := &workload{kind: rollout.Deployment, name: fmt.Sprintf("w%d", i), restarts: map[string]int{}, replicas: 1 + l.random.IntN(4)}
		of.unavailable = l.random.IntN(min(of.replicas, 2) + 1)
		of.frail = l.chance(25)
		if of.unavailable == 0 || l.chance(30) {
			of.surge = 1
		}
		switch l.random.IntN(8) {
		case 0:
			of.kind, of.unavailable, of.surge = "Job", 0, 0
		case 1:
			of.kind, of.unavailable, of.surge = rollout.StatefulSet, 1, 0
		}
		for range of.replicas {
			of.pods = append(of.pods, &pod{at: l.now})
		}
		if l.chance(40) {
			budget := fmt.Sprintf("%s/b%d", name, l.random.IntN(2))
			of.budgets = append(of.budgets, budget)
			l.budgets[budget] += max(of.replicas-l.random.IntN(3), 0)
		}
		s.workloads = append(s.workloads, of)
	}
}

func (l *life) leave() {
	names := l.names()
	if len(names) == 0 {
		return
	}
	s := l.spaces[names[l.random.IntN(len(names))]]
	s.member, l.disturbed = !s.member, true
	l.say("%s is a member: %v", s.name, s.member)
	for _, of := range s.workloads {
		of.restarts = map[string]int{}
	}
}

func (l *life) crash() {
	for _, name := range l.revisions() {
		if i := l.istiods[name]; l.chance(50) {
			i.down = l.soon(30 * time.Minute)
			l.disturbed = true
			l.say("%v is down until %s", i.applied, i.down)
		}
	}
}

func (l *life) sick() {
	for _, name := range l.names() {
		for _, of := range l.spaces[name].workloads {
			if len(of.budgets) == 0 && l.chance(20) {
				of.sickUntil = l.soon(30 * time.Minute)
				l.say("%s/%s is sick until %s", name, of.name, of.sickUntil)
			}
		}
	}
}

// edit takes a label away, by hand.
func (l *life) edit() {
	for _, name := range l.names() {
		if l.chance(30) {
			l.spaces[name].label, l.disturbed = "", true
			l.say("the label of %s is gone", name)
		}
	}
}

func (l *life) contradict() {
	for _, name := range l.names() {
		if s := l.spaces[name]; l.chance(20) {
			s.contradiction = map[string]string{"": "istio-injection=enabled"}[s.contradiction]
			l.disturbed = true
			l.say("%s has %q", name, s.contradiction)
		}
	}
}

// lose forgets the status, as a restored backup does.
func (l *life) lose() {
	if l.chance(30) && l.progress.Phase == rollout.Idle {
		l.progress, l.tries = rollout.Progress{}, map[string]int{}
		l.say("the status is lost")
	}
}
