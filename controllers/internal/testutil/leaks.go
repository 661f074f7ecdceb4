// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

const leakLabel = "fairlead-test"

// Track runs a function whose goroutines, and all that those start, can be told from others by the name.
func Track(ctx context.Context, name string, run func(context.Context)) {
	pprof.Do(ctx, pprof.Labels(leakLabel, name), run)
}

// NoLeaks fails the test if tracked goroutines do not end.
func NoLeaks(tb testing.TB, name string, within time.Duration) {
	tb.Helper()
	Eventually(tb, within, "goroutines of "+name+" ended", func() (bool, string) {
		left := tracked(tb, name)
		return len(left) == 0, "left are:\n" + strings.Join(left, "\n\n")
	})
}

// tracked lists the stacks of the tracked goroutines.
func tracked(tb testing.TB, name string) []string {
	tb.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		tb.Fatal(err)
	}
	var left []string
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		// A connection belongs to the transport that keeps it, whoever asked for it first.
		pooled := strings.Contains(record, "ClientConn).readLoop") || strings.Contains(record, "net/http.(*persistConn).")
		if strings.Contains(record, `"`+leakLabel+`":"`+name+`"`) && !pooled {
			left = append(left, record)
		}
	}
	return left
}
