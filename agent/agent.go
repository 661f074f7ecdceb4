// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent is the process beside HAProxy in each pod of a load balancer: it reads from the API server what HAProxy
// shall hold (package watch), makes it so (package driver), and tells how it went: an AgentReport, probes, metrics.
package agent

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/fairlead/fairlead/agent/driver"
	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/watch"
)

const usage = `Agent of a load balancer: keeps the HAProxy beside it as the model, the Secrets and the endpoints say.

Usage:
  fairlead agent --load-balancer=NAME [flags]

The pod is that of $POD_NAME, $POD_NAMESPACE, $POD_UID and $POD_IP.

Flags:
`

// suffix is what a load balancer's objects have behind its name.
const suffix = "-lb"

// softMemory is where the garbage collector begins to work harder.
const softMemory = 32 << 20

// options are the command line and the pod.
type options struct {
	dir, loadBalancer, address, kubeconfig string
	verify                                 time.Duration
	threads                                int
	healthPort, peersPort                  int
	pod                                    pod
}

// pod is the one that this process runs in.
type pod struct{ namespace, name, uid, ip string }

// Run is the subcommand: args are those behind its name. It returns when ctx ends, and leaves HAProxy as it is.
func Run(ctx context.Context, args []string, out io.Writer) error {
	o, logging, err := parse(args, out)
	if err != nil {
		return err
	}
	log := zap.New(zap.UseFlagOptions(&logging))
	klog.SetLogger(log)
	frugal()
	config, err := o.config()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	return run(ctx, o, config, log)
}

// frugal has the process live in little memory: it has little to do, and there are many of it.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(30)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}

func parse(args []string, out io.Writer) (options, zap.Options, error) {
	var o options
	var logging zap.Options
	flags := flag.NewFlagSet("fairlead agent", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.dir, "dir", "/run/fairlead", "Folder of HAProxy's files and sockets, shared with its container.")
	flags.StringVar(&o.loadBalancer, "load-balancer", "", "Name of the LoadBalancer; required.")
	flags.StringVar(&o.address, "bind-address", ":8406", "Address of /readyz, /healthz and /metrics.")
	flags.DurationVar(&o.verify, "verify-interval", 2*time.Second, "Time between two comparisons with HAProxy's live state.")
	flags.IntVar(&o.threads, "threads", 0, "Threads of HAProxy; 0 for one per CPU.")
	flags.IntVar(&o.healthPort, "haproxy-port", 8404, "Port of HAProxy's own /healthz and /metrics.")
	flags.IntVar(&o.peersPort, "peers-port", 8405, "Port on which replicas exchange their counts.")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "Path of a kubeconfig; empty for the cluster that the pod runs in.")
	logging.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return o, logging, err
	}
	o.pod = pod{
		namespace: os.Getenv("POD_NAMESPACE"), name: os.Getenv("POD_NAME"), uid: os.Getenv("POD_UID"),
		ip: cmp.Or(os.Getenv("POD_IP"), "127.0.0.1"),
	}
	switch {
	case flags.NArg() > 0:
		return o, logging, fmt.Errorf("unknown argument %q; see fairlead agent --help", flags.Arg(0))
	case o.loadBalancer == "":
		return o, logging, errors.New("--load-balancer is empty; it must name the LoadBalancer")
	case o.verify < 10*time.Millisecond:
		return o, logging, fmt.Errorf("--verify-interval is %s; it must be at least 10ms", o.verify)
	case o.pod.namespace == "" || o.pod.name == "":
		return o, logging, errors.New("$POD_NAMESPACE or $POD_NAME is empty; they must name the pod")
	}
	return o, logging, nil
}

func (o options) config() (*rest.Config, error) {
	if o.kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	}
	return rest.InClusterConfig()
}

func run(ctx context.Context, o options, config *rest.Config, log logr.Logger) error {
	config = rest.CopyConfig(config)
	// The API server's own fairness is limit enough, and each request has a reason.
	config.QPS = -1
	config.UserAgent = "fairlead-agent"
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(protobuf)
	if err != nil {
		return err
	}
	m := newMetrics()
	d := driver.New(driver.Options{
		Build: haproxy.Options{
			Dir: o.dir, Self: o.pod.name, Threads: o.threads, IPv4Only: !hasIPv6(),
			HealthPort: int32(o.healthPort), PeersPort: int32(o.peersPort),
		},
		Log: log.WithName("driver"), VerifyEvery: o.verify, Took: m.took, Repaired: m.repairs.Inc,
	})
	m.watch(d)
	report, err := newReporter(config, o, d, log.WithName("report"))
	if err != nil {
		return err
	}
	watcher := watch.New(watch.Options{
		Client: client, Namespace: o.pod.namespace, Object: o.loadBalancer + suffix, Pod: o.pod.name, Address: o.pod.ip,
		Log: log.WithName("watch"),
	}, d)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	part := func(what string, work func(context.Context) error) {
		group.Go(func() {
			if err := work(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	part("serve probes", newServer(o.address, d, m).run)
	part("drive HAProxy", d.Run)
	part("report", report.run)
	part("watch", func(ctx context.Context) error {
		watcher.Run(ctx)
		return nil
	})
	<-ctx.Done()
	group.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// hasIPv6 asks the kernel: HAProxy would not start where it has to listen on what the machine does not have.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
