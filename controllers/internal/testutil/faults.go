// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fault answers a request in place of the API server; next is the way to it.
type Fault func(req *http.Request, next http.RoundTripper) (*http.Response, error)

// Faults are injected between a client and the API server. Wrap it round the client's transport.
type Faults struct {
	mu      sync.Mutex
	armed   []*armed
	watches map[*cutBody]struct{}
}

type armed struct {
	match func(Request) bool
	times int
	fault Fault
}

// errConnection is what a client sees where a connection breaks.
var errConnection = errors.New("connection lost (injected)")

// Wrap is for rest.Config.Wrap.
func (f *Faults) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		seen, err := describe(req)
		if err != nil {
			return nil, err
		}
		if fault := f.take(seen); fault != nil {
			return fault(req, next)
		}
		resp, err := next.RoundTrip(req)
		if err == nil && req.URL.Query().Get("watch") == "true" {
			resp.Body = f.cuttable(resp.Body)
		}
		return resp, err
	})
}

// Inject arms a fault for the next requests that match.
func (f *Faults) Inject(times int, match func(Request) bool, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, &armed{match: match, times: times, fault: fault})
}

// Left is the number of faults that have not struck yet.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := 0
	for _, a := range f.armed {
		left += a.times
	}
	return left
}

// Clear disarms all faults.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
}

func (f *Faults) take(req Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.armed {
		if a.times > 0 && a.match(req) {
			a.times--
			return a.fault
		}
	}
	return nil
}

// CutWatches breaks the connections of all watches and returns how many there were.
func (f *Faults) CutWatches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	cut := len(f.watches)
	for body := range f.watches {
		body.cut()
	}
	f.watches = nil
	return cut
}

func (f *Faults) cuttable(body io.ReadCloser) io.ReadCloser {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watches == nil {
		f.watches = map[*cutBody]struct{}{}
	}
	cuttable := &cutBody{ReadCloser: body, closed: func(b *cutBody) {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watches, b)
	}}
	f.watches[cuttable] = struct{}{}
	return cuttable
}

// cutBody is a body whose reads fail once it is cut.
type cutBody struct {
	io.ReadCloser
	closed func(*cutBody)
}

func (b *cutBody) cut() { _ = b.ReadCloser.Close() }

func (b *cutBody) Close() error {
	b.closed(b)
	return b.ReadCloser.Close()
}

// Answer is a fault that answers with a status and never asks the API server.
func Answer(code int, reason metav1.StatusReason, retryAfter time.Duration) Fault {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		body, err := json.Marshal(metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "injected",
		})
		if err != nil {
			return nil, err
		}
		header := http.Header{"Content-Type": {"application/json"}}
		if retryAfter > 0 {
			header.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		}
		return &http.Response{
			Status: fmt.Sprint(code), StatusCode: code, Header: header, Request: req,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
}

// LoseAnswer is a fault that lets the API server do as asked and tells the client nothing of it.
func LoseAnswer(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return nil, errors.Join(errConnection, resp.Body.Close())
}

// Refuse is a fault that breaks the connection before the API server sees the request.
func Refuse(*http.Request, http.RoundTripper) (*http.Response, error) { return nil, errConnection }

// Hang is a fault that answers nothing until the client gives up.
func Hang(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}
