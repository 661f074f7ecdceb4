// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	// mapChunk is the payload of one "add map"; below maxLine.
	mapChunk = 12000
	// mapBatch is how many chunks travel in one round trip.
	mapBatch = 64
)

// Entry is one of a map.
type Entry struct {
	// Key has no space in it.
	Key string
	// Value has no space at its ends, and may be empty.
	Value string
}

// check refuses what would come back different. HAProxy takes a key up to the first space, and a line that begins with
// a number sign for a comment when it reads it from a file.
func (e Entry) check() error {
	if e.Key == "" || strings.ContainsFunc(e.Key, unicode.IsSpace) || e.Key[0] == '#' {
		return fmt.Errorf("%w: %q is no key of a map", ErrValue, e.Key)
	}
	if e.Value != strings.TrimSpace(e.Value) {
		return fmt.Errorf("%w: the value of %q has space at an end", ErrValue, e.Key)
	}
	return errors.Join(printable(e.Key), printable(e.Value))
}

// Map is the entries of a map, in order: ErrNotFound if there is no such map. The name is that of its file.
func (c *Client) Map(ctx context.Context, name string) ([]Entry, error) {
	if err := named("map", name); err != nil {
		return nil, err
	}
	answer, err := c.show(ctx, "show map", func(a string) bool { return a == "" || strings.HasPrefix(a, "0x") }, name)
	if err != nil {
		return nil, err
	}
	return parseMap(answer)
}

func parseMap(answer string) ([]Entry, error) {
	var entries []Entry
	for l := range strings.Lines(answer) {
		l = strings.TrimSuffix(l, "\n")
		if l == "" {
			continue
		}
		_, l, ok := strings.Cut(l, " ")
		if !ok {
			return nil, fmt.Errorf("%w: an entry of a map without a key", ErrProtocol)
		}
		key, value, _ := strings.Cut(l, " ")
		entries = append(entries, Entry{Key: key, Value: value})
	}
	return entries, nil
}

// AddMap adds an entry, also where the key has one: lookups see the first.
func AddMap(name string, e Entry) Command {
	return ofMap("add map", name, e)
}

// SetMap changes the value of a key: ErrNotFound if the map does not have it.
func SetMap(name string, e Entry) Command {
	return ofMap("set map", name, e)
}

// DelMap removes all entries of a key: ErrNotFound if the map has none.
func DelMap(name, key string) Command {
	const what = "del map"
	if err := errors.Join(named("map", name), Entry{Key: key}.check()); err != nil {
		return failed(what, err)
	}
	return command(what, nil, name, key)
}

func ofMap(what, name string, e Entry) Command {
	if err := errors.Join(named("map", name), e.check()); err != nil {
		return failed(what, err)
	}
	if e.Value == "" {
		return failed(what, fmt.Errorf("%w: an empty value needs ReplaceMap", ErrValue))
	}
	return command(what, nil, name, e.Key, e.Value)
}

// ReplaceMap gives a map these entries in this order. Lookups see the old entries or the new ones, never a mixture. On an
// error the old ones stay.
func (c *Client) ReplaceMap(ctx context.Context, name string, entries []Entry) error {
	if err := named("map", name); err != nil {
		return err
	}
	chunks, err := mapChunks(entries)
	if err != nil {
		return err
	}
	const created = "New version created: "
	answer, err := c.show(ctx, "prepare map", says(created), name)
	if err != nil {
		return err
	}
	version := "@" + strings.TrimSpace(strings.TrimPrefix(answer, created))
	if err := c.fillMap(ctx, version, name, chunks); err != nil {
		// What was added under a version that is not committed stays in memory until a later commit.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultTimeout)
		defer cancel()
		_ = c.Run(cleanup, command("clear map", nil, version, name))
		return err
	}
	return c.Run(ctx, command("commit map", nil, version, name))
}

func (c *Client) fillMap(ctx context.Context, version, name string, chunks [][]string) error {
	for len(chunks) > 0 {
		n := min(len(chunks), mapBatch)
		commands := make([]Command, n)
		for i, chunk := range chunks[:n] {
			commands[i] = command("add map", nil, version, name).with(chunk...)
		}
		if err := c.Run(ctx, commands...); err != nil {
			return err
		}
		chunks = chunks[n:]
	}
	return nil
}

// mapChunks are the lines of payloads. In a payload nothing is escaped.
func mapChunks(entries []Entry) ([][]string, error) {
	var chunks [][]string
	size := mapChunk
	for _, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
		l := e.Key + " " + e.Value
		if len(l) >= mapChunk {
			return nil, fmt.Errorf("%w: the entry of %q has %d bytes, the limit is %d", ErrValue, e.Key, len(l), mapChunk-1)
		}
		if size += len(l) + 1; size > mapChunk {
			chunks, size = append(chunks, nil), len(l)+1
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], l)
	}
	return chunks, nil
}
