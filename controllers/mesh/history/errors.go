// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// ErrConflict is that somebody else wrote the progress since it was read. It is read anew when it is asked for next, and
// what was decided on the old one has to be decided again.
var ErrConflict = errors.New("the progress of the rollout was changed by somebody else")

// Stuck is an error that no retry mends: a person has to do what it says.
type Stuck struct {
	// Message is a sentence for a condition: it names the object and the way out, and shows nothing of what is in it.
	Message string
}

// Error implements error.
func (e *Stuck) Error() string { return e.Message }

func tooLarge(size int) string {
	return fmt.Sprintf("profile, values and image of the spec are %d bytes as a release, and a ControllerRevision holds at most %d: shorten spec.values",
		size, maxData)
}

// unreadable is that an object holds something that was not written by this operator.
func unreadable(kind, namespace, name, what, loss string) error {
	return &Stuck{Message: fmt.Sprintf("%s %s/%s: %s cannot be read; it was edited, or written by a newer operator: correct it, or delete the %s, which %s",
		kind, namespace, name, what, kind, loss)}
}

// taken is that a name is in use by somebody else.
func taken(kind, namespace, name string, mesh *v1alpha1.Mesh) error {
	return &Stuck{Message: fmt.Sprintf("%s %s/%s does not belong to Mesh %s, which needs the name: delete it, or give it another name",
		kind, namespace, name, mesh.Name)}
}

// silent is an error of the API server that cannot show what was sent.
func silent(err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return fmt.Errorf("refused by the API server: %s", apierrors.ReasonForError(err))
	}
	return err
}
