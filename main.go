// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fairlead is the operator, and the agent in the pods of load balancers.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
	_ "time/tzdata" // Maintenance windows name time zones, and the image has no files of them.

	_ "k8s.io/client-go/plugin/pkg/client/auth" // Clusters of every vendor's login.
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/fairlead/fairlead/agent"
	"github.com/fairlead/fairlead/controllers/setup"
)

const usage = `Fairlead keeps load balancers, service meshes and the limits of namespaces as their custom resources say.

Usage:
  fairlead [manager] [flags]        the operator
  fairlead agent [flags]            what runs beside HAProxy in each pod of a load balancer; see fairlead agent --help

The cluster is the one the pod runs in, or that of --kubeconfig or $KUBECONFIG.

Flags:
`

func main() {
	err := run(ctrl.SetupSignalHandler(), os.Args[1:], os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "fairlead:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "agent" {
		return agent.Run(ctx, args[1:], out)
	}
	if len(args) > 0 && args[0] == "manager" {
		args = args[1:]
	}
	options, logging, err := parse(args, out)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// Nearly all of the heap is caches, which live long: collecting at half the usual growth costs little time
		// and saves a quarter of the memory.
		debug.SetGCPercent(50)
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := setup.Manager(cfg, options)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func parse(args []string, out io.Writer) (setup.Options, zap.Options, error) {
	var options setup.Options
	var logging zap.Options
	flags := flag.NewFlagSet("fairlead", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&options.Namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "fairlead-system"),
		"The operator's own namespace; $POD_NAMESPACE where that is set.")
	flags.BoolVar(&options.LeaderElect, "leader-elect", false, "Elect a leader, so that several replicas can run.")
	flags.DurationVar(&options.LeaseDuration, "lease-duration", 15*time.Second, "How long a leader that died keeps the others waiting.")
	flags.StringVar(&options.ProfileAddress, "pprof-bind-address", "0",
		"Address of Go's profiles, like 127.0.0.1:6060; 0 serves none. Everybody who reaches it may read them.")
	flags.StringVar(&options.MetricsAddress, "metrics-bind-address", "0", "Address of the metrics, like :8443; 0 serves none.")
	flags.BoolVar(&options.SecureMetrics, "metrics-secure", true, "Serve metrics by TLS, to authorized clients only.")
	flags.StringVar(&options.ProbeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 serves none.")
	flags.IntVar(&options.Workers, "workers", 16, "How many namespaces, load balancers and meshes are worked on at the same time, of each kind.")
	flags.StringVar(&options.AgentImage, "agent-image", "", "Image of the agents of load balancers; that of the operator's own pod ($POD_NAME) if unset.")
	flags.StringVar(&options.HAProxyImage, "haproxy-image", "docker.io/library/haproxy:3.2", "Image of load balancers that name none.")
	flags.StringVar(&options.ChartsDir, "charts-dir", "",
		"Folder of charts of further versions of Istio: a catalogue.yaml that lists them with their digests, and their archives.")
	flags.StringVar(&options.ChartsOCI, "charts-oci", "",
		"Artifact of charts of further versions of Istio in a registry, like oci://registry.example.com/fairlead/istio-charts@sha256:..., "+
			"with the files of a --charts-dir as its layers. It is read in the background; by TLS, but for registries on this machine.")
	flags.StringVar(&options.ChartsOCICredentials, "charts-oci-credentials", os.Getenv("CHARTS_OCI_CREDENTIALS"),
		"Docker configuration file with the user of that registry under \"auths\", like the .dockerconfigjson of a mounted Secret; "+
			"$CHARTS_OCI_CREDENTIALS where that is set.")
	options.PodName = os.Getenv("POD_NAME")
	qps := flags.Float64("kube-api-qps", -1, "Requests to the API server per second; negative leaves it to the API server's priority and fairness.")
	flags.IntVar(&options.Burst, "kube-api-burst", 100, "Requests to the API server above --kube-api-qps for a moment.")
	if kubeconfig := flag.Lookup("kubeconfig"); kubeconfig != nil {
		flags.Var(kubeconfig.Value, kubeconfig.Name, kubeconfig.Usage)
	}
	logging.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return options, logging, err
	}
	options.QPS = float32(*qps)
	switch {
	case flags.NArg() > 0:
		return options, logging, fmt.Errorf("unknown command %q; see fairlead --help", flags.Arg(0))
	case options.Workers < 1:
		return options, logging, fmt.Errorf("--workers is %d; it must be at least 1", options.Workers)
	case *qps == 0:
		return options, logging, errors.New("--kube-api-qps is 0; it must be positive, or negative for no bound")
	case options.LeaseDuration < time.Second:
		return options, logging, fmt.Errorf("--lease-duration is %s; it must be at least 1s", options.LeaseDuration)
	}
	return options, logging, nil
}
