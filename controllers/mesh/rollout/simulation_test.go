// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

var (
	worlds = flag.Int("worlds", 1_500, "how many worlds to simulate")
	seed   = flag.Uint64("world", 0, "simulate this world alone, and tell what happens")
)

// life is a world with an operator in it.
type life struct {
	*world
	tell       bool
	spec       rollout.Spec
	catalogue  []string
	progress   rollout.Progress
	up         time.Time
	upAgain    time.Time
	stale      *rollout.State
	look       time.Time
	dirty      bool
	tries      map[string]int
	asks       string
	decisions  int
	upgrades   int
	rollbacks  int
	crashes    int
	disturbed  bool
	eventsLeft int
	eventAt    time.Time
}

// TestEveryWorldEndsWell lives through many worlds with faults, always the same ones, and holds each step to the
// promises and each end to what the spec asks for.
func TestEveryWorldEndsWell(t *testing.T) {
	if *seed != 0 {
		l := live(*seed, true)
		if len(l.problems) > 0 {
			t.Fatal(strings.Join(l.problems, "\n"))
		}
		return
	}
	var upgrades, rollbacks, crashes int
	for n := uint64(1); n <= uint64(*worlds); n++ {
		l := live(n, false)
		if len(l.problems) > 0 {
			t.Fatalf("world %d (go test -run EndsWell -v -args -world %d):\n%s", n, n, strings.Join(l.problems, "\n"))
		}
		upgrades, rollbacks, crashes = upgrades+l.upgrades, rollbacks+l.rollbacks, crashes+l.crashes
	}
	t.Logf("%d upgrades, %d rollbacks or holds, %d crashes of the operator", upgrades, rollbacks, crashes)
	if n := *worlds; upgrades < n || rollbacks < n/10 || crashes < n {
		t.Errorf("%d worlds tried too little: %d upgrades, %d failures, %d crashes", n, upgrades, rollbacks, crashes)
	}
}

func live(n uint64, tell bool) *life {
	l := birth(n, tell)
	last := l.now
	for range 20_000 {
		l.changed = !l.next(last).After(l.now)
		last = l.now
		l.step()
		l.events()
		l.operate()
		if len(l.problems) > 0 {
			return l
		}
		l.injected()
		if l.changed || l.dirty {
			l.now = l.now.Add(tick)
			continue
		}
		next := l.next(l.now)
		for _, at := range []time.Time{l.look, l.upAgain, l.eventAt} {
			if at.After(l.now) && at.Before(next) {
				next = at
			}
		}
		if next.Equal(never) {
			l.end()
			return l
		}
		l.now = next
	}
	l.fault("it does not come to rest")
	return l
}

// operate is the operator: it looks when something changed or when it said it would, sometimes at what was there
// before, and is killed at any point.
func (l *life) operate() {
	if l.now.Before(l.upAgain) {
		return
	}
	if !l.upAgain.IsZero() {
		l.up, l.upAgain, l.stale, l.dirty = l.now, time.Time{}, nil, true
	}
	if !l.changed && !l.dirty && (l.look.IsZero() || l.now.Before(l.look)) {
		return
	}
	fresh := l.observe()
	state := fresh
	l.dirty = false
	if l.stale != nil && l.chance(15) {
		state, l.dirty = *l.stale, true
	}
	l.stale = &fresh
	state.Now, state.Up, state.Spec, state.Progress = l.now, l.up, l.spec, l.progress
	if asks := fmt.Sprint(l.spec.Version, l.spec.Source, l.spec.RollbackTo, l.spec.Strategy, l.spec.Retry); asks != l.asks {
		l.asks, l.tries = asks, map[string]int{}
	}
	l.shuffle(&state)
	d := rollout.Decide(state)
	l.decisions++
	l.again(state, d)
	l.look = time.Time{}
	if d.LookAgain > 0 {
		l.look = l.now.Add(d.LookAgain)
	}
	if !l.killed() {
		l.persist(d)
		l.changed = false
		l.act(d, !l.dirty)
		l.dirty = l.dirty || l.changed
	}
}

// killed is the end of the operator, for a while.
func (l *life) killed() bool {
	if l.eventsLeft == 0 || !l.chance(4) {
		return false
	}
	l.crashes++
	l.upAgain = l.soon(20 * time.Minute).Add(time.Second)
	l.look = time.Time{}
	return true
}

func (l *life) persist(d rollout.Decision) {
	was := l.progress
	if reflect.DeepEqual(was, d.Progress) {
		return
	}
	l.progress = d.Progress
	if l.tell {
		fmt.Printf("%s %s target %v good %v kept %v failure %v (left %d low %d) %s\n", l.now.Format(time.TimeOnly), d.Progress.Phase,
			d.Progress.Target, d.Progress.Good, d.Progress.Kept, d.Progress.Failure, d.Progress.Left, d.Progress.Low, d.Reconciling.Message)
	}
	if was.Good != d.Progress.Good && !was.Good.IsZero() {
		l.upgrades++
	}
	if f := d.Progress.Failure; f != nil && (was.Failure == nil || was.Failure.At != f.At) {
		l.rollbacks++
		key := fmt.Sprint(f.Release)
		if l.tries[key]++; l.tries[key] > 1 {
			l.fault("%v failed twice with the same spec", f.Release)
		}
	}
}

// act does what was decided, in any order, until it is killed.
func (l *life) act(d rollout.Decision, fresh bool) {
	var todo []func()
	for _, release := range d.Install {
		if release.Source != "" {
			todo = append(todo, func() { l.apply(release) })
		}
	}
	for _, revision := range d.Remove {
		todo = append(todo, func() { l.remove(revision) })
	}
	for _, name := range l.names() {
		if want, ok := d.Labels[name]; ok && want != l.spaces[name].label {
			todo = append(todo, func() { l.relabel(l.spaces[name], want, fresh) })
		}
	}
	for _, r := range d.Restart {
		todo = append(todo, func() { l.restart(r, d.Progress) })
	}
	l.random.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for _, do := range todo {
		if l.killed() {
			return
		}
		if l.eventsLeft > 0 && l.chance(3) {
			// The API server refuses, and it is tried again.
			l.dirty = true
			continue
		}
		do()
	}
}

func (l *life) remove(revision string) {
	if l.istiods[revision] == nil {
		return
	}
	for _, s := range l.spaces {
		if s.label == revision {
			l.fault("revision %s is removed while %s names it", revision, s.name)
		}
	}
	if n := l.observe().Proxies[revision]; n > 0 {
		l.fault("revision %s is removed while %d proxies use it", revision, n)
	}
	l.say("remove %s", revision)
	delete(l.istiods, revision)
	l.changed = true
}

func (l *life) relabel(s *space, want string, fresh bool) {
	if i := l.istiods[want]; want != "" && fresh && !i.injects(l.now) {
		l.fault("%s is labelled %s, which does not inject", s.name, want)
	}
	l.say("label %s %s, was %q", s.name, want, s.label)
	s.label, s.labelledAt, l.changed = want, l.now, true
}

func (l *life) restart(r rollout.Restart, p rollout.Progress) {
	s := l.spaces[r.Namespace]
	if s == nil {
		return
	}
	for _, of := range s.workloads {
		if of.kind != r.Kind || of.name != r.Name {
			continue
		}
		if of.cause != r.Cause {
			key := fmt.Sprintf("%s since %s, back %v", r.Cause, p.StartedAt, p.Failure != nil)
			if of.restarts[key]++; of.restarts[key] > 1 {
				l.fault("%s/%s restarts twice for %s", s.name, of.name, key)
			}
			l.say("restart %s/%s for %s", s.name, of.name, r.Cause)
			l.changed = true
		}
		of.cause, of.restartedAt = r.Cause, l.now
	}
}

func (l *life) say(format string, args ...any) {
	if l.tell {
		fmt.Printf("%s   %s\n", l.now.Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
}

// again: a decision is the same when it is made again before anything was done, and in whatever order things are seen.
func (l *life) again(state rollout.State, d rollout.Decision) {
	state.Progress = d.Progress
	l.shuffle(&state)
	if e := rollout.Decide(state); !reflect.DeepEqual(d, e) {
		l.fault("decided\n%+v\nand then\n%+v", d, e)
	}
}

func (l *life) shuffle(s *rollout.State) {
	s.Namespaces, s.Revisions = slices.Clone(s.Namespaces), slices.Clone(s.Revisions)
	l.random.Shuffle(len(s.Namespaces), func(i, j int) { s.Namespaces[i], s.Namespaces[j] = s.Namespaces[j], s.Namespaces[i] })
	l.random.Shuffle(len(s.Revisions), func(i, j int) { s.Revisions[i], s.Revisions[j] = s.Revisions[j], s.Revisions[i] })
}

// injected: what a namespace names injects, unless the world took it down.
func (l *life) injected() {
	for _, s := range l.spaces {
		i := l.istiods[s.label]
		if !s.member || !rollout.Owns(l.spec.Mesh, s.label) || (i != nil && l.now.Before(i.down)) {
			continue
		}
		if !i.injects(l.now) {
			l.fault("%s names %s, which does not inject", s.name, s.label)
		}
	}
}

// end: everything is as the spec asks, and nothing more is decided, now or later.
func (l *life) end() {
	state := l.observe()
	state.Now, state.Up, state.Spec, state.Progress = l.now, l.up, l.spec, l.progress
	if len(l.spec.Windows) == 0 {
		state.Now = l.now.Add(100 * 24 * time.Hour)
	}
	d := rollout.Decide(state)
	l.atRest(state, d)
	p := d.Progress
	switch {
	case p.Phase == rollout.Held && p.Failure != nil:
		return
	case p.Phase == rollout.Installing && p.Good.IsZero() && (l.bad[p.Target.Version] || l.bad[p.Target.Source]):
		if d.Stalled.Reason != rollout.ReasonDeadline {
			l.fault("the first version fails, and it says %+v", d.Stalled)
		}
		return
	case d.Stalled.Reason == rollout.ReasonDeadline && p.Target == p.Good && (l.poison[p.Good.Version] || l.bad[p.Good.Version] || l.bad[p.Good.Source]):
		// There is nothing else to go to.
		return
	case p.Phase == "" && d.Stalled.Reason == rollout.ReasonVersionRefused:
		return
	case p.Phase != rollout.Idle || p.Good != p.Target:
		l.fault("at the end it is %s: %+v %+v", p.Phase, p, d.Stalled)
		return
	}
	l.membersRight(d)
	refused := d.Stalled.Reason == rollout.ReasonVersionRefused || l.spec.Refused != "" || l.spec.RollbackTo == nil &&
		rollout.Step(l.spec.Strategy, p.Good.Version, l.spec.Resolved, nil) != nil
	if p.Failure == nil && !refused {
		l.versionRight(d)
	}
	for revision := range l.istiods {
		used := state.Proxies[revision] > 0
		for _, s := range l.spaces {
			used = used || s.label == revision
		}
		if revision != p.Good.Revision && !used {
			l.fault("revision %s is left over", revision)
		}
	}
}

func (l *life) atRest(state rollout.State, d rollout.Decision) {
	if !reflect.DeepEqual(d.Progress, l.progress) || len(d.Restart) > 0 || len(d.Remove) > 0 {
		l.fault("no rest: %+v\nafter %+v", d, l.progress)
	}
	for _, ns := range state.Namespaces {
		if want, ok := d.Labels[ns.Name]; ok && want != ns.Revision {
			l.fault("no rest: %s is to be labelled %q, not %q", ns.Name, want, ns.Revision)
		}
	}
	for _, release := range d.Install {
		if i := l.istiods[release.Revision]; i == nil || i.applied != release && release.Source != "" {
			l.fault("no rest: %v is to be installed", release)
		}
	}
}

func (l *life) membersRight(d rollout.Decision) {
	good := d.Progress.Good
	waits := map[string]string{}
	for _, w := range d.Waiting {
		waits[w.Namespace+"/"+w.Name] = w.Why
	}
	stuck := d.Stalled.Reason == rollout.ReasonRestartsStuck
	for _, s := range l.spaces {
		if s.member && s.label != good.Revision && !stuck {
			l.fault("%s names %q, not %s", s.name, s.label, good.Revision)
		}
		if !s.member && rollout.Owns(l.spec.Mesh, s.label) {
			l.fault("%s is no member and names %s", s.name, s.label)
		}
		for _, of := range s.workloads {
			right := true
			for _, p := range of.pods {
				right = right && (!s.member && p.proxy.Revision == "" || s.member && p.proxy == rollout.Proxy{Revision: good.Revision, Version: good.Version})
			}
			why, waiting := waits[s.name+"/"+of.name]
			switch {
			case right && waiting:
				l.fault("%s/%s waits for nothing", s.name, of.name)
			case !right && !waiting && !stuck:
				l.fault("%s/%s has wrong proxies, and nobody says so", s.name, of.name)
			case waiting && !l.poison[good.Version] && why == "it was not healthy before a restart" && slices.ContainsFunc(of.pods, func(p *pod) bool { return p.dead }):
				l.fault("%s/%s was made sick, and is not healed", s.name, of.name)
			case waiting && strings.Contains(why, "came back the same") && !l.disturbed:
				l.fault("%s/%s restarted for nothing", s.name, of.name)
			}
		}
	}
}

func (l *life) versionRight(d rollout.Decision) {
	version := d.Progress.Good.Version
	switch {
	case l.spec.RollbackTo != nil:
		if version != l.spec.RollbackTo.Version {
			l.fault("%s runs, not %s as in the history", version, l.spec.RollbackTo.Version)
		}
		return
	case l.spec.Version == l.spec.Resolved, l.spec.Automatic == rollout.AutomaticPatch:
		if version != l.spec.Resolved {
			l.fault("%s runs, not %s", version, l.spec.Resolved)
		}
	}
	if d.Progress.Good.Source != l.spec.Source {
		l.fault("settings %s are in force, not %s", d.Progress.Good.Source, l.spec.Source)
	}
}

func birth(n uint64, tell bool) *life {
	random := rand.New(rand.NewPCG(n, 31))
	start := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	l := &life{
		world: &world{
			random: random, now: start, istiods: map[string]*istiod{}, spaces: map[string]*space{},
			budgets: map[string]int{}, bad: map[string]bool{}, poison: map[string]bool{},
		},
		tell: tell, up: start, tries: map[string]int{}, dirty: true,
		catalogue:  []string{"1.27.0", "1.28.0", "1.28.3", "1.29.0", "1.30.0"},
		eventsLeft: 3 + random.IntN(12), eventAt: start,
	}
	l.spec = rollout.Spec{
		Mesh: "m", Source: "s0", Automatic: rollout.AutomaticPatch, Strategy: rollout.Canary, OnFailure: rollout.FailureRollback,
		ProgressDeadline: 10 * time.Minute, BatchSize: 1 + random.IntN(3), RestartWorkloads: !l.chance(15),
	}
	if l.chance(40) {
		l.spec.Strategy = rollout.InPlace
	}
	if l.chance(20) {
		l.spec.OnFailure = rollout.FailureHold
	}
	if l.chance(20) {
		window, _ := rollout.ParseWindow(nil, "22:00", 4*time.Hour, "Europe/Zurich")
		l.spec.Windows = []rollout.Window{window}
	}
	l.choose([]string{"1.27", "1.28.0", "1.28"}[random.IntN(3)])
	for range random.IntN(6) {
		l.join()
	}
	return l
}
