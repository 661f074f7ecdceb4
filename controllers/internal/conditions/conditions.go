// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conditions turns verdicts into the conditions of a status.
package conditions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/controllers/internal/apply"
)

// StaysInForce ends the message of a condition about something that is not put in force.
const StaysInForce = "; what was in force stays in force"

// Verdict is what one condition says; the zero Verdict is a condition that does not apply and is left out.
type Verdict struct {
	Status          metav1.ConditionStatus
	Reason, Message string
}

// DoesNotApply leaves a condition out.
var DoesNotApply = Verdict{}

// No is False for a reason.
func No(reason, format string, args ...any) Verdict {
	return Verdict{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

// Yes is True for a reason.
func Yes(reason, format string, args ...any) Verdict {
	return Verdict{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

// Unknown is neither.
func Unknown(reason, format string, args ...any) Verdict {
	return Verdict{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

// Condition is a verdict with the type of its condition.
type Condition struct {
	Type    string
	Verdict Verdict
}

// Set puts the verdicts on a generation into a list of conditions.
func Set(list *[]metav1.Condition, generation int64, all ...Condition) {
	for _, c := range all {
		if c.Verdict == DoesNotApply {
			meta.RemoveStatusCondition(list, c.Type)
			continue
		}
		meta.SetStatusCondition(list, metav1.Condition{
			Type: c.Type, Status: c.Verdict.Status, Reason: c.Verdict.Reason,
			Message: Cut(c.Verdict.Message), ObservedGeneration: generation,
		})
	}
}

// Cut bounds a message far below the API's limit of 32768 bytes: a person reads it.
func Cut(message string) string {
	const most = 512
	if len(message) > most {
		message = message[:most-len("…")] + "…"
	}
	// The API server would replace what is no UTF-8, and the status would never be as computed.
	return strings.ToValidUTF8(message, "")
}

// Sample is a number and the first thing counted, in the order of the alphabet.
type Sample struct {
	Count int
	First string
}

// Add counts one thing.
func (s *Sample) Add(text string) {
	s.Count++
	if s.First == "" || text < s.First {
		s.First = text
	}
}

// String tells the first, and how many more there are.
func (s *Sample) String() string {
	if s.Count <= 1 {
		return s.First
	}
	return fmt.Sprintf("%s (and %d more)", s.First, s.Count-1)
}

// ContestText says which field is broken again and again, and by whom.
func ContestText(contest apply.Contest) string {
	field := contest.Field
	if field == "" {
		field = "the object as a whole"
	}
	return fmt.Sprintf("%s: %s by %s", contest.Ref, field, contest.Manager)
}

// FailureClass names an error for a condition's message, without texts that differ from try to try.
func FailureClass(err error) string {
	if err == nil {
		return ""
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Reason != "" {
		return string(status.Status().Reason)
	}
	var connection net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &connection) && connection.Timeout():
		return "Timeout"
	case connection != nil:
		return "ConnectionFailed"
	default:
		return "Failed"
	}
}
