// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/limitpolicy"
	"github.com/fairlead/fairlead/controllers/loadbalancer"
	"github.com/fairlead/fairlead/controllers/mesh"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue/oci"
)

func TestManagerOptions(t *testing.T) {
	got := managerOptions(Scheme(), Options{
		Namespace: "ops", LeaderElect: true, LeaseDuration: 30 * time.Second, MetricsAddress: ":8443", ProbeAddress: ":8081",
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if !got.LeaderElection || got.LeaderElectionID != LeaseName || got.LeaderElectionNamespace != "ops" || !got.LeaderElectionReleaseOnCancel {
		t.Errorf("the election is %v %s in %s", got.LeaderElection, got.LeaderElectionID, got.LeaderElectionNamespace)
	}
	if *got.LeaseDuration != 30*time.Second || *got.RenewDeadline != 20*time.Second || *got.RetryPeriod != 4*time.Second {
		t.Errorf("the lease is %v, renewed within %v, tried every %v", *got.LeaseDuration, *got.RenewDeadline, *got.RetryPeriod)
	}
	if !*got.Controller.UsePriorityQueue || !*got.Controller.SkipNameValidation {
		t.Errorf("the controllers are set to %+v", got.Controller)
	}
	if got.HealthProbeBindAddress != ":8081" || got.Metrics.BindAddress != ":8443" {
		t.Errorf("it serves at %s and %s", got.HealthProbeBindAddress, got.Metrics.BindAddress)
	}
}

func TestSecureMetrics(t *testing.T) {
	if got := metricsOptions(Options{}); got.SecureServing || got.FilterProvider != nil {
		t.Errorf("not secure is %+v", got)
	}
	got := metricsOptions(Options{SecureMetrics: true})
	if !got.SecureServing || got.FilterProvider == nil {
		t.Errorf("secure is %+v", got)
	}
	var c tls.Config
	for _, option := range got.TLSOpts {
		option(&c)
	}
	if !slices.Equal(c.NextProtos, []string{"http/1.1"}) {
		t.Errorf("the protocols are %v", c.NextProtos)
	}
}

func TestManagerSaysWhatIsWrong(t *testing.T) {
	_, err := Manager(&rest.Config{Host: "https://127.0.0.1:1"}, Options{QPS: -1, MetricsAddress: "0", ProbeAddress: "0", Workers: 1, LeaderElect: true})
	if err == nil || !strings.Contains(err.Error(), "build the manager") {
		t.Errorf("without a namespace for the lease Manager says %v", err)
	}
}

// TestKinds: an informer more of a kind would be a copy more of it, and one that holds too little would hide quotas and
// autoscalers of others.
func TestKinds(t *testing.T) {
	merged := map[schema.GroupVersionKind]apply.Kind{}
	for _, kind := range kinds() {
		if _, twice := merged[kind.GVK]; twice {
			t.Errorf("%s is there twice", kind.GVK)
		}
		merged[kind.GVK] = kind
	}
	for _, kind := range slices.Concat(limitpolicy.Kinds(), loadbalancer.Kinds(), mesh.Kinds()) {
		got, ok := merged[kind.GVK]
		if !ok || got.Resource != kind.Resource || got.Selective && !kind.Selective {
			t.Errorf("%+v has become %+v", kind, got)
		}
	}
	if !merged[appsv1.SchemeGroupVersion.WithKind("Deployment")].Selective {
		t.Error("the cache has the Deployments of everybody")
	}
}

func TestVersions(t *testing.T) {
	embedded, err := versions("")
	if err != nil || len(embedded.Entries()) < 4 {
		t.Fatalf("the operator has %d versions: %v", len(embedded.Entries()), err)
	}
	folder := t.TempDir()
	list := "versions:\n- {version: 1.99.7, archive: istio-1.99.7.tgz, sha256: %s, kubernetes: {min: \"1.32\"}, hub: registry.example.com/istio, tag: 1.99.7}\n"
	if err := os.WriteFile(filepath.Join(folder, catalogue.File), fmt.Appendf(nil, list, strings.Repeat("0", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	more, err := versions(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := more.Entries()
	if last := all[len(all)-1]; len(all) != len(embedded.Entries())+1 || last.Version.String() != "1.99.7" || last.Hub != "registry.example.com/istio" {
		t.Errorf("with a folder there are %+v", all)
	}
	if _, err := versions(t.TempDir()); err == nil || !strings.Contains(err.Error(), "read the list of charts") {
		t.Errorf("of a folder without a list it says %v", err)
	}
}

// Every replica reads an artifact: the leader may go at any time.
var _ manager.LeaderElectionRunnable = &oci.Source{}

// TestFurther: a registry that cannot be is said before the operator starts; one that does not answer holds nothing up.
func TestFurther(t *testing.T) {
	mgr, err := ctrl.NewManager(&rest.Config{Host: "https://127.0.0.1:1"}, ctrl.Options{
		Metrics: metricsserver.Options{BindAddress: "0"}, MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	reference := "oci://127.0.0.1:1/charts@sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct{ reference, says, fails string }{
		"none":       {"", "Istio 1.99 is not in the catalogue; possible", ""},
		"a tag":      {"oci://127.0.0.1:1/charts:1", "", "the reference has no digest"},
		"a registry": {reference, reference + " is not read yet", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := versions("")
			if err != nil {
				t.Fatal(err)
			}
			err = further(mgr, all, Options{ChartsOCI: test.reference})
			if (err != nil) != (test.fails != "") || err != nil && !strings.HasPrefix(err.Error(), test.fails) {
				t.Errorf("%v, want %s", err, test.fails)
			}
			if _, err := all.Resolve("1.99", "v1.37.0", time.Now(), false); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v, want %s", err, test.says)
			}
		})
	}
}

func TestAgentImage(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "own"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar", Image: "x:1"}, {Name: "manager", Image: "fairlead:7"}}},
	}
	bare := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "bare"}}
	reader := fake.NewClientBuilder().WithObjects(pod, bare).Build()
	for name, test := range map[string]struct {
		options     Options
		want, fails string
	}{
		"set":              {Options{Namespace: "ops", PodName: "own", AgentImage: "other:1"}, "other:1", ""},
		"of its own pod":   {Options{Namespace: "ops", PodName: "own"}, "fairlead:7", ""},
		"in no pod":        {Options{Namespace: "ops"}, "", ""},
		"no such pod":      {Options{Namespace: "ops", PodName: "gone"}, "", "get the operator's own pod"},
		"another operator": {Options{Namespace: "ops", PodName: "bare"}, "", "pod bare has no container manager: set --agent-image"},
	} {
		got, err := agentImage(reader, test.options)
		if got != test.want || (err != nil) != (test.fails != "") || err != nil && !strings.HasPrefix(err.Error(), test.fails) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
