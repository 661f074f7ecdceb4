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
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/operator"
)

const usage = `Tells what Fairlead does, with real objects on a real API server: etcd, kube-apiserver and
kube-controller-manager on this machine, started if they do not run, and the operator beside them.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{out: os.Stdout, start: time.Now()}
	flag.StringVar(&d.dir, "dir", ".run", "folder of the control plane")
	flag.IntVar(&d.namespaces, "namespaces", 200, "namespaces to make")
	flag.BoolVar(&d.keep, "keep", false, "leave everything running, and say how to look around")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
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

	plane *controlplane.ControlPlane
	// found is true where the control plane ran before: it stays.
	found   bool
	process *operator.Process
	client  client.Client
	plain   kubernetes.Interface
	watch   *watcher
}

func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.end(err)) }()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"A control plane", d.controlPlane},
		{"The operator", d.operator},
		{fmt.Sprintf("%d namespaces of teams", d.namespaces), d.teams},
		{"One policy for all of them", d.policy},
		{"A pod that wants too much", d.pod},
		{"Somebody edits one LimitRange and deletes another", d.drift},
		{"A second policy asks for something else", d.conflict},
		{"What would a stricter policy refuse? A dry run", d.dryRun},
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

func (d *demo) controlPlane(ctx context.Context) error {
	if _, err := controlplane.Open(d.dir, nil); err == nil {
		d.found = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	plane, err := controlplane.Start(ctx, controlplane.Options{
		Dir: d.dir, ControllerManager: true, Detached: true, Log: d.progress,
	})
	if err != nil {
		return err
	}
	d.plane = plane
	cfg := plane.Config()
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

func (d *demo) operator(ctx context.Context) error {
	root, err := operator.Root()
	if err != nil {
		return err
	}
	cfg := d.plane.Config()
	if _, err := envtest.InstallCRDs(cfg, envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd", "bases")}}); err != nil {
		return err
	}
	d.progress("the CRD limitpolicies.fleet.fairlead.io is installed")
	if err := d.ensureNamespace(ctx, operatorNamespace, nil); err != nil {
		return err
	}
	binary := filepath.Join(d.dir, "fairlead")
	d.progress("building the operator")
	if err := operator.Build(ctx, root, binary); err != nil {
		return err
	}
	start := operator.Start
	if d.keep {
		start = operator.StartDetached
	}
	// With an election the operator ends by itself when the control plane has gone.
	d.process, err = start(binary, d.plane.Kubeconfig(), filepath.Join(d.dir, "operator.log"), "--leader-elect", "--namespace="+operatorNamespace)
	if err != nil {
		return err
	}
	if err := d.process.Ready(ctx); err != nil {
		return err
	}
	d.say("runs, %s after its start", time.Since(d.process.Started).Round(time.Millisecond))
	return nil
}

// end leaves nothing running, or says how to look around.
func (d *demo) end(failed error) error {
	if d.plane == nil {
		return nil
	}
	if d.keep && failed == nil {
		d.lookAround()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs []error
	if d.found {
		d.progress("removing what the demo made")
		errs = append(errs, d.remove(ctx))
	}
	if d.process != nil {
		errs = append(errs, d.process.Stop())
	}
	if !d.found {
		errs = append(errs, d.plane.Stop())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if failed == nil {
		_, _ = fmt.Fprintf(d.out, "\n   Done in %.0f s; nothing is left running. Keep it to look around: make demo KEEP=1\n", time.Since(d.start).Seconds())
	}
	return nil
}

func (d *demo) lookAround() {
	kubectl := "kubectl"
	if assets, err := controlplane.Assets(); err == nil {
		kubectl = filepath.Join(assets, "kubectl")
	}
	_, _ = fmt.Fprintf(d.out, `
── Look around
   export KUBECONFIG=%s
   alias k=%s
   k get limitpolicies                        # ready, covered, refused
   k describe limitpolicy team-default        # conditions, repairs, events
   k edit limitrange -n team-001 fairlead     # and look again
   k get limitpolicy strict -o yaml           # what a dry run found
   tail -f %s
   Stop everything: make controlplane-down
`, d.plane.Kubeconfig(), kubectl, filepath.Join(d.dir, "operator.log"))
}
