// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package setup builds the manager: cache, clients and the controllers of every kind.
package setup

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/metrics"
	"github.com/fairlead/fairlead/controllers/limitpolicy"
	"github.com/fairlead/fairlead/controllers/loadbalancer"
	"github.com/fairlead/fairlead/controllers/mesh"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue/oci"
)

// ownPodTimeout bounds the one question before the manager starts.
const ownPodTimeout = 30 * time.Second

// LeaseName is the name of the Lease that replicas elect their leader by.
const LeaseName = "fairlead.fleet.fairlead.io"

// Options are the operator's settings.
type Options struct {
	// Namespace is the operator's own: the Lease lives there, and no policy selects it unless it names it.
	Namespace string
	// LeaderElect lets several replicas run, of which one works.
	LeaderElect bool
	// LeaseDuration is how long a dead leader keeps the others waiting.
	LeaseDuration time.Duration
	// MetricsAddress and ProbeAddress are where metrics and health are served; "0" serves none.
	MetricsAddress, ProbeAddress string
	// ProfileAddress is where Go's profiles are served, by plain HTTP and to everybody; "0" serves none.
	ProfileAddress string
	// SecureMetrics serves metrics by TLS to whom the API server authenticates and authorizes.
	SecureMetrics bool
	// Workers is how many namespaces, load balancers and meshes are worked on at the same time, of each kind.
	Workers int
	// AgentImage is the image of agents; empty for that of the operator's own pod.
	AgentImage string
	// PodName is the operator's own pod; empty where it runs in none.
	PodName string
	// HAProxyImage is the image of load balancers that name none.
	HAProxyImage string
	// ChartsDir is a folder with a catalogue.yaml and archives of further versions of Istio; empty for those in the operator alone.
	ChartsDir string
	// ChartsOCI is an artifact in a registry with charts of further versions, as oci.ParseReference has it; empty for none.
	ChartsOCI string
	// ChartsOCICredentials is the path of a Docker configuration file with a user of that registry; empty for nobody's.
	ChartsOCICredentials string
	// QPS and Burst bound the requests to the API server per second; a negative QPS leaves it to the API
	// server's own priority and fairness.
	QPS   float32
	Burst int
	// Controller are settings of all controllers. They always have a priority queue.
	Controller config.Controller
}

// Scheme holds every kind that the operator reads or writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// Manager builds the operator for the cluster that cfg points at. It runs when the manager is started.
func Manager(cfg *rest.Config, options Options) (ctrl.Manager, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = options.QPS, options.Burst
	cfg.UserAgent = v1alpha1.ManagedBy
	scheme := Scheme()
	mgr, err := ctrl.NewManager(cfg, managerOptions(scheme, options))
	if err != nil {
		return nil, fmt.Errorf("build the manager: %w", err)
	}
	requests, err := dynamic.NewForConfigAndClient(cfg, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("build the client of the apply engine: %w", err)
	}
	engine, err := apply.New(apply.Config{Client: requests, Scheme: scheme, Kinds: kinds(), Recorder: metrics.Repairs{}})
	if err != nil {
		return nil, fmt.Errorf("build the apply engine: %w", err)
	}
	if err := mgr.Add(engine); err != nil {
		return nil, fmt.Errorf("add the apply engine: %w", err)
	}
	if err := setupKinds(mgr, engine, options); err != nil {
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

// setupKinds adds the controllers of every kind.
func setupKinds(mgr ctrl.Manager, engine *apply.Engine, options Options) error {
	err := limitpolicy.SetupWithManager(mgr, limitpolicy.Options{Engine: engine, Namespace: options.Namespace, Workers: options.Workers})
	if err != nil {
		return fmt.Errorf("limit policies: %w", err)
	}
	image, err := agentImage(mgr.GetAPIReader(), options)
	if err != nil {
		return fmt.Errorf("find the image of agents: %w", err)
	}
	err = loadbalancer.SetupWithManager(mgr, loadbalancer.Options{
		Engine: engine, AgentImage: image, HAProxyImage: options.HAProxyImage, Workers: options.Workers,
	})
	if err != nil {
		return fmt.Errorf("load balancers: %w", err)
	}
	versions, err := versions(options.ChartsDir)
	if err != nil {
		return fmt.Errorf("find the versions of Istio: %w", err)
	}
	if err := further(mgr, versions, options); err != nil {
		return fmt.Errorf("find further versions of Istio: %w", err)
	}
	err = mesh.SetupWithManager(mgr, mesh.Options{Engine: engine, Catalogue: versions, Namespace: options.Namespace, Workers: options.Workers})
	if err != nil {
		return fmt.Errorf("meshes: %w", err)
	}
	return nil
}

// kinds are all that the operator writes, each once. Where one of its parts looks at those of everybody, the cache has them.
func kinds() []apply.Kind {
	var out []apply.Kind
	for _, kind := range slices.Concat(limitpolicy.Kinds(), loadbalancer.Kinds(), mesh.Kinds()) {
		at := slices.IndexFunc(out, func(known apply.Kind) bool { return known.GVK == kind.GVK })
		if at < 0 {
			out = append(out, kind)
			continue
		}
		out[at].Selective = out[at].Selective && kind.Selective
	}
	return out
}

// versions are those in the operator and those in a folder, whose list says the digests of its archives.
func versions(folder string) (*catalogue.Catalogue, error) {
	out, err := catalogue.Embedded()
	if err != nil || folder == "" {
		return out, err
	}
	if err := out.Add(os.DirFS(folder)); err != nil {
		return nil, fmt.Errorf("folder %s: %w", folder, err)
	}
	return out, nil
}

// further adds what brings the versions of an artifact while the operator runs.
func further(mgr ctrl.Manager, versions *catalogue.Catalogue, options Options) error {
	if options.ChartsOCI == "" {
		return nil
	}
	source, err := oci.New(oci.Config{
		Reference: options.ChartsOCI, Credentials: options.ChartsOCICredentials, Catalogue: versions, Log: mgr.GetLogger(),
	})
	if err != nil {
		return err
	}
	return mgr.Add(source)
}

// managerContainer is the operator's container in its pod.
const managerContainer = "manager"

// agentImage is the one that is set, or else that of the operator's own pod. It is empty where the operator runs in
// no pod; load balancers then say so.
func agentImage(reader client.Reader, options Options) (string, error) {
	if options.AgentImage != "" || options.PodName == "" {
		return options.AgentImage, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), ownPodTimeout)
	defer cancel()
	pod := &corev1.Pod{}
	if err := reader.Get(ctx, types.NamespacedName{Namespace: options.Namespace, Name: options.PodName}, pod); err != nil {
		return "", fmt.Errorf("get the operator's own pod: %w", err)
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; c.Name == managerContainer {
			return c.Image, nil
		}
	}
	return "", fmt.Errorf("pod %s has no container %s: set --agent-image", options.PodName, managerContainer)
}

func cacheOptions() map[client.Object]cache.ByObject {
	out := limitpolicy.CacheOptions()
	maps.Copy(out, loadbalancer.CacheOptions())
	return out
}

func managerOptions(scheme *runtime.Scheme, options Options) ctrl.Options {
	controller := options.Controller
	controller.UsePriorityQueue = new(true)
	return ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsOptions(options),
		HealthProbeBindAddress:        options.ProbeAddress,
		PprofBindAddress:              options.ProfileAddress,
		LeaderElection:                options.LeaderElect,
		LeaderElectionID:              LeaseName,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &options.LeaseDuration,
		RenewDeadline:                 share(options.LeaseDuration, 10),
		RetryPeriod:                   share(options.LeaseDuration, 2),
		Controller:                    controller,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         cacheOptions(),
		},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	}
}

// share is so many fifteenths of a lease: client-go's own proportions, 15 s, 10 s and 2 s.
func share(lease time.Duration, fifteenths int) *time.Duration {
	part := lease * time.Duration(fifteenths) / 15
	return &part
}

func metricsOptions(options Options) metricsserver.Options {
	out := metricsserver.Options{BindAddress: options.MetricsAddress}
	if options.SecureMetrics {
		out.SecureServing = true
		out.FilterProvider = filters.WithAuthenticationAndAuthorization
		// HTTP/2 has had denial-of-service holes, and a scraper gains nothing by it.
		out.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }}
	}
	return out
}
