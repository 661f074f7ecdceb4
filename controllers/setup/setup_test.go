// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/config"
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
