// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// TestRunningPodIsReported bounds memory where a pod runs that wants more: the pod runs on and is reported, and another
// one like it is refused.
func TestRunningPodIsReported(t *testing.T) {
	t.Parallel()
	label := name(t, "running")
	names := namespaces(t, label, 3)
	d := echo(names[0], "1Gi")
	create(t, d)
	available(t, d)
	p := policy(t, label, maxMemory("512Mi"))
	ready(t, p, len(names))

	finding := func(kind, namePrefix string) func(context.Context) (bool, string, error) {
		return func(ctx context.Context) (bool, string, error) {
			if err := suite.client.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil || p.Status.Report == nil {
				return false, "no report", err
			}
			for _, f := range p.Status.Report.Top {
				if f.Kind == kind && f.Namespace == names[0] && len(f.Name) >= len(namePrefix) && f.Name[:len(namePrefix)] == namePrefix {
					t.Logf("%s %s/%s: %s", f.Kind, f.Namespace, f.Name, f.Message)
					return true, "", nil
				}
			}
			return false, fmt.Sprintf("%+v", p.Status.Report), nil
		}
	}
	eventually(t, "the running pod is reported", finding("Pod", "echo-"))
	eventually(t, "its template is reported", finding("Deployment", "echo"))

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: names[0], Name: "another"}, Spec: d.Spec.Template.Spec}
	if err := suite.client.Create(t.Context(), pod); !isForbidden(err, "maximum memory usage per Container is 512Mi") {
		t.Errorf("another pod like it: %v", err)
	}
	available(t, d)

	// What is mended is reported no more.
	d.Spec.Template.Spec.Containers[0].Resources.Limits = echo(names[0], "256Mi").Spec.Template.Spec.Containers[0].Resources.Limits
	if err := suite.client.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	available(t, d)
	eventually(t, "nothing is reported", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		return p.Status.Report != nil && p.Status.Report.Refused == 0, fmt.Sprintf("%+v", p.Status.Report), err
	})
	repaired(t, p, names)
}

// repaired edits one LimitRange and deletes another, and has the status tell of it.
func repaired(t *testing.T, p *v1alpha1.LimitPolicy, names []string) {
	t.Helper()
	raise(t, names[1], "8Gi")
	lowered(t, names[1], "512Mi")
	if err := suite.client.Delete(t.Context(), limitRange(names[2])); err != nil {
		t.Fatal(err)
	}
	lowered(t, names[2], "512Mi")
	eventually(t, "both repairs are in the status", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(p), p)
		told := map[string]string{}
		for _, r := range p.Status.Repairs {
			told[r.Object] = r.Manager
		}
		return told["LimitRange "+names[1]+"/fairlead"] == "kubectl-edit" && told["LimitRange "+names[2]+"/fairlead"] == "unknown",
			fmt.Sprintf("%+v", p.Status.Repairs), err
	})
}
