// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cluster keeps a Kubernetes cluster of one node in the background of a work tree.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/test/cluster"
	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/images"
	"github.com/fairlead/fairlead/test/operator"
)

const usage = `Keeps a Kubernetes cluster of one node running in the background: control plane, containerd, kubelet, kube-proxy,
CoreDNS, metrics-server, and addresses for Services of type LoadBalancer. It needs root on Linux.

Usage: cluster [-dir DIR] COMMAND

  up              start what does not run, and wait until it is ready; what is stored is kept
  down            stop it and remove everything that it left on this machine, packages aside
  status          say what runs; exits 1 where that is not all
  load [NAME...]  build images and load them into the cluster; without names all of them:
                  %s
  exec COMMAND    run a command where Services and pods have their addresses

Environment:
  FAIRLEAD_CACHE  root of the cache of binaries and images
  IMG             name that the operator's image gets

Flags:
`

var errNotRunning = errors.New("the cluster does not run; start it with \"make cluster-up\"")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir := flag.String("dir", ".run", "folder of the kubeconfig and of the state")
	flag.Usage = func() {
		_, _ = fmt.Fprintf(flag.CommandLine.Output(), usage, strings.Join(images.Names(), " "))
		flag.PrintDefaults()
	}
	flag.Parse()
	log.SetLogger(logr.Discard()) // The libraries' own words would stand between the lines.
	if err := run(ctx, *dir, flag.Args()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, args []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if len(args) > 0 && command != "load" && command != "exec" {
		return fmt.Errorf("%s takes no arguments, has %q", command, args)
	}
	switch command {
	case "up":
		return daemon.Locked(dir, func() error { return up(ctx, dir) })
	case "down":
		return daemon.Locked(dir, func() error { return down(dir) })
	case "load":
		return daemon.Locked(dir, func() error { return load(ctx, dir, args) })
	case "status":
		return status(ctx, dir)
	case "exec":
		return execute(dir, args)
	default:
		flag.Usage()
		return fmt.Errorf("want one of up, down, status, load and exec, have %q", command)
	}
}

// progress prints lines with the time since its making.
func progress() func(format string, args ...any) {
	began := time.Now()
	return func(format string, args ...any) {
		fmt.Printf("[%5.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func up(ctx context.Context, dir string) error {
	root, err := operator.Root()
	if err != nil {
		return err
	}
	began := time.Now()
	c, err := cluster.Up(ctx, cluster.Options{Dir: dir, Root: root, Log: progress()})
	if err != nil {
		return err
	}
	fmt.Printf("ready at %s after %.1f s; Services of type LoadBalancer get addresses of %s\n",
		c.Config().Host, time.Since(began).Seconds(), c.Pool())
	fmt.Printf("look around: KUBECONFIG=%s kubectl get pods -A\n", c.Kubeconfig())
	return nil
}

func open(dir string) (*cluster.Cluster, error) {
	c, err := cluster.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotRunning
	}
	return c, err
}

func down(dir string) error {
	c, err := cluster.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("there is no cluster in", dir)
		return nil
	}
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.Down(); err != nil {
		return err
	}
	fmt.Printf("stopped, and removed everything of it, in %.1f s\n", time.Since(began).Seconds())
	return nil
}

func status(ctx context.Context, dir string) error {
	c, err := open(dir)
	if err != nil {
		return err
	}
	for _, s := range c.Status() {
		fmt.Println(s)
	}
	if !c.Running() {
		return errNotRunning
	}
	fmt.Printf("%-24s %s\n%-24s %s\n\n", "kubeconfig", c.Kubeconfig(), "addresses", c.Pool())
	overview, err := c.Overview(ctx)
	fmt.Print(overview)
	return err
}

func load(ctx context.Context, dir string, names []string) error {
	c, err := open(dir)
	if err != nil {
		return err
	}
	if !c.Running() {
		return errNotRunning
	}
	if len(names) == 0 {
		names = images.Names()
	}
	return c.BuildAndLoad(ctx, progress(), names...)
}

func execute(dir string, args []string) error {
	c, err := open(dir)
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("exec needs a command, like: exec curl http://10.96.0.1")
	}
	enter := append(c.Enter(), args...)
	path, err := exec.LookPath(enter[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, enter, os.Environ())
}
