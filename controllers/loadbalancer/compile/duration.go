// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"time"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

// DrainTimeout is the default of spec.drainTimeout.
const DrainTimeout = 5 * time.Minute

// bounds of a duration, in the words of a message too.
type bounds struct{ least, most time.Duration }

var (
	// timeoutBounds end far below what proxies count in 32 bits of milliseconds.
	timeoutBounds = bounds{time.Millisecond, time.Duration(model.MaxDuration)}
	drainBounds   = bounds{time.Second, time.Hour}
	periodBounds  = bounds{time.Second, 24 * time.Hour}
)

// duration parses a duration of the spec. Where it is unset, cannot be read or is out of bounds the default stands.
func (c *compiler) duration(field string, text v1alpha1.Duration, byDefault time.Duration, within bounds) model.Duration {
	if text == "" {
		return model.Duration(byDefault)
	}
	got, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		c.problem(field, v1alpha1.ProblemInvalid, "%.20q is no duration like 1m30s; %s", text, instead(byDefault))
	case got < within.least || got > within.most:
		c.problem(field, v1alpha1.ProblemInvalid, "%s is not between %s and %s; %s", text, words(within.least), words(within.most), instead(byDefault))
	default:
		return model.Duration(got)
	}
	return model.Duration(byDefault)
}

func instead(byDefault time.Duration) string {
	if byDefault == 0 {
		return "it is left out"
	}
	return words(byDefault) + " is used"
}

// words writes a duration without zeros at its end: 5m, not 5m0s.
func words(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		zeros  int
	}{{time.Hour, len("0m0s")}, {time.Minute, len("0s")}} {
		if d >= unit.length && d%unit.length == 0 {
			text := d.String()
			return text[:len(text)-unit.zeros]
		}
	}
	return d.String()
}
