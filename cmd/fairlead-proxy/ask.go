// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"
)

const askTimeout = 10 * time.Second

// ask sends a command to HAProxy's runtime socket and prints the answer: HAProxy's image has no shell and no socat for
// a person who wants to look.
func ask(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("fairlead-proxy ask", flag.ContinueOnError)
	dir := flags.String("dir", "/run/fairlead", "Folder of the sockets.")
	flags.SetOutput(out)
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := strings.Join(flags.Args(), " ")
	if command == "" || strings.ContainsAny(command, "\r\n") {
		return fmt.Errorf("ask needs one command of HAProxy, like %q", "show servers state")
	}
	connection, err := net.DialTimeout("unix", filepath.Join(*dir, "admin.sock"), askTimeout)
	if err != nil {
		return fmt.Errorf("reach HAProxy: %w", err)
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(askTimeout))
	if _, err := fmt.Fprintln(connection, command); err != nil {
		return fmt.Errorf("ask HAProxy: %w", err)
	}
	if _, err := io.Copy(out, connection); err != nil {
		return fmt.Errorf("read HAProxy's answer: %w", err)
	}
	return nil
}
