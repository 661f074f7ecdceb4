// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// Store reads and writes the records of meshes. It remembers them, since nobody else writes them; after an error it reads
// them anew. It is safe for concurrent use.
type Store struct {
	// Now is the clock of Entry.Since.
	Now func() time.Time

	reader client.Reader
	writer client.Client

	mu     sync.Mutex
	meshes map[string]*memory
}

// memory is what is known of a mesh.
type memory struct {
	mu  sync.Mutex
	uid types.UID
	// read is false where the API server has to be asked first.
	read bool
	// object is the ConfigMap as it was read or written; nil if there is none.
	object   *corev1.ConfigMap
	progress rollout.Progress
	// text is the progress as it is in the ConfigMap.
	text   string
	ledger ledger
	// entries are without marks, the newest first.
	entries []Entry
	// uids are those of the ControllerRevisions.
	uids map[int64]types.UID
	// settings are those that were ever seen of this mesh and still matter: a release can be written again from them.
	settings map[string]Settings
}

// New gives a store. The reader has no cache: what it reads is decided on.
func New(reader client.Reader, writer client.Client) *Store {
	return &Store{Now: time.Now, reader: reader, writer: writer, meshes: map[string]*memory{}}
}

// Forget drops what is remembered of a mesh.
func (s *Store) Forget(mesh string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.meshes, mesh)
}

// Load gives the record of a mesh, which is empty for a new one. It asks the API server the first time only. The error is
// a *Stuck if the record is there and cannot be read.
func (s *Store) Load(ctx context.Context, mesh *v1alpha1.Mesh) (Record, error) {
	m := s.lock(mesh)
	defer m.mu.Unlock()
	if err := s.know(ctx, mesh, m); err != nil {
		return Record{}, err
	}
	return m.record(), nil
}

// lock gives what is remembered of a mesh, locked.
func (s *Store) lock(mesh *v1alpha1.Mesh) *memory {
	s.mu.Lock()
	m := s.meshes[mesh.Name]
	if m == nil || m.uid != mesh.UID {
		m = &memory{uid: mesh.UID, settings: map[string]Settings{}}
		s.meshes[mesh.Name] = m
	}
	s.mu.Unlock()
	m.mu.Lock()
	return m
}

// know reads what is not known.
func (s *Store) know(ctx context.Context, mesh *v1alpha1.Mesh, m *memory) error {
	if m.read {
		return nil
	}
	if err := s.readEntries(ctx, mesh, m); err != nil {
		return err
	}
	if err := s.readProgress(ctx, mesh, m); err != nil {
		return err
	}
	m.read = true
	return nil
}

// readEntries reads the ControllerRevisions. Their owner tells whose they are; a label is soon edited.
func (s *Store) readEntries(ctx context.Context, mesh *v1alpha1.Mesh, m *memory) error {
	var list appsv1.ControllerRevisionList
	if err := s.reader.List(ctx, &list, client.InNamespace(mesh.Spec.Namespace)); err != nil {
		return fmt.Errorf("list the releases of the mesh: %w", err)
	}
	m.entries, m.uids = nil, map[int64]types.UID{}
	for i := range list.Items {
		object := &list.Items[i]
		if object.DeletionTimestamp != nil {
			continue
		}
		entry, ours, err := readRevision(mesh, object)
		if err != nil {
			return err
		}
		if ours {
			m.add(entry, object.UID)
		}
	}
	return nil
}

// readProgress reads the ConfigMap.
func (s *Store) readProgress(ctx context.Context, mesh *v1alpha1.Mesh, m *memory) error {
	object := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: string(mesh.Spec.Namespace), Name: objectName(mesh)}
	m.object, m.progress, m.text, m.ledger = nil, rollout.Progress{}, "", ledger{}
	err := s.reader.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get the progress of the rollout: %w", err)
	}
	if !metav1.IsControlledBy(object, mesh) {
		return taken(configMap, key.Namespace, key.Name, mesh)
	}
	if m.progress, m.ledger, err = readConfigMap(object); err != nil {
		return err
	}
	// It is compared with what is written, however it was laid out by whoever edited it.
	if m.text, err = encode(m.progress); err != nil {
		return err
	}
	m.object = object
	return nil
}

// add puts an entry where it belongs.
func (m *memory) add(e Entry, uid types.UID) {
	m.entries = append(m.entries, e)
	slices.SortFunc(m.entries, func(a, b Entry) int { return cmp.Compare(b.Number, a.Number) })
	m.uids[e.Number] = uid
	m.settings[e.Source] = e.Settings
}

// record gives a copy of what is known.
func (m *memory) record() Record {
	out := Record{Progress: m.progress, Entries: slices.Clone(m.entries)}
	out.Progress.Kept = slices.Clone(m.progress.Kept)
	if m.progress.Failure != nil {
		failure := *m.progress.Failure
		out.Progress.Failure = &failure
	}
	for i := range out.Entries {
		e := &out.Entries[i]
		mark := m.ledger.Marks[e.Number]
		e.Failed = mark.Failed
		if !mark.Since.IsZero() {
			e.Since = mark.Since
		}
	}
	return out
}

// next is the number of the next release.
func (m *memory) next() int64 {
	next := m.ledger.Last
	if len(m.entries) > 0 {
		next = max(next, m.entries[0].Number)
	}
	return next + 1
}
