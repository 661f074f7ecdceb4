// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/operator"
	"github.com/fairlead/fairlead/test/requests"
)

const (
	covered = 1000
	lease   = 6 * time.Second
)

// TestLeaderIsKilledWhileItCovers kills the leader of two replicas in the middle of covering 1,000 namespaces: the
// other one takes over, all are covered, and nothing was made twice.
func TestLeaderIsKilledWhileItCovers(t *testing.T) {
	ctx := t.Context()
	makeNamespaces(t, "leader", covered)
	leader, follower := replica(t, "first"), replica(t, "second")
	leading := holder(t)
	before, err := requests.Read(ctx, suite.plain)
	if err != nil {
		t.Fatal(err)
	}
	policy := policyFor("leader", "leader")
	create(t, policy)
	eventually(t, "a part of the namespaces is covered", func(ctx context.Context) (bool, error) {
		return count(ctx, t, &corev1.LimitRangeList{}) > covered/10, nil
	})
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if done := count(ctx, t, &corev1.ResourceQuotaList{}); done >= covered {
		t.Fatalf("the leader was killed too late: %d namespaces were covered", done)
	}
	eventually(t, "the other replica takes over", func(context.Context) (bool, error) {
		now := holder(t)
		return now != "" && now != leading, nil
	})
	t.Logf("the other replica holds the lease %s after the kill, of a lease of %s", time.Since(killed).Round(time.Millisecond), lease)
	ready(t, policy, covered)
	if ranges, quotas := count(ctx, t, &corev1.LimitRangeList{}), count(ctx, t, &corev1.ResourceQuotaList{}); ranges != covered || quotas != covered {
		t.Errorf("%d LimitRanges and %d ResourceQuotas; want %d of each", ranges, quotas, covered)
	}
	after, err := requests.Read(ctx, suite.plain)
	if err != nil {
		t.Fatal(err)
	}
	writes := after.Since(before).Only(func(key requests.Key) bool {
		return requests.Write(key) && key.Subresource == "" && (key.Resource == "limitranges" || key.Resource == "resourcequotas")
	})
	for key, number := range writes {
		// Requests under way when the leader died were answered to nobody: 504, or 201. The other replica finds what
		// they made, by its cache or by a 409.
		if key.Verb != "POST" || key.Code == "201" && number > covered {
			t.Errorf("%d requests %+v; want %d creations of each kind and nothing else", number, key, covered)
		}
	}
	if err := suite.client.Delete(ctx, policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the limits go with the policy", func(ctx context.Context) (bool, error) {
		return count(ctx, t, &corev1.LimitRangeList{}) == 0, nil
	})
	if err := follower.Stop(); err != nil {
		t.Error(err)
	}
}

// replica starts an operator and waits until it leads, or until it knows that another one does.
func replica(t *testing.T, name string) *operator.Process {
	t.Helper()
	process, err := operator.Start(suite.binary, suite.plane.Kubeconfig(), filepath.Join(suite.dir, name+".log"),
		"--leader-elect", "--namespace="+operatorNamespace, "--lease-duration="+lease.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Kill() })
	settled := func(m operator.Metrics) bool { return len(m["leader_election_master_status"]) > 0 }
	if name == "first" {
		settled = func(m operator.Metrics) bool { return m.Sum("leader_election_master_status") == 1 }
	}
	if err := process.WaitMetric(t.Context(), settled); err != nil {
		t.Fatal(err)
	}
	return process
}

func holder(t *testing.T) string {
	t.Helper()
	leaseObject, err := suite.plain.CoordinationV1().Leases(operatorNamespace).Get(t.Context(), setup.LeaseName, metav1.GetOptions{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil || leaseObject.Spec.HolderIdentity == nil {
		return ""
	}
	return *leaseObject.Spec.HolderIdentity
}

func makeNamespaces(t *testing.T, label string, number int) {
	t.Helper()
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := worker; i < number; i += 8 {
				err := suite.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
					Name: fmt.Sprintf("%s-%04d", label, i), Labels: map[string]string{"suite": label},
				}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// count is the number of our objects of a kind.
func count(ctx context.Context, t *testing.T, list client.ObjectList) int {
	t.Helper()
	if err := suite.client.List(ctx, list, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		t.Fatal(err)
	}
	switch list := list.(type) {
	case *corev1.LimitRangeList:
		return len(list.Items)
	case *corev1.ResourceQuotaList:
		return len(list.Items)
	default:
		t.Fatalf("no count of %T", list)
		return 0
	}
}
