// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

const (
	// defaultLimit is upgrade.historyLimit where it is unset.
	defaultLimit = 10
	// maxTaken is how many numbers in a row may have a foreign object in their place.
	maxTaken = 10
)

// Save persists a progress, and before it each release that it names and that was never written. Settings are looked up by
// the name of their source; a release whose settings nobody knows is left out. Nothing is requested if nothing changed.
//
// The error is ErrConflict if the progress has to be decided anew, and a *Stuck if a person has to do something.
func (s *Store) Save(
	ctx context.Context, mesh *v1alpha1.Mesh, progress rollout.Progress, settings func(source string) (Settings, bool),
) (Record, error) {
	m := s.lock(mesh)
	defer m.mu.Unlock()
	err := s.know(ctx, mesh, m)
	if err == nil {
		save := saving{Store: s, mesh: mesh, m: m, progress: progress, settings: settings}
		err = save.run(ctx)
	}
	if err != nil {
		// Whether a request was carried out that had no answer is for the API server to say.
		m.read = false
		return Record{}, err
	}
	return m.record(), nil
}

// saving is one progress on its way.
type saving struct {
	*Store
	mesh     *v1alpha1.Mesh
	m        *memory
	progress rollout.Progress
	settings func(source string) (Settings, bool)
	// lost are the releases that were on record, and are not there any more.
	lost []Entry
}

func (s *saving) run(ctx context.Context) error {
	text, err := encode(s.progress)
	if err != nil {
		return err
	}
	m := s.m
	if reflect.ValueOf(s.progress).IsZero() {
		if m.object == nil {
			return nil
		}
		return errors.New("an empty progress is not written over another")
	}
	if text != m.text {
		if err := s.verify(ctx); err != nil {
			return err
		}
	}
	if err := s.releases(ctx); err != nil {
		return err
	}
	old := s.surplus()
	l := s.account(old)
	if m.object == nil || text != m.text || !reflect.DeepEqual(l, m.ledger) {
		if err := s.write(ctx, text, l); err != nil {
			return err
		}
	}
	return s.trim(ctx, old)
}

// verify looks, where a rollout gets to other releases, whether those on record are still there: they are needed to go back.
func (s *saving) verify(ctx context.Context) error {
	if slices.Equal(named(&s.progress), named(&s.m.progress)) {
		return nil
	}
	return s.reread(ctx)
}

// reread looks which releases are there.
func (s *saving) reread(ctx context.Context) error {
	before := s.m.entries
	if err := s.readEntries(ctx, s.mesh, s.m); err != nil {
		return err
	}
	for _, e := range before {
		if index(s.m.entries, e.Version, e.Source) < 0 {
			s.lost = append(s.lost, e)
		}
	}
	return nil
}

// releases writes those that are missing.
func (s *saving) releases(ctx context.Context) error {
	for _, r := range named(&s.progress) {
		if index(s.m.entries, r.Version, r.Source) >= 0 {
			continue
		}
		known, ok := s.m.settings[r.Source]
		if !ok && s.settings != nil {
			known, ok = s.settings(r.Source)
		}
		if !ok {
			continue
		}
		if err := s.create(ctx, release{Version: r.Version, Source: r.Source, Settings: known}); err != nil {
			return err
		}
	}
	return nil
}

// create writes a release under the number that it had, or else under the next one. A number whose name somebody else
// uses is left out.
func (s *saving) create(ctx context.Context, r release) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	var numbers []int64
	if i := index(s.lost, r.Version, r.Source); i >= 0 {
		numbers = append(numbers, s.lost[i].Number)
	}
	first := s.m.next()
	for number := first; number < first+maxTaken; number++ {
		numbers = append(numbers, number)
	}
	for _, number := range numbers {
		object := newRevision(s.mesh, number, data)
		err := s.writer.Create(ctx, object, client.FieldOwner(v1alpha1.ManagedBy))
		switch {
		case apierrors.IsAlreadyExists(err):
			continue
		case apierrors.IsRequestEntityTooLargeError(err):
			return &Stuck{Message: tooLarge(len(data))}
		case err != nil:
			return fmt.Errorf("create ControllerRevision %s/%s: %w", object.Namespace, object.Name, silent(err))
		}
		entry := Entry{Number: number, Version: r.Version, Source: r.Source, Settings: r.Settings, Since: object.CreationTimestamp.Time}
		s.m.add(entry, object.UID)
		return nil
	}
	return taken(controllerRevision, string(s.mesh.Spec.Namespace), revisionName(s.mesh, first), s.mesh)
}

// surplus are the numbers of the releases beyond the limit, and of those that are there twice. None of them is named.
func (s *saving) surplus() map[int64]bool {
	keep := append(named(&s.progress), rollout.Release{})
	if s.progress.Failure != nil {
		keep = append(keep, s.progress.Failure.Release)
	}
	limit := int(s.mesh.Spec.Upgrade.HistoryLimit)
	if limit == 0 {
		limit = defaultLimit
	}
	out := map[int64]bool{}
	entries := s.m.entries
	for i, e := range slices.Backward(entries) {
		twice := index(entries, e.Version, e.Source) != i
		needed := slices.ContainsFunc(keep, func(r rollout.Release) bool { return r.Version == e.Version && r.Source == e.Source })
		if e.Number != s.mesh.Spec.RollbackTo && (twice || !needed && len(entries)-len(out) > limit) {
			out[e.Number] = true
		}
	}
	return out
}

// account notes what became of the releases that stay.
func (s *saving) account(without map[int64]bool) ledger {
	m, p := s.m, &s.progress
	out := ledger{Last: m.next() - 1, Marks: maps.Clone(m.ledger.Marks)}
	if out.Marks == nil {
		out.Marks = map[int64]mark{}
	}
	edit := func(r rollout.Release, change func(*mark)) {
		if i := index(m.entries, r.Version, r.Source); i >= 0 {
			mark := out.Marks[m.entries[i].Number]
			change(&mark)
			out.Marks[m.entries[i].Number] = mark
		}
	}
	edit(p.Target, func(k *mark) { k.Failed = false })
	if p.Failure != nil {
		edit(p.Failure.Release, func(k *mark) { k.Failed = true })
	}
	if was := m.progress.Good; was.Version != p.Good.Version || was.Source != p.Good.Source {
		edit(p.Good, func(k *mark) { k.Since, k.Failed = s.Now().UTC(), false })
	}
	maps.DeleteFunc(out.Marks, func(number int64, k mark) bool {
		gone := !slices.ContainsFunc(m.entries, func(e Entry) bool { return e.Number == number })
		return gone || without[number] || k == mark{}
	})
	if len(out.Marks) == 0 {
		out.Marks = nil
	}
	return out
}

// write writes the ConfigMap over the one that was read.
func (s *saving) write(ctx context.Context, progress string, l ledger) error {
	releases, err := encode(l)
	if err != nil {
		return err
	}
	object := &corev1.ConfigMap{ObjectMeta: meta(s.mesh, objectName(s.mesh))}
	if s.m.object != nil {
		object = s.m.object.DeepCopy()
	}
	object.Data = map[string]string{keyProgress: progress, keyReleases: releases}
	if s.m.object == nil {
		err = s.writer.Create(ctx, object, client.FieldOwner(v1alpha1.ManagedBy))
	} else {
		err = s.writer.Update(ctx, object, client.FieldOwner(v1alpha1.ManagedBy))
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fmt.Errorf("ConfigMap %s/%s: %w", object.Namespace, object.Name, ErrConflict)
	case apierrors.IsNotFound(err) && s.m.object != nil:
		return s.restore(ctx, progress)
	case err != nil:
		return fmt.Errorf("write ConfigMap %s/%s: %w", object.Namespace, object.Name, silent(err))
	}
	s.m.object, s.m.progress, s.m.text, s.m.ledger = object, s.progress, progress, l
	return nil
}

// restore writes everything that is in force where somebody deleted the ConfigMap, or all there was.
func (s *saving) restore(ctx context.Context, progress string) error {
	s.m.object = nil
	if err := s.reread(ctx); err != nil {
		return err
	}
	if err := s.releases(ctx); err != nil {
		return err
	}
	return s.write(ctx, progress, s.account(s.surplus()))
}

// trim deletes releases.
func (s *saving) trim(ctx context.Context, numbers map[int64]bool) error {
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		uid, ok := s.m.uids[number]
		if !ok {
			continue
		}
		object := newRevision(s.mesh, number, nil)
		err := s.writer.Delete(ctx, object, client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete ControllerRevision %s/%s: %w", object.Namespace, object.Name, err)
		}
		s.m.entries = slices.DeleteFunc(s.m.entries, func(e Entry) bool { return e.Number == number })
		delete(s.m.uids, number)
	}
	s.forget()
	return nil
}

// forget drops settings that no release has.
func (s *saving) forget() {
	needed := named(&s.progress)
	maps.DeleteFunc(s.m.settings, func(source string, _ Settings) bool {
		inHistory := slices.ContainsFunc(s.m.entries, func(e Entry) bool { return e.Source == source })
		return !inHistory && !slices.ContainsFunc(needed, func(r rollout.Release) bool { return r.Source == source })
	})
}
