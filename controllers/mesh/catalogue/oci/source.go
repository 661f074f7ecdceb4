// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oci brings further versions of Istio into the catalogue, from an artifact in an OCI registry.
//
// The layers of the artifact are files, which their annotations name: a catalogue.yaml and the archives that it lists. "oras push" makes
// such an artifact of a folder. It is named by its digest, so that it is the same one for ever.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// attempt bounds one attempt to read an artifact.
const attempt = 2 * time.Minute

// pauses are those between attempts: from a second to five minutes.
func pauses() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 5 * time.Minute}
}

// Config says which artifact is read, and into what.
type Config struct {
	// Reference names the artifact; see ParseReference.
	Reference string
	// Credentials is the path of a Docker configuration file, whose "auths" have a user of the registry; empty for nobody's. It is read
	// at each attempt. Helper programs that it names are not run.
	Credentials string
	// Catalogue gets the versions.
	Catalogue *catalogue.Catalogue
	Log       logr.Logger
}

// Source reads an artifact once. It is a Runnable of a manager, also in replicas that are not the leader: they may be soon.
type Source struct {
	Config
	reference Reference
	transport *http.Transport
	timeout   time.Duration
	pauses    wait.Backoff
}

// New makes a source. From now on the catalogue says to those who miss a version that the artifact is not read yet.
func New(config Config) (*Source, error) {
	reference, err := ParseReference(config.Reference)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = attempt / 4
	config.Catalogue.Absent(reference.String(), "is not read yet")
	return &Source{Config: config, reference: reference, transport: transport, timeout: attempt, pauses: pauses()}, nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *Source) NeedLeaderElection() bool { return false }

// Start reads the artifact, and tries again until it was read or turns out to be none that can be taken. It implements manager.Runnable,
// and fails never: the operator goes on with the versions that it has.
func (s *Source) Start(ctx context.Context) error {
	log := s.Log.WithValues("charts", s.reference.String())
	for !s.try(ctx, log) {
		pause := s.pauses.Step()
		log.Info("Istio's charts will be read again", "after", pause.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	return nil
}

// try makes one attempt, and says whether there is nothing left to do.
func (s *Source) try(ctx context.Context, log logr.Logger) (done bool) {
	versions, err := s.read(ctx)
	var refused *refusal
	switch {
	case err == nil:
		s.Catalogue.Absent(s.reference.String(), "")
		log.Info("Istio's charts were read", "versions", versions)
		return true
	case errors.As(err, &refused):
		s.Catalogue.Absent(s.reference.String(), "is refused: "+clean(err))
		log.Error(errors.New(clean(err)), "the artifact of Istio's charts is refused")
		return true
	case ctx.Err() == nil:
		log.Error(errors.New(clean(err)), "cannot read Istio's charts")
	}
	return ctx.Err() != nil
}

// read makes one attempt, and gives the versions of the artifact.
func (s *Source) read(ctx context.Context) ([]string, error) {
	trying, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer s.transport.CloseIdleConnections()
	files, entries, err := s.pull(trying)
	if err != nil {
		if trying.Err() != nil {
			err = fmt.Errorf("not complete after %s: %w", s.timeout, err)
		}
		return nil, err
	}
	if err := s.Catalogue.Add(files); err != nil {
		return nil, refuse(err)
	}
	versions := make([]string, 0, len(entries))
	for _, e := range entries {
		versions = append(versions, e.Version.String())
	}
	return versions, nil
}

// refusal is an error of the artifact itself, which is the same at every attempt.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func refuse(err error) error { return &refusal{err} }

// longest is how much of an error is told. Registries say what they want.
const longest = 1000

// secret is what URLs hold beside the address: a registry may redirect to a storage, and sign the URL for whoever has it.
var secret = regexp.MustCompile(`(https?://)(?:[^\s"/?@]*@)?([^\s"?]*)(?:\?[^\s"]*)?`)

// clean is the text of an error, without what nobody should read in a log.
func clean(err error) string {
	text := secret.ReplaceAllString(err.Error(), "$1$2")
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return text
}
