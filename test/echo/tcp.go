// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// tcpServer greets with its name and sends back lines.
type tcpServer struct {
	name       string
	showRemote bool

	mu       sync.Mutex
	draining bool
	open     map[net.Conn]struct{}
	handlers sync.WaitGroup
}

func (t *tcpServer) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !t.add(c) {
			_ = c.Close()
			continue
		}
		go func() {
			defer t.remove(c)
			t.handle(c)
		}()
	}
}

func (t *tcpServer) handle(c net.Conn) {
	greeting := t.name
	if t.showRemote {
		greeting += " " + c.RemoteAddr().String()
	}
	if _, err := io.WriteString(c, greeting+"\n"); err != nil {
		return
	}
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadSlice('\n')
		// A long line goes back in pieces, and the last one may lack its end.
		if len(line) > 0 {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// drain ends each connection as soon as what was read from it is sent back.
func (t *tcpServer) drain() {
	t.mu.Lock()
	t.draining = true
	for c := range t.open {
		_ = c.SetReadDeadline(time.Now())
	}
	t.mu.Unlock()
	t.handlers.Wait()
}

func (t *tcpServer) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining {
		return false
	}
	if t.open == nil {
		t.open = map[net.Conn]struct{}{}
	}
	t.open[c] = struct{}{}
	t.handlers.Add(1)
	return true
}

func (t *tcpServer) remove(c net.Conn) {
	_ = c.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	t.handlers.Done()
}
