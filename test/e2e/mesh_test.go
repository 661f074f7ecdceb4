// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// restTime is how long nothing may be written for.
const restTime = time.Minute

// TestMesh installs a real istiod: it injects into pods of members and of nobody else, the status tells, edits are undone
// while istiod writes its own fields, and at rest nothing is written.
func TestMesh(t *testing.T) {
	own := name(t, "mesh")
	m := istio(t, own, "1.30", func(spec *v1alpha1.MeshSpec) {
		spec.MTLS = v1alpha1.MTLSStrict
		spec.Gateways = []v1alpha1.MeshGateway{{
			Name: "ingress", Namespace: v1alpha1.NamespaceName(own), Hosts: []v1alpha1.GatewayHost{"echo.test"},
			Routes: []v1alpha1.GatewayRoute{{Service: v1alpha1.RouteService{Name: "echo", Namespace: "default"}}},
		}}
	})
	in, out := joined(t, m, 1)[0], namespaces(t, m.Name+"-out", 1)[0]
	runs(t, m, oldIstio)
	revision := revisionOf(t, in)
	if want := m.Name + "-1-30-4"; revision != want {
		t.Errorf("the member names revision %s, want %s", revision, want)
	}
	for namespace, want := range map[string]string{in: revision, out: ""} {
		available(t, workload(t, namespace))
		pods, err := podsOf(t.Context(), namespace)
		if err != nil || len(pods) != 1 {
			t.Fatalf("%d pods in %s: %v", len(pods), namespace, err)
		}
		got, image := proxyOf(&pods[0])
		if got != want || want != "" && image != "docker.io/istio/proxyv2:"+oldIstio {
			t.Errorf("the pod in %s has a proxy of revision %q and image %q, want %q", namespace, got, image, want)
		}
	}
	meshIs(t, m, "aware of its member", func(m *v1alpha1.Mesh) bool {
		r := m.Status.Revisions
		return isReady(m) && len(r) == 1 && r[0] == v1alpha1.MeshRevision{Name: revision, Version: oldIstio, State: v1alpha1.RevisionReady, Workloads: 1, Namespaces: 1}
	})
	t.Run("doorway", func(t *testing.T) { doorway(t, m) })
	t.Run("edits", func(t *testing.T) { editsOfMesh(t, m, revision) })
	t.Run("rest", func(t *testing.T) { restsWithIstiod(t, m) })
}

// doorway finds the gateway's proxies running, and what they and the members are to do on record: the proxies of this cluster
// carry no traffic.
func doorway(t *testing.T, m *v1alpha1.Mesh) {
	proxies := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: m.Name, Name: "ingress"}}
	eventually(t, "there is a gateway", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(proxies), proxies)
		return err == nil, story(m), err
	})
	available(t, proxies)
	made, err := madeFor(t.Context(), m.Name)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, o := range made {
		kinds[o.GetKind()]++
	}
	for _, kind := range []string{"Gateway", "VirtualService", "PeerAuthentication"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no %s, of %v", kind, kinds)
		}
	}
}

// editsOfMesh changes what istiod runs from, and what it writes to itself.
func editsOfMesh(t *testing.T, m *v1alpha1.Mesh, revision string) {
	space := string(m.Spec.Namespace)
	inSpace := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: space, Name: name} }
	injector := "istio-sidecar-injector-" + revision + "-" + space
	for what, edit := range map[string]struct {
		object client.Object
		patch  string
	}{
		"Deployment: a variable": {
			&appsv1.Deployment{ObjectMeta: inSpace("istiod-" + revision)},
			`[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"X","value":"y"}}]`,
		},
		"Deployment: scaled to 0": {&appsv1.Deployment{ObjectMeta: inSpace("istiod-" + revision)}, `[{"op":"replace","path":"/spec/replicas","value":0}]`},
		"ConfigMap: a key":        {&corev1.ConfigMap{ObjectMeta: inSpace("istio-" + revision)}, `[{"op":"add","path":"/data/x","value":"y"}]`},
		"ConfigMap: the template": {&corev1.ConfigMap{ObjectMeta: inSpace("istio-sidecar-injector-" + revision)}, `[{"op":"replace","path":"/data/config","value":"{}"}]`},
		"ConfigMap: deleted":      {&corev1.ConfigMap{ObjectMeta: inSpace("istio-sidecar-injector-" + revision)}, ""},
		"injector: it does not matter": {
			&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: injector}},
			`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`,
		},
		"injector: for nobody": {
			&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: injector}},
			`[{"op":"add","path":"/webhooks/0/objectSelector/matchLabels","value":{"x":"y"}}]`,
		},
		"validator: fewer operations": {
			&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "istio-validator-" + revision + "-" + space}},
			`[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["CREATE"]}]`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			runs(t, m, oldIstio)
			before := essence(t, edit.object)
			var err error
			if edit.patch == "" {
				err = suite.client.Delete(t.Context(), edit.object)
			} else {
				err = suite.client.Patch(t.Context(), edit.object, client.RawPatch(types.JSONPatchType, []byte(edit.patch)), client.FieldOwner("eve"))
			}
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is as before", func(ctx context.Context) (bool, string, error) {
				err := suite.client.Get(ctx, client.ObjectKeyFromObject(edit.object), edit.object)
				if err != nil {
					return false, "", err
				}
				after := essence(t, edit.object)
				return after == before, after, nil
			})
		})
	}
	// What istiod decides stays its own: without it nobody would be injected.
	t.Run("istiod's own fields", func(t *testing.T) {
		hook := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: injector}}
		if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(hook), hook); err != nil {
			t.Fatal(err)
		}
		if len(hook.Webhooks[0].ClientConfig.CABundle) == 0 || !managedBy(hook, "pilot-discovery") {
			t.Errorf("the injector has no authority of istiod: managers %v", hook.ManagedFields)
		}
		validator := &admissionv1.ValidatingWebhookConfiguration{}
		err := suite.client.Get(t.Context(), client.ObjectKey{Name: "istio-validator-" + revision + "-" + space}, validator)
		if err != nil || len(validator.Webhooks[0].ClientConfig.CABundle) == 0 || *validator.Webhooks[0].FailurePolicy != admissionv1.Fail {
			t.Errorf("istiod has not taken the validator over: %+v, %v", validator.Webhooks, err)
		}
	})
}

func managedBy(object client.Object, manager string) bool {
	return slices.ContainsFunc(object.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == manager })
}

// essence reads an object, and gives what somebody decided of it: all but what the API server and controllers keep.
func essence(t *testing.T, object client.Object) string {
	t.Helper()
	if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	annotations := maps.Clone(object.GetAnnotations())
	delete(annotations, "deployment.kubernetes.io/revision")
	out["metadata"] = map[string]any{"labels": object.GetLabels(), "annotations": annotations}
	delete(out, "status")
	if raw, err = json.Marshal(out); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// restsWithIstiod: nothing that belongs to a mesh is written for a while, by nobody, and the operator sends no patch.
func restsWithIstiod(t *testing.T, m *v1alpha1.Mesh) {
	runs(t, m, oldIstio)
	// What followed from the last edit settles: an istiod that goes drains for half a minute, and its Deployment counts it.
	eventually(t, "no istiod is on its way out", func(ctx context.Context) (bool, string, error) {
		pods := &corev1.PodList{}
		err := suite.client.List(ctx, pods, client.InNamespace(m.Spec.Namespace))
		leaves := slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		return err == nil && !leaves, "one is", err
	})
	var versions map[string]string
	since := time.Now()
	eventually(t, "all is quiet for ten seconds", func(ctx context.Context) (bool, string, error) {
		now, err := versionsOf(ctx, m)
		if err != nil {
			return false, "", err
		}
		if changed := written(versions, now); len(changed) > 0 {
			versions, since = now, time.Now()
			return false, fmt.Sprint(changed), nil
		}
		return time.Since(since) > 10*time.Second, "it has just settled", nil
	})
	then, err := madeFor(t.Context(), m.Name)
	if err != nil {
		t.Fatal(err)
	}
	scraper := newScraper(t)
	before := scraper.patches(t)
	end := time.NewTimer(restTime)
	defer end.Stop()
	<-end.C
	now, err := versionsOf(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if changed := written(versions, now); len(changed) > 0 {
		later, err := madeFor(t.Context(), m.Name)
		for _, name := range changed {
			t.Logf("%s: %s, then %s, %v", name, writers(then[name]), writers(later[name]), err)
		}
		t.Errorf("within %s at rest was written to %v", restTime, changed)
	}
	if after := scraper.patches(t); after != before {
		t.Errorf("the operator sent %.0f patches and deletions in %s at rest", after-before, restTime)
	}
}

// writers tells who wrote an object last, and when.
func writers(object *unstructured.Unstructured) (out string) {
	if object == nil {
		return "not there"
	}
	for _, f := range object.GetManagedFields() {
		out += fmt.Sprintf("%s %s at %s; ", f.Manager, f.Subresource, f.Time)
	}
	return out
}

// written are the objects that have another version now, that came, or that went.
func written(before, now map[string]string) []string {
	var out []string
	for name, version := range now {
		if before[name] != version {
			out = append(out, name)
		}
	}
	for name := range before {
		if _, there := now[name]; !there {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// versionsOf are the resourceVersions of a mesh, of all that was made for it and of what meshes share, and of its members.
func versionsOf(ctx context.Context, m *v1alpha1.Mesh) (map[string]string, error) {
	out := map[string]string{}
	for _, mark := range []string{m.Name, "definitions"} {
		made, err := madeFor(ctx, mark)
		if err != nil {
			return nil, err
		}
		for name, object := range made {
			out[name] = object.GetResourceVersion()
		}
	}
	spaces := &corev1.NamespaceList{}
	if err := suite.client.List(ctx, spaces, client.MatchingLabels{labelMesh: m.Name}); err != nil {
		return nil, err
	}
	for i := range spaces.Items {
		out["Namespace "+spaces.Items[i].Name] = spaces.Items[i].ResourceVersion
	}
	current := &unstructured.Unstructured{}
	current.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Mesh"))
	if err := suite.client.Get(ctx, client.ObjectKeyFromObject(m), current); err != nil {
		return nil, err
	}
	out["Mesh"] = current.GetResourceVersion()
	return out, nil
}

// scraper reads the metrics of the operator that leads, as one who may.
type scraper struct{ address, token string }

func newScraper(t *testing.T) scraper {
	t.Helper()
	const account = "default"
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name(t, "scraper")},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "fairlead-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: account}},
	})
	token, err := suite.plain.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := suite.plain.CoreV1().Pods(operatorNamespace).Get(t.Context(), strings.SplitN(leader(t), "_", 2)[0], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return scraper{net.JoinHostPort(pod.Status.PodIP, "8443"), token.Status.Token}
}

// scrape gives the metrics. The certificate is the operator's own, so it is not checked.
func (s scraper) scrape(ctx context.Context, t *testing.T) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	transport := &http.Transport{DialContext: ownNode(t).Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the metrics are answered by %s", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// patches counts the PATCH and DELETE requests that the operator has sent. What it renews its lease by is PUT.
func (s scraper) patches(t *testing.T) float64 {
	t.Helper()
	var body string
	eventually(t, "the operator gives its metrics", func(ctx context.Context) (bool, string, error) {
		var err error
		body, err = s.scrape(ctx, t)
		return strings.Contains(body, "rest_client_requests_total{"), "no requests in it", err
	})
	total := 0.0
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "rest_client_requests_total{") || !strings.Contains(line, `method="PATCH"`) && !strings.Contains(line, `method="DELETE"`) {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		total += value
	}
	return total
}
