// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	maxSize   = 1 << 30
	maxChunks = 1 << 20
	maxTime   = time.Hour
)

// knobs are what the query asks for.
type knobs struct {
	status, size, chunks  int
	delay, interval, burn time.Duration
}

func parseKnobs(query url.Values) (knobs, error) {
	k := knobs{status: http.StatusOK}
	for _, number := range []struct {
		name     string
		to       *int
		min, max int
	}{
		{"status", &k.status, 200, 599},
		{"size", &k.size, 0, maxSize},
		{"chunks", &k.chunks, 0, maxChunks},
	} {
		text := query.Get(number.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < number.min || n > number.max {
			return k, fmt.Errorf("%s=%q: want a number from %d to %d", number.name, text, number.min, number.max)
		}
		*number.to = n
	}
	for name, to := range map[string]*time.Duration{"delay": &k.delay, "interval": &k.interval, "burn": &k.burn} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > maxTime {
			return k, fmt.Errorf("%s=%q: want a duration from 0s to %s, like 200ms", name, text, maxTime)
		}
		*to = d
	}
	return k, nil
}

// stream sends lines, each as soon as it is due.
func (k knobs) stream(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(k.status)
	control := http.NewResponseController(w)
	for i := range k.chunks {
		if i > 0 && !sleep(r.Context(), k.interval) {
			return
		}
		_, err := fmt.Fprintf(w, "%s %d/%d\n", name, i+1, k.chunks)
		if err != nil || control.Flush() != nil {
			return
		}
	}
}

func (k knobs) fill(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(k.size))
	w.WriteHeader(k.status)
	_, _ = io.CopyN(w, dots{}, int64(k.size))
}

// dots is an endless reader.
type dots struct{}

func (dots) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '.'
	}
	return len(p), nil
}

// sleep reports whether the time passed before the client went away.
func sleep(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// burn uses CPU time, not time: under a limit it takes longer.
func burn(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for end := threadTime() + d; threadTime() < end && ctx.Err() == nil; {
		for range 10_000 {
			// Busy.
		}
	}
}

func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD of getrusage(2)
	var usage syscall.Rusage
	if err := syscall.Getrusage(thread, &usage); err != nil {
		panic(err) // Only a wrong argument makes it fail.
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
