// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo tells what Fairlead does, with real objects on a real API server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
)

const usage = `Tells what Fairlead does, with real objects on a real API server: etcd, kube-apiserver and
kube-controller-manager on this machine, started if they do not run, and the operator beside them. With -node it is a
whole cluster, where pods run and the operator is one of them; that needs root on Linux.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{out: os.Stdout, start: time.Now()}
	flag.StringVar(&d.dir, "dir", ".run", "folder of the control plane")
	onNode := flag.Bool("node", false, "play on a cluster of one node")
	flag.IntVar(&d.namespaces, "namespaces", 200, "namespaces to make")
	flag.BoolVar(&d.keep, "keep", false, "leave everything running, and say how to look around")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	d.stage = &plane{d: d}
	if *onNode {
		d.stage = &node{d: d}
	}
	log.SetLogger(logr.Discard()) // The libraries' own words would stand between the lines.
	if err := d.run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// demo is one telling.
type demo struct {
	out        io.Writer
	dir        string
	namespaces int
	keep       bool
	start      time.Time

	stage   stage
	client  client.Client
	plain   kubernetes.Interface
	watch   *watcher
	started bool
	// address is where the load balancer serves; empty where no pods run.
	address string
}

func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.end(err)) }()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Kubernetes", d.kubernetes},
		{"The operator", d.stage.install},
		{fmt.Sprintf("%d namespaces of teams", d.namespaces), d.teams},
		{"One policy for all of them", d.policy},
		{"A pod that wants too much", d.greedy},
		{"Somebody edits one LimitRange and deletes another", d.drift},
		{"A second policy asks for something else", d.conflict},
		{"What would a stricter policy refuse? A dry run", d.dryRun},
		{"A load balancer", d.balancer},
		{"Somebody points its Service elsewhere", d.balancerDrift},
		{"A member breaks, another is drained", d.sick},
		{"A mesh of Istio", d.mesh},
		{"Somebody adds a variable to istiod", d.meshDrift},
	} {
		_, _ = fmt.Fprintf(d.out, "\n── %s\n", step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

// say prints a line of the story; progress one that tells that something goes on.
func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, "   "+format+"\n", args...) }

func (d *demo) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "   · %5.1f s  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) kubernetes(ctx context.Context) error {
	cfg, err := d.stage.start(ctx)
	if err != nil {
		return err
	}
	d.started = true
	if d.client, err = client.New(cfg, client.Options{Scheme: setup.Scheme()}); err != nil {
		return err
	}
	if d.plain, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	version, err := d.plain.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	d.say("Kubernetes %s at %s", version.GitVersion, cfg.Host)
	return nil
}

// end leaves nothing running, or says how to look around.
func (d *demo) end(failed error) error {
	if !d.started {
		return nil
	}
	if d.keep && failed == nil {
		d.lookAround()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var errs []error
	if d.stage.found() {
		d.progress("removing what the demo made")
		errs = append(errs, d.remove(ctx))
	}
	if err := errors.Join(append(errs, d.stage.stop(ctx))...); err != nil {
		return err
	}
	if failed == nil {
		_, _ = fmt.Fprintf(d.out, "\n   Done in %.0f s; nothing of it is left running. Keep it to look around: make demo KEEP=1\n", time.Since(d.start).Seconds())
	}
	return nil
}

func (d *demo) lookAround() {
	kubectl := "kubectl"
	if assets, err := controlplane.Assets(); err == nil {
		kubectl = filepath.Join(assets, "kubectl")
	}
	kubeconfig, logs, down := d.stage.hints()
	_, _ = fmt.Fprintf(d.out, `
── Look around
   export KUBECONFIG=%s
   alias k=%s
   k get limitpolicies                        # ready, covered, refused
   k describe limitpolicy team-default        # conditions, repairs, events
   k edit limitrange -n team-001 fairlead     # and look again
   k get limitpolicy strict -o yaml           # what a dry run found
   k describe loadbalancer -n shop shop       # address, replicas, problems, repairs
   k get agentreports -n shop                 # what each replica says of itself
   k describe mesh demo                       # revisions, members, upgrade, repairs
   %s
   Stop everything: %s
`, kubeconfig, kubectl, logs, down)
}
