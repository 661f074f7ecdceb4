// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

const maxMessage = 1 << 20

// webSocket sends back each message until the client goes, or the context is done.
func (s *server) webSocket(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.sockets.Add(1)
		defer s.sockets.Done()
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return // Accept has answered.
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(maxMessage)
		// A read whose context ends closes the connection without a word, so it is told first.
		stop := context.AfterFunc(ctx, func() { _ = c.Close(websocket.StatusGoingAway, "shutting down") })
		defer stop()
		for {
			kind, message, err := c.Read(context.WithoutCancel(r.Context()))
			if err != nil {
				return
			}
			if err := c.Write(context.WithoutCancel(r.Context()), kind, message); err != nil {
				return
			}
		}
	}
}
