// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command controlplane keeps a Kubernetes control plane in the background of a work tree.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/test/cluster"
	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/daemon"
)

const usage = `Keeps etcd, kube-apiserver and kube-controller-manager running in the background.

Usage: controlplane [-dir DIR] up|down|status

  up      start what does not run, and wait until it is ready; what is stored is kept
  down    stop what up started, and remove what is stored
  status  say what runs; exits 1 where that is not all

Environment:
  KUBEBUILDER_ASSETS   folder with the binaries, instead of those of "make kubernetes"
  FAIRLEAD_KUBERNETES  Kubernetes release to run, like v1.30.14
  FAIRLEAD_CACHE       root of the cache of binaries

Flags:
`

var errCluster = errors.New("a cluster runs here, which is a control plane as well: use it, or stop it with \"make cluster-down\"")

var errNotRunning = errors.New("the control plane does not run; start it with \"make controlplane-up\"")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir := flag.String("dir", ".run", "folder of the kubeconfig and of the state")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(ctx, *dir, flag.Args()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "controlplane:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, args []string) error {
	if len(args) != 1 {
		flag.Usage()
		return fmt.Errorf("want one of up, down and status, have %q", args)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return daemon.Locked(dir, func() error { return up(ctx, dir) })
	case "down":
		return daemon.Locked(dir, func() error { return down(dir) })
	case "status":
		return status(dir)
	default:
		return fmt.Errorf("unknown command %q: want up, down or status", args[0])
	}
}

func up(ctx context.Context, dir string) error {
	if c, err := cluster.Open(dir); err == nil && c.Running() {
		return errCluster
	}
	if cp, err := controlplane.Open(dir, nil); err == nil && cp.Running() {
		fmt.Println("already running; checking that it is ready")
	}
	began := time.Now()
	cp, err := controlplane.Start(ctx, controlplane.Options{
		Dir:               dir,
		ControllerManager: true,
		Detached:          true,
		Log: func(format string, args ...any) {
			fmt.Printf("[%5.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
		},
	})
	if err != nil {
		return err
	}
	fmt.Printf("ready at %s after %.1f s\n", cp.Config().Host, time.Since(began).Seconds())
	fmt.Printf("look around: KUBECONFIG=%s kubectl get namespaces\n", cp.Kubeconfig())
	return nil
}

func down(dir string) error {
	cp, err := controlplane.Open(dir, nil)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("there is no control plane in", dir)
		return nil
	}
	if err != nil {
		return err
	}
	was := running(cp)
	if err := cp.Remove(); err != nil {
		return err
	}
	fmt.Printf("stopped %d processes and removed their data\n", was)
	return nil
}

func status(dir string) error {
	cp, err := controlplane.Open(dir, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return errNotRunning
	}
	if err != nil {
		return err
	}
	for _, s := range cp.Status() {
		fmt.Println(s)
	}
	if !cp.Running() {
		return errNotRunning
	}
	fmt.Printf("kubeconfig               %s\n", cp.Kubeconfig())
	return nil
}

func running(cp *controlplane.ControlPlane) int {
	n := 0
	for _, s := range cp.Status() {
		if s.PID != 0 {
			n++
		}
	}
	return n
}
