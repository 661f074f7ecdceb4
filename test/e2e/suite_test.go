// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/cluster"
)

const (
	// envCluster names the folder of the cluster, if it is one of package cluster.
	envCluster = "FAIRLEAD_E2E_CLUSTER"
	// envEcho names the image of test/echo, where the cluster is another one.
	envEcho = "ECHO_IMG"

	poll     = 100 * time.Millisecond
	patience = 3 * time.Minute
)

// suite is what all tests share.
var suite struct {
	config *rest.Config
	client client.Client
	plain  kubernetes.Interface
	echo   string
	// node is nil where the cluster is not one of package cluster.
	node *cluster.Cluster
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	if err := setUp(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp() error {
	var err error
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" {
		return fmt.Errorf("KUBECONFIG is not set; run the tests by \"make e2e\"")
	}
	if suite.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	suite.config.QPS = -1
	if suite.client, err = client.New(suite.config, client.Options{Scheme: setup.Scheme()}); err != nil {
		return err
	}
	if suite.plain, err = kubernetes.NewForConfig(suite.config); err != nil {
		return err
	}
	suite.echo = cmp.Or(os.Getenv(envEcho), "docker.io/fairlead/echo:dev")
	if dir := os.Getenv(envCluster); dir != "" {
		suite.node, err = cluster.Open(dir)
	}
	return err
}

// ownNode skips a test that does to the machine what nobody may do to a cluster of others, or that needs images which
// only our own has.
func ownNode(t *testing.T) *cluster.Cluster {
	t.Helper()
	if suite.node == nil {
		t.Skipf("it needs the node's processes or images, and %s names no cluster of ours", envCluster)
	}
	return suite.node
}

// eventually waits until a condition holds. Errors of the API server are asked again: it may be the one that restarts.
func eventually(t *testing.T, what string, condition func(context.Context) (ok bool, found string, err error)) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), poll, patience, true, func(ctx context.Context) (bool, error) {
		ok, found, err := condition(ctx)
		switch {
		case ctx.Err() != nil:
			// What it found before says more.
		case err != nil:
			last = err.Error()
		default:
			last = found
		}
		return ok && err == nil, nil
	})
	if err != nil {
		t.Fatalf("not within %s: %s; found %s", patience, what, last)
	}
}

// name is one that no earlier run has used.
func name(t *testing.T, prefix string) string {
	t.Helper()
	return strings.ToLower(prefix) + "-" + utilrand.String(5)
}

// namespaces makes some, labelled suite=label, and removes them at the end.
func namespaces(t *testing.T, label string, number int) []string {
	t.Helper()
	var names []string
	for i := range number {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%03d", label, i), Labels: map[string]string{"suite": label}}}
		create(t, ns)
		names = append(names, ns.Name)
	}
	return names
}

// create makes an object, and removes it at the end of the test.
func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := suite.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := client.IgnoreNotFound(suite.client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground)))
		if err != nil {
			t.Error(err)
		}
	})
}

// policy makes a LimitPolicy for the namespaces labelled suite=label.
func policy(t *testing.T, label string, limits ...v1alpha1.LimitItem) *v1alpha1.LimitPolicy {
	t.Helper()
	p := &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: label},
		Spec: v1alpha1.LimitPolicySpec{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"suite": v1alpha1.LabelValue(label)}},
			Limits:            limits,
		},
	}
	create(t, p)
	return p
}

// maxMemory bounds the memory of each container.
func maxMemory(amount v1alpha1.Amount) v1alpha1.LimitItem {
	return v1alpha1.LimitItem{Type: corev1.LimitTypeContainer, Max: v1alpha1.Amounts{corev1.ResourceMemory: amount}}
}

// ready waits until a policy is in force in that many namespaces.
func ready(t *testing.T, p *v1alpha1.LimitPolicy, number int) {
	t.Helper()
	eventually(t, fmt.Sprintf("policy %s is in force in %d namespaces", p.Name, number), func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		counts := p.Status.Namespaces
		return counts != nil && int(counts.Covered) == number && meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady),
			fmt.Sprintf("%+v", p.Status), err
	})
}

// covered counts the namespaces of a label that have our LimitRange.
func covered(ctx context.Context, label string) (int, error) {
	ranges := &corev1.LimitRangeList{}
	if err := suite.client.List(ctx, ranges, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return 0, err
	}
	number := 0
	for i := range ranges.Items {
		if strings.HasPrefix(ranges.Items[i].Namespace, label+"-") {
			number++
		}
	}
	return number, nil
}

// raise changes the limit of a namespace by hand.
func raise(t *testing.T, namespace, amount string) {
	t.Helper()
	body := fmt.Appendf(nil, `{"spec":{"limits":[{"type":"Container","max":{"memory":%q}}]}}`, amount)
	eventually(t, "the LimitRange is edited", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Patch(ctx, limitRange(namespace), client.RawPatch("application/merge-patch+json", body), client.FieldOwner("kubectl-edit"))
		return err == nil, "", err
	})
}

// lowered waits until the limit of a namespace is as the policy wants it.
func lowered(t *testing.T, namespace, amount string) {
	t.Helper()
	eventually(t, "the LimitRange is right again", func(ctx context.Context) (bool, string, error) {
		found := limitRange(namespace)
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(found), found); err != nil {
			return false, "", err
		}
		memory := found.Spec.Limits[0].Max[corev1.ResourceMemory]
		return memory.String() == amount, memory.String(), nil
	})
}

func limitRange(namespace string) *corev1.LimitRange {
	return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fairlead"}}
}

func isForbidden(err error, words string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), words)
}
