// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command addresspool gives Services of type LoadBalancer an address from a small pool, in a test cluster that no
// cloud does it for.
//
// The one node gets the traffic of the whole pool by a route, and its kube-proxy answers for every address in
// status.loadBalancer.ingress, so that allocation is the whole job: MetalLB's controller would come with its CRDs,
// a webhook with certificates and an announcing speaker. One process serves a cluster; nothing elects a leader.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const usage = `Gives Services of type LoadBalancer an address from a pool, until it is interrupted: those without a
loadBalancerClass, and those of class ` + name + `. A Service may ask for one by spec.loadBalancerIP.
Run one for a cluster.

Usage: addresspool --kubeconfig FILE --cidr CIDR [--health-address HOST:PORT]

Flags:
`

type options struct{ kubeconfig, cidr, health string }

func main() {
	err := run(ctrl.SetupSignalHandler(), os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "addresspool:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	ctrl.SetLogger(zap.New())
	cfg, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	mgr, err := newManager(cfg, o)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("addresspool", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`FILE` that says where the cluster is; required")
	flags.StringVar(&o.cidr, "cidr", "", "`CIDR` of the pool, IPv4 of /8 to /30, like 198.18.0.128/25; its first and last address are not given out; required")
	flags.StringVar(&o.health, "health-address", "0", "`HOST:PORT` of /healthz and /readyz; 0 serves none")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; see addresspool --help", flags.Arg(0))
	case o.kubeconfig == "":
		return o, errors.New("--kubeconfig is missing; see addresspool --help")
	case o.cidr == "":
		return o, errors.New("--cidr is missing; see addresspool --help")
	}
	return o, nil
}

func newManager(cfg *rest.Config, o options) (ctrl.Manager, error) {
	pool, err := NewPool(o.cidr)
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	// The API server's own priority and fairness bounds the requests.
	cfg.QPS, cfg.UserAgent = -1, name
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                 clientgoscheme.Scheme,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: o.health,
		Cache:                  cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.Service{}: {Transform: trim}}},
		// First come, first served. A name must be unique for the metrics, which are off; tests start one allocator
		// after another in a process.
		Controller: config.Controller{UsePriorityQueue: new(false), SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("build the manager: %w", err)
	}
	a := &allocator{client: mgr.GetClient(), live: mgr.GetAPIReader(), events: mgr.GetEventRecorder(name), pool: pool}
	if err := a.setUp(mgr); err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the readiness check: %w", err)
	}
	return mgr, nil
}
