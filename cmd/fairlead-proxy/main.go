// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fairlead-proxy is the first process of HAProxy's container. It waits for the first configuration, starts
// HAProxy as master and workers, checks configurations when the agent beside it asks, and stops HAProxy without
// cutting what it serves.
//
// It keeps nothing: where HAProxy dies, so does it, and the container starts anew with the last good configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const usage = `fairlead-proxy runs HAProxy for the agent beside it.

Usage:
  fairlead-proxy run [flags]       start HAProxy as soon as there is a configuration
  fairlead-proxy install FOLDER    copy this program into a folder
  fairlead-proxy ask COMMAND       print HAProxy's answer to a command for its runtime socket, like "show servers state"

Flags of run:
`

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	code, err := command(os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		slog.Error("fairlead-proxy failed", "error", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// command returns the exit status.
func command(args []string, out io.Writer) (int, error) {
	if len(args) == 2 && args[0] == "install" {
		return 0, install(args[1])
	}
	if len(args) > 0 && args[0] == "ask" {
		return 0, ask(args[1:], os.Stdout)
	}
	var o options
	flags := flag.NewFlagSet("fairlead-proxy", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.dir, "dir", "/run/fairlead", "Folder of the configuration and the sockets, shared with the agent.")
	flags.DurationVar(&o.delay, "delay", 5*time.Second, "How long to go on serving new connections after SIGTERM, so that all who send some have learned of the end.")
	flags.StringVar(&o.program, "haproxy", "", "Path of HAProxy; empty looks in $PATH, /usr/local/sbin and /usr/sbin.")
	if len(args) == 0 || args[0] != "run" {
		flags.Usage()
		if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
			return 0, flag.ErrHelp
		}
		return 2, errors.New("the first argument must be run, install or ask")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return 2, err
	}
	if flags.NArg() > 0 || o.delay < 0 {
		return 2, fmt.Errorf("unknown argument %q, or a negative delay", flags.Arg(0))
	}
	return start(o)
}

func start(o options) (int, error) {
	var err error
	if o.program, err = find(o.program); err != nil {
		return 1, err
	}
	// Clean, so that paths below it can be told from others.
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return 1, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	defer stop()
	return newSupervisor(o).run(ctx)
}

// find gives the path of HAProxy: images have it in different places, and not always in their $PATH.
func find(program string) (string, error) {
	names := []string{program}
	if program == "" {
		names = []string{"haproxy", "/usr/local/sbin/haproxy", "/usr/sbin/haproxy"}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no HAProxy in this image: looked for %q", names)
}

// install copies this program, for a container whose image does not have it. What is there is replaced as a whole.
func install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp(dir, ".fairlead-proxy-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Chmod(0o755)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Rename(to.Name(), filepath.Join(dir, "fairlead-proxy"))
	}
	if err != nil {
		_ = os.Remove(to.Name())
		return fmt.Errorf("install into %s: %w", dir, err)
	}
	return nil
}
