// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Request is one request that was answered.
type Request struct {
	Method string
	// Path is the path of the object: for a creation that of the collection, with the name added.
	Path   string
	DryRun bool
	Watch  bool
	// Initial is true for a list, and for a watch that begins with one.
	Initial bool
	Body    string
	// Code is the HTTP status, 0 where there was no answer.
	Code int
}

// Write reports whether the request was meant to change something.
func (r Request) Write() bool { return r.Method != http.MethodGet && !r.DryRun }

// Done reports whether the API server did as asked.
func (r Request) Done() bool { return r.Code >= 200 && r.Code < 300 }

// Requests keeps all requests of a client, in the order in which they were sent. Wrap it round the client's transport.
type Requests struct {
	mu  sync.Mutex
	all []*sent
}

// sent is a request from the moment it is sent.
type sent struct {
	Request
	// answered is closed once the request is whole.
	answered chan struct{}
}

// Wrap is for rest.Config.Wrap.
func (r *Requests) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		seen, err := describe(req)
		if err != nil {
			return nil, err
		}
		entry := &sent{Request: seen, answered: make(chan struct{})}
		defer close(entry.answered)
		r.mu.Lock()
		r.all = append(r.all, entry)
		r.mu.Unlock()
		resp, err := next.RoundTrip(req)
		if resp != nil {
			entry.Code = resp.StatusCode
		}
		return resp, err
	})
}

// Select lists the answered requests that match, the oldest first.
func (r *Requests) Select(match func(Request) bool) []Request {
	var out []Request
	for _, req := range r.sent() {
		select {
		case <-req.answered:
			if match(req.Request) {
				out = append(out, req.Request)
			}
		default:
		}
	}
	return out
}

// Writes lists the requests that were meant to change something below a path, the oldest first. It waits for the
// answers to those on their way: what they did can be seen on the API server before.
func (r *Requests) Writes(path string) []Request {
	all := r.answered(func(method, sentTo string, _ bool) bool {
		return method != http.MethodGet && strings.Contains(sentTo, path)
	})
	return slices.DeleteFunc(all, func(req Request) bool { return !req.Write() })
}

// To lists all requests for one object, watches aside, and waits for the answers, too.
func (r *Requests) To(path string) []Request {
	return r.answered(func(_, sentTo string, watch bool) bool { return !watch && sentTo == path })
}

// answered are the requests that match by what is known of one on its way, once they are answered.
func (r *Requests) answered(match func(method, path string, watch bool) bool) []Request {
	var out []Request
	for _, req := range r.sent() {
		if match(req.Method, req.Path, req.Watch) {
			<-req.answered
			out = append(out, req.Request)
		}
	}
	return out
}

func (r *Requests) sent() []*sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// Forget starts anew.
func (r *Requests) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

func describe(req *http.Request) (Request, error) {
	query := req.URL.Query()
	seen := Request{
		Method: req.Method, Path: req.URL.Path,
		DryRun: slices.Contains(query["dryRun"], "All"), Watch: query.Get("watch") == "true",
	}
	seen.Initial = req.Method == http.MethodGet && (query.Get("sendInitialEvents") == "true" || query.Get("limit") != "")
	if req.Body == nil || req.Method == http.MethodGet {
		return seen, nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return seen, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	seen.Body = string(body)
	var object struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if req.Method == http.MethodPost && json.Unmarshal(body, &object) == nil {
		seen.Path += "/" + object.Metadata.Name
	}
	return seen, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
