// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/fairlead/fairlead/test/controlplane"
)

// Cluster is the control plane of a test binary. It starts with the first test that asks for it, so that
// pure tests and fuzzing do not wait for one.
type Cluster struct {
	Options controlplane.Options

	once   sync.Once
	plane  *controlplane.ControlPlane
	failed error
}

// Run is the body of a TestMain: it runs the tests and stops the control plane.
func (c *Cluster) Run(m *testing.M) int {
	code := m.Run()
	if c.plane == nil {
		return code
	}
	if err := c.plane.Stop(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "stop the control plane:", err)
		return 1
	}
	return code
}

// ControlPlane starts the control plane if it does not run yet.
func (c *Cluster) ControlPlane(tb testing.TB) *controlplane.ControlPlane {
	tb.Helper()
	c.once.Do(func() {
		// It outlives the test that starts it.
		c.plane, c.failed = controlplane.Start(context.WithoutCancel(tb.Context()), c.Options)
	})
	if c.failed != nil {
		tb.Fatal(c.failed)
	}
	return c.plane
}

// Config is a new client configuration of the administrator.
func (c *Cluster) Config(tb testing.TB) *rest.Config {
	tb.Helper()
	return c.ControlPlane(tb).Config()
}

// Namespace makes a namespace with a name of its own.
func Namespace(tb testing.TB, config *rest.Config, prefix string) string {
	tb.Helper()
	ns, err := Clientset(tb, config).CoreV1().Namespaces().Create(tb.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return ns.Name
}

// Clientset is a typed client.
func Clientset(tb testing.TB, config *rest.Config) kubernetes.Interface {
	tb.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

const poll = 5 * time.Millisecond

// Eventually asks until the answer is yes, and fails the test when the time is over; the answer's words
// then say what was there instead.
func Eventually(tb testing.TB, within time.Duration, what string, ask func() (ok bool, instead string)) {
	tb.Helper()
	deadline := time.Now().Add(within)
	for {
		ok, instead := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s; %s", within, what, instead)
		}
		select {
		case <-tb.Context().Done():
			tb.Fatalf("the test ended before: %s; %s", what, instead)
		case <-time.After(poll):
		}
	}
}
