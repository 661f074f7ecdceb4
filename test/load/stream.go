// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const beat = 50 * time.Millisecond

// Cut is a stream that ended though nobody asked it to.
type Cut struct {
	Began, Ended time.Time
	Cause        string
}

// Streams keeps streams open, sends a line on each every 50 ms and waits for it to come back. One that is cut is
// opened again.
type Streams struct {
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu    sync.Mutex
	cuts  []Cut
	lines int64
	// refused are those that could not be opened.
	refused []Failure
}

// StreamResult is what came of streams.
type StreamResult struct {
	// Lines is how many came back.
	Lines   int64
	Cuts    []Cut
	Refused []Failure
}

// StartTCP opens streams to an address that greets with a line and sends back each line.
func StartTCP(ctx context.Context, address string, number int) *Streams {
	return start(ctx, number, func(ctx context.Context) (stream, error) {
		c, err := (&net.Dialer{Timeout: requestTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		s := &tcpStream{Conn: c, reader: bufio.NewReader(c)}
		if _, err := s.reader.ReadString('\n'); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("read the greeting: %w", err)
		}
		return s, nil
	})
}

// StartWebSockets opens WebSockets to a URL that sends back each message.
func StartWebSockets(ctx context.Context, url string, number int) *Streams {
	return start(ctx, number, func(ctx context.Context) (stream, error) {
		c, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // The library closes it.
		if err != nil {
			return nil, err
		}
		return &socketStream{c}, nil
	})
}

// Stop closes all streams.
func (s *Streams) Stop() StreamResult {
	s.cancel()
	s.workers.Wait()
	return StreamResult{Lines: s.lines, Cuts: s.cuts, Refused: s.refused}
}

type stream interface {
	// echo sends a line and waits for it to come back.
	echo(line string) error
	Close() error
}

func start(ctx context.Context, number int, open func(context.Context) (stream, error)) *Streams {
	ctx, cancel := context.WithCancel(ctx)
	s := &Streams{cancel: cancel}
	for range number {
		s.workers.Go(func() {
			for ctx.Err() == nil {
				s.one(ctx, open)
			}
		})
	}
	return s
}

// one opens a stream and uses it until it is cut or the context is done.
func (s *Streams) one(ctx context.Context, open func(context.Context) (stream, error)) {
	opening, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	began := time.Now()
	c, err := open(opening)
	if err != nil {
		s.mu.Lock()
		s.refused = append(s.refused, Failure{At: time.Now(), Cause: err.Error()})
		s.mu.Unlock()
		wait(ctx)
		return
	}
	defer func() { _ = c.Close() }()
	for i := 0; ctx.Err() == nil; i++ {
		err := c.echo(strconv.Itoa(i))
		s.mu.Lock()
		if err != nil {
			s.cuts = append(s.cuts, Cut{Began: began, Ended: time.Now(), Cause: err.Error()})
			s.mu.Unlock()
			return
		}
		s.lines++
		s.mu.Unlock()
		wait(ctx)
	}
}

func wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(beat):
	}
}

type tcpStream struct {
	net.Conn
	reader *bufio.Reader
}

func (s *tcpStream) echo(line string) error {
	_ = s.SetDeadline(time.Now().Add(requestTimeout))
	if _, err := fmt.Fprintln(s.Conn, line); err != nil {
		return err
	}
	back, err := s.reader.ReadString('\n')
	if err == nil && back != line+"\n" {
		err = fmt.Errorf("%q came back as %q", line, back)
	}
	return err
}

type socketStream struct{ *websocket.Conn }

// Close ends the socket at once.
func (s *socketStream) Close() error { return s.CloseNow() }

func (s *socketStream) echo(line string) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := s.Write(ctx, websocket.MessageText, []byte(line)); err != nil {
		return err
	}
	_, back, err := s.Read(ctx)
	if err == nil && string(back) != line {
		err = fmt.Errorf("%q came back as %q", line, back)
	}
	return err
}
