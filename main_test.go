// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fairlead/fairlead/controllers/setup"
)

func TestParseDefaults(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	t.Setenv("POD_NAME", "")
	t.Setenv("CHARTS_OCI_CREDENTIALS", "")
	got, _, err := parse(nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	want := setup.Options{
		Namespace: "fairlead-system", LeaseDuration: 15 * time.Second, MetricsAddress: "0", ProfileAddress: "0", SecureMetrics: true,
		ProbeAddress: ":8081", Workers: 16, QPS: -1, Burst: 100,
		HAProxyImage: "docker.io/library/haproxy:3.2",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults are %+v, want %+v", got, want)
	}
}

func TestParseFlags(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "from-the-pod")
	t.Setenv("CHARTS_OCI_CREDENTIALS", "/env")
	for name, test := range map[string]struct {
		args []string
		want func(setup.Options) bool
	}{
		"the namespace of the pod":   {nil, func(o setup.Options) bool { return o.Namespace == "from-the-pod" }},
		"a flag wins over it":        {[]string{"--namespace=ops"}, func(o setup.Options) bool { return o.Namespace == "ops" }},
		"leader election":            {[]string{"--leader-elect", "--lease-duration=5s"}, func(o setup.Options) bool { return o.LeaderElect && o.LeaseDuration == 5*time.Second }},
		"metrics":                    {[]string{"--metrics-bind-address=:8443", "--metrics-secure=false"}, func(o setup.Options) bool { return o.MetricsAddress == ":8443" && !o.SecureMetrics }},
		"health":                     {[]string{"--health-probe-bind-address=0"}, func(o setup.Options) bool { return o.ProbeAddress == "0" }},
		"images":                     {[]string{"--agent-image=a:1", "--haproxy-image=h:2"}, func(o setup.Options) bool { return o.AgentImage == "a:1" && o.HAProxyImage == "h:2" }},
		"charts":                     {[]string{"--charts-dir=/charts"}, func(o setup.Options) bool { return o.ChartsDir == "/charts" }},
		"charts of a registry":       {[]string{"--charts-oci=o"}, func(o setup.Options) bool { return o.ChartsOCI == "o" && o.ChartsOCICredentials == "/env" }},
		"its user":                   {[]string{"--charts-oci-credentials=/c"}, func(o setup.Options) bool { return o.ChartsOCICredentials == "/c" }},
		"workers":                    {[]string{"--workers=3"}, func(o setup.Options) bool { return o.Workers == 3 }},
		"rates":                      {[]string{"--kube-api-qps=20.5", "--kube-api-burst=40"}, func(o setup.Options) bool { return o.QPS == 20.5 && o.Burst == 40 }},
		"logging and the kubeconfig": {[]string{"--zap-log-level=debug", "--kubeconfig="}, func(setup.Options) bool { return true }},
		"one dash is as good as two": {[]string{"-workers", "5"}, func(o setup.Options) bool { return o.Workers == 5 }},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := parse(test.args, &bytes.Buffer{})
			if err != nil || !test.want(got) {
				t.Errorf("parse(%q) is %+v, %v", test.args, got, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a command that is not there": {[]string{"agnet"}, `unknown command "agnet"; see fairlead --help`},
		"no workers":                  {[]string{"--workers=0"}, "--workers is 0; it must be at least 1"},
		"a lease of nothing":          {[]string{"--lease-duration=10ms"}, "--lease-duration is 10ms; it must be at least 1s"},
		"no requests":                 {[]string{"--kube-api-qps=0"}, "--kube-api-qps is 0; it must be positive, or negative for no bound"},
		"a flag that is not there":    {[]string{"--nmaespace=x"}, "flag provided but not defined: -nmaespace"},
		"a value that is none":        {[]string{"--workers=many"}, `invalid value "many" for flag -workers`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parse(test.args, &bytes.Buffer{})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("parse(%q) says %v, want %s", test.args, err, test.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"manager", "--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help gives %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"Usage:", "fairlead [manager]", "fairlead agent", "-leader-elect", "-kubeconfig", "-zap-log-level", "$POD_NAMESPACE"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q:\n%s", want, out.String())
		}
	}
}

func TestAgent(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"agent", "--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("agent --help gives %v, want %v", err, flag.ErrHelp)
	}
	if !strings.Contains(out.String(), "-load-balancer") {
		t.Errorf("the agent's help is %s", out.String())
	}
	t.Setenv("POD_NAME", "")
	want := "$POD_NAMESPACE or $POD_NAME is empty; they must name the pod"
	if err := run(t.Context(), []string{"agent", "--load-balancer=shop"}, &out); err == nil || err.Error() != want {
		t.Errorf("outside of a pod the agent says %v, want %s", err, want)
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if err := run(t.Context(), []string{"--kubeconfig="}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "find the cluster") {
		t.Errorf("without a cluster run says %v", err)
	}
}
