// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// member makes a namespace that a mesh selects by a mark, with a Deployment of two pods.
func (o *operator) memberNamespace(t *testing.T, mark string) *corev1.Namespace {
	t.Helper()
	ns := o.labelled(t, "member", map[string]string{"mesh-test": mark})
	app := map[string]string{"app": "web"}
	web := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{Name: "web", Image: "web"}}, AutomountServiceAccountToken: new(false),
				},
			},
		},
	}
	if err := o.client.Create(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	return ns
}

// selecting has a mesh select namespaces by a mark, and restart what has the wrong proxy.
func selecting(mark string) func(*v1alpha1.Mesh) {
	return func(m *v1alpha1.Mesh) {
		m.Spec.Members = &v1alpha1.MeshMembers{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"mesh-test": v1alpha1.LabelValue(mark)}},
			RestartWorkloads:  true,
		}
		m.Spec.Upgrade.ProgressDeadline = "1m"
		// The proxies of the test go after the mesh.
		m.Spec.Uninstall.WithMembers = v1alpha1.UninstallProceed
	}
}

// proxies are the images of the proxies that run in a namespace; empty for a pod without one.
func (o *operator) proxies(t *testing.T, namespace string) []string {
	t.Helper()
	var pods corev1.PodList
	if err := o.client.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range pods.Items {
		image := ""
		for _, c := range pods.Items[i].Spec.Containers {
			if c.Name == "istio-proxy" {
				image = c.Image
			}
		}
		out = append(out, image)
	}
	return out
}

// wantProxies waits until both pods of a namespace have proxies of a version.
func (o *operator) wantProxies(t *testing.T, namespace, version string) {
	t.Helper()
	want := "docker.io/istio/proxyv2:" + version
	testutil.Eventually(t, soon, "the proxies of "+namespace+" are of "+version, func() (bool, string) {
		all := o.proxies(t, namespace)
		return len(all) == 2 && all[0] == want && all[1] == want, fmt.Sprint(all)
	})
}

// templates is how many templates the Deployment of a namespace has had.
func (o *operator) templates(t *testing.T, namespace string) int {
	t.Helper()
	var sets appsv1.ReplicaSetList
	if err := o.client.List(t.Context(), &sets, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	return len(sets.Items)
}

// inForce waits until a version is in force, and all members have it.
func (o *operator) inForce(t *testing.T, m *v1alpha1.Mesh, version string, members ...*corev1.Namespace) *v1alpha1.Mesh {
	t.Helper()
	got := o.await(t, m, version+" is in force", func(m *v1alpha1.Mesh) bool {
		ready := condition(m, v1alpha1.ConditionReady)
		return (ready == "True/InForce" || ready == "True/RollbackInForce") && m.Status.RunningVersion == version && m.Status.Members.Outdated == 0
	})
	for _, ns := range members {
		o.wantProxies(t, ns.Name, version)
	}
	return got
}

// TestCanary: the next version is installed beside the one that runs, members come to it in batches, each workload restarts
// once, and the old one goes when nothing uses it; and back by the history.
func TestCanary(t *testing.T) {
	t.Parallel()
	o := running(t)
	mark := unique("canary")
	members := []*corev1.Namespace{o.memberNamespace(t, mark), o.memberNamespace(t, mark), o.memberNamespace(t, mark)}
	m := o.mesh(t, "canary", "1.30", selecting(mark))
	o.kubelet(t, nil, m.Name, members[0].Name, members[1].Name, members[2].Name)
	o.applied(t, m)
	o.run(t, m)
	got := o.inForce(t, m, "1.30.4", members...)
	if got.Status.Members.Namespaces != 3 || got.Status.Members.Workloads != 3 || got.Status.Upgrade.Phase != v1alpha1.UpgradeComplete ||
		len(got.Status.History) != 1 || got.Status.History[0].Number != 1 {
		t.Errorf("the status is %+v, members %+v, upgrade %+v", got.Status, got.Status.Members, got.Status.Upgrade)
	}

	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Version = "1.31" })
	got = o.await(t, m, "1.31 is being installed", func(m *v1alpha1.Mesh) bool {
		return len(m.Status.Revisions) == 2 && m.Status.Upgrade.Phase == v1alpha1.UpgradeInstalling && m.Status.Upgrade.From == "1.30.4"
	})
	if got.Status.Revisions[0].Name != m.Name+"-1-31-0" || got.Status.RunningVersion != "1.30.4" || condition(got, v1alpha1.ConditionReady) != "False/Progressing" {
		t.Errorf("the status is %+v", got.Status)
	}
	// Nobody moves before the new control plane injects.
	for _, ns := range members {
		o.wantRevision(t, ns, m.Name+"-1-30-4")
	}
	o.run(t, m)
	got = o.inForce(t, m, "1.31.0", members...)
	if got.Status.Upgrade.From != "1.30.4" || got.Status.Upgrade.To != "1.31.0" || len(got.Status.History) != 2 || len(got.Status.Repairs) > 0 {
		t.Errorf("the status is %+v", got.Status)
	}
	for _, ns := range members {
		o.wantRevision(t, ns, m.Name+"-1-31-0")
		if n := o.templates(t, ns.Name); n != 3 {
			t.Errorf("the Deployment of %s restarted %d times, not once to join and once to move", ns.Name, n-1)
		}
	}
	o.await(t, m, "the old revision is gone", func(m *v1alpha1.Mesh) bool { return len(m.Status.Revisions) == 1 })
	for _, object := range o.objects(t, m.Name) {
		if strings.Contains(object.GetName(), "1-30-4") {
			t.Errorf("%s %s is left", object.GetKind(), object.GetName())
		}
	}

	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.RollbackTo = 1 })
	o.await(t, m, "the earlier release is being installed", func(m *v1alpha1.Mesh) bool { return len(m.Status.Revisions) == 2 })
	o.run(t, m)
	got = o.inForce(t, m, "1.30.4", members...)
	if condition(got, v1alpha1.ConditionReady) != "True/RollbackInForce" {
		t.Errorf("the conditions are %+v", got.Status.Conditions)
	}
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.RollbackTo = 99 })
	o.awaitReady(t, m, "False/UnknownRollback")
}

// TestRollsBack: a version whose control plane never becomes ready goes again, and the one before it injects all the time.
func TestRollsBack(t *testing.T) {
	t.Parallel()
	o := running(t)
	mark := unique("back")
	member := o.memberNamespace(t, mark)
	m := o.mesh(t, "back", "1.30", selecting(mark))
	sick := func(pod *corev1.Pod) bool { return pod.Labels["istio.io/rev"] == m.Name+"-1-31-0" }
	o.kubelet(t, sick, m.Name, member.Name)
	o.applied(t, m)
	o.run(t, m)
	o.inForce(t, m, "1.30.4", member)
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Version = "1.31" })
	o.await(t, m, "1.31 is being installed", func(m *v1alpha1.Mesh) bool { return len(m.Status.Revisions) == 2 })
	got := o.awaitLong(t, m, "it is rolled back", func(m *v1alpha1.Mesh) bool {
		return condition(m, v1alpha1.ConditionStalled) == "True/RolledBack" && len(m.Status.Revisions) == 1
	})
	if got.Status.RunningVersion != "1.30.4" || got.Status.DesiredVersion != "1.31.0" || got.Status.Upgrade.Phase != v1alpha1.UpgradeRolledBack ||
		!strings.Contains(message(got, v1alpha1.ConditionStalled), "istiod is not rolled out") || condition(got, v1alpha1.ConditionReady) != "False/RolledBack" {
		t.Errorf("the status is %+v, upgrade %+v", got.Status, got.Status.Upgrade)
	}
	if n := o.templates(t, member.Name); n != 2 {
		t.Errorf("the Deployment of the member restarted %d times, not once to join", n-1)
	}
	failed := got.Status.History[0]
	if !failed.Failed || failed.Version != "1.31.0" {
		t.Errorf("the history is %+v", got.Status.History)
	}
	o.wantRevision(t, member, m.Name+"-1-30-4")
	// It stays so, until a person asks again.
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Annotations = map[string]string{v1alpha1.AnnotationRetry: "now"} })
	o.await(t, m, "1.31 is tried again", func(m *v1alpha1.Mesh) bool {
		return m.Status.Upgrade.Phase == v1alpha1.UpgradeInstalling && len(m.Status.Revisions) == 2
	})
}

// TestInPlace: another version replaces the one that runs, under its name; what Istio does not support is refused.
func TestInPlace(t *testing.T) {
	t.Parallel()
	o := running(t)
	mark := unique("place")
	member := o.memberNamespace(t, mark)
	m := o.mesh(t, "place", "1.30", selecting(mark), func(m *v1alpha1.Mesh) { m.Spec.Upgrade.Strategy = v1alpha1.UpgradeInPlace })
	o.kubelet(t, nil, m.Name, member.Name)
	o.applied(t, m)
	o.run(t, m)
	o.inForce(t, m, "1.30.4", member)
	o.wantRevision(t, member, m.Name)
	planes.up(t, o, m, m.Name, "1.31.0")
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Version = "1.31" })
	o.await(t, m, "1.31 is in the place of 1.30", func(m *v1alpha1.Mesh) bool {
		return len(m.Status.Revisions) == 1 && m.Status.Revisions[0].Version == "1.31.0"
	})
	o.run(t, m)
	o.inForce(t, m, "1.31.0", member)
	if n := o.templates(t, member.Name); n != 3 {
		t.Errorf("the Deployment of the member restarted %d times, not once to join and once to move", n-1)
	}
	change(t, o, m, func(m *v1alpha1.Mesh) { m.Spec.Version = "1.30" })
	got := o.awaitReady(t, m, "False/UnsupportedUpgrade")
	if got.Status.RunningVersion != "1.31.0" || got.Status.DesiredVersion != "1.30.4" ||
		!strings.Contains(message(got, v1alpha1.ConditionStalled), "rollbackTo") {
		t.Errorf("the status is %+v", got.Status)
	}
	// Other values are the same release with other settings: nobody restarts for them.
	change(t, o, m, func(m *v1alpha1.Mesh) {
		m.Spec.Version = "1.31"
		m.Spec.Values = &v1alpha1.Values{Raw: []byte(`{"pilot":{"env":{"X":"y"}}}`)}
	})
	o.await(t, m, "it is in the history", func(m *v1alpha1.Mesh) bool { return len(m.Status.History) == 3 })
	o.inForce(t, m, "1.31.0", member)
	if n := o.templates(t, member.Name); n != 3 {
		t.Errorf("the Deployment of the member restarted for other values")
	}
}
