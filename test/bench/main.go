// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the operator against a real API server on this machine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/operator"
)

const usage = `Measures Fairlead against a real API server on this machine: etcd, kube-apiserver, kube-controller-manager
and the operator as processes of their own. Progress goes to standard error; standard output gets one JSON
line per figure, and then all of them as a table.

Flags:
`

// Figure is one measured number.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Target is what it should be, for the table.
	Target string `json:"target,omitempty"`
}

// sizes are how large the measurement is.
type sizes struct {
	namespaces, large, edits, editors, rounds, workers, balancers, meshes, members int
	rest, pause                                                                    time.Duration
	// profile is the file for a CPU profile of the operator while it covers; empty for none.
	profile string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s sizes
	flag.IntVar(&s.namespaces, "namespaces", 1000, "namespaces of the cover, repair and rest measurements; 0 leaves cover and repair out")
	flag.IntVar(&s.large, "large", 5000, "namespaces of the memory and start-up measurements; 0 leaves them out")
	flag.IntVar(&s.edits, "edits", 500, "foreign edits and deletions to repair; 0 leaves them out")
	flag.IntVar(&s.editors, "editors", 4, "edits under way at the same time")
	flag.IntVar(&s.rounds, "rounds", 3, "times that the bare client and the operator cover all namespaces, in turns")
	flag.IntVar(&s.workers, "workers", 16, "parallel writes, of the bare client and of the operator")
	flag.IntVar(&s.balancers, "loadbalancers", 500, "load balancers of their own measurements; 0 leaves them out")
	flag.IntVar(&s.meshes, "meshes", 100, "meshes of their own measurements; 0 leaves them out")
	flag.IntVar(&s.members, "members", 10, "member namespaces of each mesh")
	flag.DurationVar(&s.pause, "pause", 500*time.Millisecond, "pause of an editor before each edit of an object of a load balancer or mesh")
	flag.DurationVar(&s.rest, "rest", time.Minute, "how long to count writes at rest; 0 leaves it out")
	flag.StringVar(&s.profile, "profile", "", "file for a CPU profile of the operator while it covers; with .meshes and .repairs after it, for those while meshes get into force and are repaired")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	// The libraries' own words would stand between the lines.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if err := run(ctx, s, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	sizes
	dir     string
	binary  string
	plane   *controlplane.ControlPlane
	client  client.WithWatch
	plain   kubernetes.Interface
	dynamic dynamic.Interface
	process *operator.Process
	watch   *watcher
	start   time.Time
	figures []Figure
	// failures is how many errors in the operator's log were told.
	failures int
	// leave ends what watches the control plane.
	leave context.CancelFunc
	// profileAddress is where the operator serves profiles; "0" for nowhere.
	profileAddress string
	out            io.Writer
}

func run(ctx context.Context, s sizes, out io.Writer) (err error) {
	b := &bench{sizes: s, out: out, start: time.Now()}
	if err := b.setUp(ctx); err != nil {
		return errors.Join(err, b.tearDown())
	}
	defer func() { err = errors.Join(err, b.tearDown()) }()
	for _, step := range []struct {
		wanted bool
		do     func(context.Context) error
	}{
		{s.large > 0, b.memoryEmpty}, {s.balancers > 0, b.loadBalancers}, {s.namespaces > 0, b.cover}, {s.edits > 0 && s.namespaces > 0, b.repair}, {s.rest > 0 && s.namespaces > 0, b.rest},
		{s.large > 0, b.memoryCovered}, {s.large > 0, b.memoryLarge}, {s.large > 0, b.startUp}, {s.meshes > 0, b.meshSteps},
	} {
		if !step.wanted {
			continue
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return b.table()
}

func (b *bench) setUp(ctx context.Context) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "fairlead-bench-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	b.profileAddress = "0"
	if b.profile != "" {
		if b.profileAddress, err = operator.FreeAddress(); err != nil {
			return err
		}
	}
	root, err := operator.Root()
	if err != nil {
		return err
	}
	b.say("building the operator")
	b.binary = filepath.Join(b.dir, "fairlead")
	if err := operator.Build(ctx, root, b.binary); err != nil {
		return err
	}
	return b.startPlane(ctx)
}

// startPlane starts a control plane that nothing has happened to.
func (b *bench) startPlane(ctx context.Context) error {
	b.say("starting the control plane")
	root, err := operator.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	b.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: dir, ControllerManager: true,
		// Webhooks are reached by their endpoints: nothing routes the addresses of Services here.
		APIServerArgs: []string{"--enable-aggregator-routing=true"},
	})
	if err != nil {
		return err
	}
	cfg := b.plane.Config()
	cfg.QPS = -1
	if _, err := envtest.InstallCRDs(cfg, envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd", "bases")}}); err != nil {
		return fmt.Errorf("install the CRDs: %w", err)
	}
	if b.client, err = client.NewWithWatch(cfg, client.Options{Scheme: setup.Scheme()}); err != nil {
		return fmt.Errorf("build a client: %w", err)
	}
	if b.plain, err = kubernetes.NewForConfig(cfg); err != nil {
		return fmt.Errorf("build a client: %w", err)
	}
	if b.dynamic, err = dynamic.NewForConfig(cfg); err != nil {
		return fmt.Errorf("build a client: %w", err)
	}
	ctx, b.leave = context.WithCancel(ctx)
	b.watch, err = newWatcher(ctx, b.plain)
	return err
}

// stopPlane ends the control plane, and the operator if it runs.
func (b *bench) stopPlane() error {
	var errs []error
	if b.leave != nil {
		b.leave()
	}
	if b.process != nil {
		errs = append(errs, b.process.Stop())
	}
	if b.plane != nil {
		errs = append(errs, b.plane.Stop())
	}
	b.process, b.plane, b.leave = nil, nil, nil
	return errors.Join(errs...)
}

func (b *bench) tearDown() error { return errors.Join(b.stopPlane(), os.RemoveAll(b.dir)) }

// startOperator runs the operator and waits until its workers run.
func (b *bench) startOperator(ctx context.Context) error {
	var err error
	b.process, err = operator.Start(b.binary, b.plane.Kubeconfig(), filepath.Join(b.dir, "operator.log"),
		fmt.Sprintf("--workers=%d", b.workers), "--agent-image=example.com/fairlead:1", "--pprof-bind-address="+b.profileAddress)
	if err != nil {
		return err
	}
	return b.process.Ready(ctx)
}

// stopOperator tells, too, what the operator has logged as errors.
func (b *bench) stopOperator() error {
	text, err := os.ReadFile(filepath.Join(b.dir, "operator.log"))
	var failures []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"level":"error"`) {
			failures = append(failures, line)
		}
	}
	if len(failures) > b.failures {
		b.say("the operator has logged %d errors, the last: %s", len(failures)-b.failures, failures[len(failures)-1])
		b.failures = len(failures)
	}
	err = errors.Join(err, b.process.Stop())
	b.process = nil
	return err
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "[%6.1f s] %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// figure records a number and prints it as a JSON line.
func (b *bench) figure(name string, value float64, unit, target string) {
	f := Figure{Name: name, Value: value, Unit: unit, Target: target}
	b.figures = append(b.figures, f)
	if err := json.NewEncoder(b.out).Encode(f); err != nil {
		b.say("print %s: %v", name, err)
	}
}

func (b *bench) table() error {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nFIGURE\tVALUE\tUNIT\tTARGET")
	for _, f := range b.figures {
		_, _ = fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Target)
	}
	return w.Flush()
}

// quantile is the value below which the given share of the sorted values lies.
func quantile(values []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
