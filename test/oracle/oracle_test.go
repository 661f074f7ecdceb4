// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("seed", 20260801, "what the generated cases follow from")
	cases = flag.Int("cases", 100_000, "how many cases each test compares")
)

const chunks = 50

func TestMain(m *testing.M) {
	// The tests are one long stream of short-lived objects; a larger heap means fewer collections.
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// run spreads the cases over parallel chunks, each with its own stream of the seed, and prints what they were.
// The least percentages keep the generator honest: a test of cases that all pass would show nothing.
func run(t *testing.T, one func(s *apiServer, c chooser, counts tally) error, least tally) {
	t.Helper()
	start := time.Now()
	total, mu := tally{}, sync.Mutex{}
	t.Run("chunks", func(t *testing.T) {
		for chunk := range chunks {
			t.Run(fmt.Sprint(chunk), func(t *testing.T) {
				t.Parallel()
				counts := runChunk(t, uint64(chunk), one)
				mu.Lock()
				defer mu.Unlock()
				total.add(counts)
			})
		}
	})
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(total)) {
		fmt.Fprintf(&lines, "\n%-60s %7d", key, total[key])
	}
	t.Logf("%d cases in %s on %d cores:%s", *cases/chunks*chunks, time.Since(start).Round(time.Millisecond),
		runtime.GOMAXPROCS(0), lines.String())
	for key, percent := range least {
		if least := *cases / chunks * chunks * percent / 100; total[key] < least {
			t.Errorf("%s: %d cases, want at least %d", key, total[key], least)
		}
	}
}

func runChunk(t *testing.T, chunk uint64, one func(*apiServer, chooser, tally) error) tally {
	s, err := newAPIServer()
	if err != nil {
		t.Fatal(err)
	}
	counts := tally{}
	c := newRandomChooser(*seed, chunk)
	for i := range *cases / chunks {
		if err := one(s, c, counts); err != nil {
			t.Fatalf("case %d of chunk %d: %v", i, chunk, err)
		}
	}
	return counts
}

func comparePodScenario(s *apiServer, c chooser, counts tally) error {
	sc := newPodScenario(c)
	return sc.explain(s.comparePod(sc, counts))
}

func compareClaimScenario(s *apiServer, c chooser, counts tally) error {
	sc := newClaimScenario(c)
	return sc.explain(s.compareClaim(sc, counts))
}

func compareItemScenario(_ *apiServer, c chooser, counts tally) error {
	return compareItem(newItem(c), counts)
}

// explain adds the case to an error, as JSON that can be pasted into a table test.
func (sc *scenario) explain(err error) error {
	if err == nil {
		return nil
	}
	text, _ := json.MarshalIndent(map[string]any{"limits": sc.items, "pod": sc.pod, "claim": sc.claim}, "", " ")
	return fmt.Errorf("%w\n%s", err, text)
}

func TestPods(t *testing.T) {
	run(t, comparePodScenario, tally{
		"pods": 100,
		"pods under a LimitRange that the API server accepts": 50,
		"pods valid without limits":                           33,
		"pods refused by the plugin":                          25,
		"pods made invalid by defaults":                       5,
		"pods changed":                                        25,
		"pods left as they are":                               2,
		"pods with pod-level resources":                       10,
	})
}

func TestClaims(t *testing.T) {
	run(t, compareClaimScenario, tally{"claims": 100, "claims refused": 10})
}

func TestLimitRangeItems(t *testing.T) {
	run(t, compareItemScenario, tally{"items": 100, "items that the API server accepts": 25})
}

// FuzzLimitRanger looks beyond the fixed seed: each byte of the input is one decision of the generator.
func FuzzLimitRanger(f *testing.F) {
	for i := range byte(8) {
		data := make([]byte, 256)
		c := newRandomChooser(*seed, uint64(i))
		for j := range data {
			data[j] = byte(c.below(256))
		}
		f.Add(data)
	}
	// One input runs after the other, so they can share one.
	s, err := newAPIServer()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, err := range []error{
			comparePodScenario(s, &byteChooser{data}, tally{}),
			compareClaimScenario(s, &byteChooser{data}, tally{}),
			compareItemScenario(s, &byteChooser{data}, tally{}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}
