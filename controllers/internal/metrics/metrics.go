// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the figures that the operator exports beside those of controller-runtime.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

var (
	repairs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fairlead_drift_repairs_total",
		Help: "Foreign changes undone, by the kind of the object.",
	}, []string{"kind"})

	repairSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "fairlead_drift_repair_seconds",
		Help:    "Time from the watch event of a foreign change to the API server's answer to its repair.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60},
	}, []string{"kind"})

	limitNamespaces = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_limitpolicy_namespaces",
		Help: "Namespaces of a LimitPolicy, by state: selected, covered or failed.",
	}, []string{"policy", "state"})

	limitViolations = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_limitpolicy_violations",
		Help: "Objects that the limits of a LimitPolicy would refuse or change if they were created now, by effect and rule.",
	}, []string{"policy", "effect", "rule"})

	loadBalancerReplicas = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_loadbalancer_replicas",
		Help: "Replicas of a LoadBalancer, by state: desired, ready, or current, which serve the newest spec.",
	}, []string{"namespace", "name", "state"})

	loadBalancerProblems = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_loadbalancer_problems",
		Help: "Parts of the spec of a LoadBalancer that are not in force.",
	}, []string{"namespace", "name"})

	meshMembers = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_mesh_members",
		Help: "Members of a Mesh: its namespaces, their workloads, and those of them that are outdated or waiting for a restart.",
	}, []string{"mesh", "of"})

	meshRevisionWorkloads = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_mesh_revision_workloads",
		Help: "Workloads with proxies of a control plane of a Mesh, by revision and version.",
	}, []string{"mesh", "revision", "version"})

	meshUpgrade = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_mesh_upgrade",
		Help: "1 for the phase that the upgrade of a Mesh is in.",
	}, []string{"mesh", "phase"})

	meshCA = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_mesh_ca_not_after_seconds",
		Help: "When the certificate of a Mesh's authority ends, in seconds since 1970.",
	}, []string{"mesh"})
)

func init() {
	metrics.Registry.MustRegister(repairs, repairSeconds, limitNamespaces, limitViolations, loadBalancerReplicas, loadBalancerProblems,
		meshMembers, meshRevisionWorkloads, meshUpgrade, meshCA)
}

// Repairs counts what the apply engine repairs.
type Repairs struct{}

// Repaired counts one repaired object of a kind; latency is 0 where no event told of the change.
func (Repairs) Repaired(kind string, latency time.Duration) {
	repairs.WithLabelValues(kind).Inc()
	if latency > 0 {
		repairSeconds.WithLabelValues(kind).Observe(latency.Seconds())
	}
}

// Violation keys the count of one rule's effect.
type Violation struct{ Effect, Rule string }

// LimitPolicy sets the gauges of one policy.
func LimitPolicy(policy string, selected, covered, failed int, violations map[Violation]int) {
	limitNamespaces.WithLabelValues(policy, "selected").Set(float64(selected))
	limitNamespaces.WithLabelValues(policy, "covered").Set(float64(covered))
	limitNamespaces.WithLabelValues(policy, "failed").Set(float64(failed))
	limitViolations.DeletePartialMatch(prometheus.Labels{"policy": policy})
	for v, count := range violations {
		limitViolations.WithLabelValues(policy, v.Effect, v.Rule).Set(float64(count))
	}
}

// ForgetLimitPolicy drops the gauges of a policy that is gone.
func ForgetLimitPolicy(policy string) {
	limitNamespaces.DeletePartialMatch(prometheus.Labels{"policy": policy})
	limitViolations.DeletePartialMatch(prometheus.Labels{"policy": policy})
}

// LoadBalancer sets the gauges of one load balancer.
func LoadBalancer(namespace, name string, desired, ready, current, problems int32) {
	loadBalancerReplicas.WithLabelValues(namespace, name, "desired").Set(float64(desired))
	loadBalancerReplicas.WithLabelValues(namespace, name, "ready").Set(float64(ready))
	loadBalancerReplicas.WithLabelValues(namespace, name, "current").Set(float64(current))
	loadBalancerProblems.WithLabelValues(namespace, name).Set(float64(problems))
}

// ForgetLoadBalancer drops the gauges of a load balancer that is gone.
func ForgetLoadBalancer(namespace, name string) {
	loadBalancerReplicas.DeletePartialMatch(prometheus.Labels{"namespace": namespace, "name": name})
	loadBalancerProblems.DeletePartialMatch(prometheus.Labels{"namespace": namespace, "name": name})
}

// Mesh sets the gauges of one mesh.
func Mesh(mesh string, status *v1alpha1.MeshStatus) {
	ForgetMesh(mesh)
	if m := status.Members; m != nil {
		for of, n := range map[string]int32{"namespaces": m.Namespaces, "workloads": m.Workloads, "outdated": m.Outdated, "waiting": m.Waiting} {
			meshMembers.WithLabelValues(mesh, of).Set(float64(n))
		}
	}
	for _, r := range status.Revisions {
		meshRevisionWorkloads.WithLabelValues(mesh, r.Name, r.Version).Set(float64(r.Workloads))
	}
	if status.Upgrade != nil {
		meshUpgrade.WithLabelValues(mesh, string(status.Upgrade.Phase)).Set(1)
	}
	if status.CA != nil {
		meshCA.WithLabelValues(mesh).Set(float64(status.CA.NotAfter.Unix()))
	}
}

// ForgetMesh drops the gauges of a mesh.
func ForgetMesh(mesh string) {
	for _, gauge := range []*prometheus.GaugeVec{meshMembers, meshRevisionWorkloads, meshUpgrade, meshCA} {
		gauge.DeletePartialMatch(prometheus.Labels{"mesh": mesh})
	}
}
