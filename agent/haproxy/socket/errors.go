// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"fmt"
	"strings"
)

// What a Refused is, for errors.Is.
var (
	// ErrNotFound is of a backend, server, map, key, certificate or table that HAProxy does not have.
	ErrNotFound = errors.New("not found")
	// ErrExists is of what is there already.
	ErrExists = errors.New("exists already")
	// ErrBusy is of what cannot be removed yet, or not while it is used.
	ErrBusy = errors.New("in use")
	// ErrUnsupported is of a command that this version does not have.
	ErrUnsupported = errors.New("unknown to this version of HAProxy")
)

// ErrProtocol says that an answer makes no sense: the commands may have been run or not.
var ErrProtocol = errors.New("unexpected answer")

// Refused is HAProxy's no to a command.
type Refused struct {
	// Command is what was refused, without values: "add server".
	Command string
	// Message is HAProxy's, one line or more. It may name objects; it holds no payload.
	Message string

	kind error
}

// Error has the command and HAProxy's message.
func (r *Refused) Error() string {
	return fmt.Sprintf("HAProxy refuses %q: %s", r.Command, strings.ReplaceAll(r.Message, "\n", "; "))
}

// Unwrap is one of ErrNotFound, ErrExists, ErrBusy and ErrUnsupported, or nil.
func (r *Refused) Unwrap() error { return r.kind }

const maxMessage = 4096

func refuse(command, message string) error {
	message = strings.TrimSpace(message)
	r := &Refused{Command: command, kind: kindOf(message)}
	if errors.Is(r.kind, ErrUnsupported) {
		// What follows is help.
		message, _, _ = strings.Cut(message, ",")
	}
	r.Message = message[:min(len(message), maxMessage)]
	return r
}

// kindOf goes by the texts of 2.6 to 3.2.
func kindOf(message string) error {
	for _, m := range []struct {
		kind  error
		parts []string
	}{
		{ErrUnsupported, []string{"Unknown command"}},
		{ErrExists, []string{"Already exists", "already exists"}},
		{ErrBusy, []string{"still has connections", "in use, can't be deleted", "configuration elements pointing to it"}},
		{ErrNotFound, []string{
			"No such ", "Can't find backend", "Unknown map identifier", "entry not found", "Key not found", "doesn't exist",
			"Not found", "not found", "not referenced by the configuration", "didn't find the specified",
		}},
	} {
		for _, part := range m.parts {
			if strings.Contains(message, part) {
				return m.kind
			}
		}
	}
	return nil
}
