// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command traffic measures load balancers with real traffic on a node.
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
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/setup"
)

const usage = `Measures load balancers with real traffic, on the cluster of $KUBECONFIG, where the operator is installed. Pods of the
cluster have to reach this machine, where the members of the endpoint measurement listen; "make bench NODE=1" sees to
all that. Progress goes to standard error; standard output gets one JSON line per figure, and then all as a table.

Flags:
`

const (
	poll     = 50 * time.Millisecond
	patience = 3 * time.Minute
)

// figure is one measured number.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target string  `json:"target,omitempty"`
}

// bench is one run.
type bench struct {
	changes, most, rounds int
	pools, members        int
	length                time.Duration
	image                 string

	client    client.Client
	plain     kubernetes.Interface
	namespace string
	start     time.Time
	out       io.Writer
	figures   []figure
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{start: time.Now(), out: os.Stdout}
	flag.IntVar(&b.changes, "changes", 1000, "endpoint changes; 0 leaves them out")
	flag.IntVar(&b.most, "most", 200, "members that the pool grows to meanwhile")
	flag.IntVar(&b.pools, "pools", 200, "pools of the large load balancer; 0 leaves it out")
	flag.IntVar(&b.members, "members", 10, "members of each of its pools")
	flag.IntVar(&b.rounds, "rounds", 20, "rounds of throughput beside a HAProxy written by hand; 0 leaves them out")
	flag.DurationVar(&b.length, "length", 2*time.Second, "length of half a round")
	flag.StringVar(&b.image, "image", "docker.io/library/haproxy:3.2", "image of HAProxy")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	log.SetLogger(logr.Discard()) // The libraries' own words would stand between the lines.
	if err := b.run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "traffic:", err)
		stop()
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if err := b.setUp(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.tearDown()) }()
	for _, step := range []struct {
		wanted bool
		do     func(context.Context) error
	}{{b.changes > 0, b.endpoints}, {b.pools > 0, b.large}, {b.rounds > 0, b.throughput}} {
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
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("find the cluster by $KUBECONFIG: %w", err)
	}
	cfg.QPS = -1
	if b.client, err = client.New(cfg, client.Options{Scheme: setup.Scheme()}); err != nil {
		return err
	}
	if b.plain, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	b.namespace = "bench-" + utilrand.String(5)
	return b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})
}

func (b *bench) tearDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "[%6.1f s] %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}

// figure records a number and prints it as a JSON line.
func (b *bench) figure(name string, value float64, unit, target string) {
	f := figure{Name: name, Value: value, Unit: unit, Target: target}
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

func (b *bench) waitFor(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextTimeout(ctx, poll, patience, true, condition)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
