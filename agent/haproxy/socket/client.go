// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// defaultTimeout bounds a batch whose context has no deadline.
const defaultTimeout = 10 * time.Second

// poll is the pause between two looks at what takes a while.
const poll = 2 * time.Millisecond

// Client sends commands to the worker that owns a socket at the time. It is safe for concurrent use and holds no
// connection, so it finds the new worker after a reload. The one before may still take a batch that is sent while the
// reload goes on; see AwaitWorker.
type Client struct {
	path string
	// transaction is held while a certificate or CA file is replaced: HAProxy has one transaction for all.
	transaction chan struct{}
}

// New is a client of the socket at a path. It need not exist yet.
func New(path string) *Client { return &Client{path: path, transaction: make(chan struct{}, 1)} }

// Command is one command of a batch. An invalid argument makes an error of it, which is that of the batch.
type Command struct {
	// name is the command without its values.
	name string
	// text is what is sent, with the payload and the newline at its end.
	text string
	// ok reports whether an answer, without space around it, means success; nil means that no answer does.
	ok func(answer string) bool
	// err says why there is no text.
	err error
}

// command is one line. The words of name are HAProxy's own and part of it.
func command(name string, ok func(string) bool, args ...string) Command {
	text, err := line(append(strings.Fields(name), args...)...)
	if err != nil {
		return Command{name: name, err: fmt.Errorf("%s: %w", name, err)}
	}
	return Command{name: name, text: text + "\n", ok: ok}
}

// with adds a payload.
func (c Command) with(lines ...string) Command {
	if c.err != nil {
		return c
	}
	body, err := payload(lines...)
	if err != nil {
		return Command{name: c.name, err: fmt.Errorf("%s: %w", c.name, err)}
	}
	c.text = strings.TrimSuffix(c.text, "\n") + " <<\n" + body + "\n"
	return c
}

func failed(name string, err error) Command {
	return Command{name: name, err: fmt.Errorf("%s: %w", name, err)}
}

// says is a condition of Command for answers that begin with one of the texts.
func says(texts ...string) func(string) bool {
	return func(answer string) bool {
		for _, text := range texts {
			if strings.HasPrefix(answer, text) {
				return true
			}
		}
		return false
	}
}

// Run sends the commands in one round trip. HAProxy runs all of them in order, also those after one that it
// refuses. The error joins those of all commands.
func (c *Client) Run(ctx context.Context, commands ...Command) error {
	results, err := c.RunEach(ctx, commands...)
	if err != nil {
		return err
	}
	return errors.Join(results...)
}

// RunEach is Run with one result per command, nil for success and *Refused for a refusal. Where err is not nil there is
// no result: nothing was sent if it is ErrValue, and what was run is unknown otherwise.
func (c *Client) RunEach(ctx context.Context, commands ...Command) (results []error, err error) {
	answers, err := c.ask(ctx, commands...)
	if err != nil {
		return nil, err
	}
	results = make([]error, len(commands))
	for i, command := range commands {
		results[i] = command.result(answers[i])
	}
	return results, nil
}

func (c Command) result(answer string) error {
	answer = strings.TrimSpace(answer)
	if c.ok == nil && answer == "" || c.ok != nil && c.ok(answer) {
		return nil
	}
	return refuse(c.name, answer)
}

// show sends one command whose answer is a text. One that is not ok is a refusal.
func (c *Client) show(ctx context.Context, name string, ok func(string) bool, args ...string) (string, error) {
	answers, err := c.ask(ctx, command(name, nil, args...))
	if err != nil {
		return "", err
	}
	if !ok(answers[0]) {
		return "", refuse(name, answers[0])
	}
	return answers[0], nil
}

// ask returns one answer per command.
func (c *Client) ask(ctx context.Context, commands ...Command) ([]string, error) {
	if len(commands) == 0 {
		return nil, nil
	}
	var text strings.Builder
	text.WriteString("prompt\n")
	for _, command := range commands {
		if command.err != nil {
			return nil, command.err
		}
		text.WriteString(command.text)
	}
	text.WriteString("quit\n")
	out, err := exchange(ctx, c.path, text.String(), false)
	if err != nil {
		return nil, fmt.Errorf("ask HAProxy for %q: %w", commands[0].name, err)
	}
	answers, err := split(out, len(commands))
	if err != nil {
		return nil, fmt.Errorf("ask HAProxy for %q: %w", commands[0].name, err)
	}
	return answers, nil
}

// exchange sends a text and returns everything up to the end of the connection. half says that nothing follows, for
// servers that would wait for more.
func exchange(ctx context.Context, path, text string, half bool) (string, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	// A context that ends stops reads and writes at once.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	written := make(chan error, 1)
	// HAProxy answers while it reads, and stops reading while nobody takes the answers.
	go func() {
		_, err := io.WriteString(conn, text)
		if err == nil && half {
			err = conn.(*net.UnixConn).CloseWrite()
		}
		written <- err
	}()
	out, err := io.ReadAll(conn)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil && len(out) == 0 {
		return "", errors.Join(err, <-written)
	}
	// An answer that is not complete shows when it is taken apart.
	return string(out), nil
}

// split takes apart what HAProxy sent to a batch of n commands. Each answer ends with a prompt on a line of its own;
// the first prompt answers the command that turned it on. No answer has such a line inside: HAProxy escapes what
// comes from clients, and what comes from here has no newline.
func split(out string, n int) ([]string, error) {
	const prompt = "\n> "
	answers := strings.Split(out, prompt)
	if len(answers) != n+2 || answers[0] != "" || answers[n+1] != "" {
		return nil, fmt.Errorf("%w: %d answers to %d commands", ErrProtocol, max(len(answers)-2, 0), n)
	}
	answers = answers[1 : n+1]
	for i, answer := range answers {
		// 2.6 asks for each line of a payload.
		for strings.HasPrefix(answer, "+ ") {
			answer = answer[len("+ "):]
		}
		answers[i] = answer
	}
	return answers, nil
}
