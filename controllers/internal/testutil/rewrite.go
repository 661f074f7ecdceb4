// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// Rewrite changes the objects of a resource in all answers, as an API server of another version would
// read them from its store: fields appear under an old resourceVersion.
type Rewrite struct {
	// Resource is the plural name of the resource.
	Resource string
	// Object changes an object in place.
	Object func(map[string]any)

	on atomic.Bool
}

// Enable switches the change on: the API server was upgraded.
func (r *Rewrite) Enable() { r.on.Store(true) }

// Wrap is for rest.Config.Wrap.
func (r *Rewrite) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil || resp.StatusCode >= 300 || !strings.Contains(req.URL.Path+"/", "/"+r.Resource+"/") {
			return resp, err
		}
		if req.URL.Query().Get("watch") == "true" {
			resp.Body = r.watch(resp.Body)
			return resp, nil
		}
		if !r.on.Load() {
			return resp, nil
		}
		return resp, r.answer(resp)
	})
}

func (r *Rewrite) answer(resp *http.Response) error {
	defer func(body io.Closer) { _ = body.Close() }(resp.Body)
	var object map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&object); err != nil {
		return err
	}
	if items, ok := object["items"].([]any); ok {
		for _, item := range items {
			r.change(item)
		}
	} else {
		r.change(object)
	}
	body, err := json.Marshal(object)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return err
}

func (r *Rewrite) change(item any) {
	if object, ok := item.(map[string]any); ok {
		r.Object(object)
	}
}

// watch rewrites a stream of events.
func (r *Rewrite) watch(body io.ReadCloser) io.ReadCloser {
	in, out := io.Pipe()
	go func() {
		decoder := json.NewDecoder(body)
		encoder := json.NewEncoder(out)
		for {
			var event map[string]any
			err := decoder.Decode(&event)
			if err == nil {
				if r.on.Load() && event["type"] != "BOOKMARK" && event["type"] != "ERROR" {
					r.change(event["object"])
				}
				err = encoder.Encode(event)
			}
			if err != nil {
				_ = out.CloseWithError(err)
				return
			}
		}
	}()
	return &pipedBody{PipeReader: in, source: body}
}

type pipedBody struct {
	*io.PipeReader
	source io.Closer
}

func (b *pipedBody) Close() error {
	_ = b.PipeReader.Close()
	return b.source.Close()
}
