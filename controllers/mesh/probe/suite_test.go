// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// soon is how long a test waits for what should take milliseconds; the machine may be busy.
	soon = 60 * time.Second
	// hook is the name of the webhook, as Istio's begin.
	hook = "rev.object.sidecar-injector.istio.io"
)

// The controller manager makes service accounts and counts quotas.
var cluster = testutil.Cluster{Options: controlplane.Options{ControllerManager: true}}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

func newClient(t *testing.T, edit ...func(*rest.Config)) client.Client {
	t.Helper()
	config := cluster.Config(t)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	for _, e := range edit {
		e(config)
	}
	c, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newNamespace is a namespace where pods can be made, with labels and objects.
func newNamespace(t *testing.T, c client.Client, labels map[string]string, objects ...client.Object) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-", Labels: labels}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, soon, "there is a service account", func() (bool, string) {
		err := c.Get(t.Context(), client.ObjectKey{Namespace: ns.Name, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, fmt.Sprint(err)
	})
	for _, object := range objects {
		object.SetNamespace(ns.Name)
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return ns.Name
}

// injector is a webhook that does as istiod, or as one that is out of order.
type injector struct {
	*httptest.Server
	calls, real atomic.Int32
	// left is closed when the test ends.
	left chan struct{}
}

// newInjector serves answers to reviews of pods.
func newInjector(t *testing.T, answer func(i *injector, w http.ResponseWriter, review *admissionv1.AdmissionReview)) *injector {
	t.Helper()
	i := &injector{left: make(chan struct{})}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.calls.Add(1)
		body, err := io.ReadAll(r.Body)
		review := &admissionv1.AdmissionReview{}
		if err != nil || json.Unmarshal(body, review) != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if review.Request.DryRun == nil || !*review.Request.DryRun {
			i.real.Add(1)
		}
		answer(i, w, review)
	}))
	// Handshakes that fail are among the tests.
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(func() { close(i.left); i.CloseClientConnections(); i.Close() })
	return i
}

// serve has the API server ask the injector for the pods of a namespace that name a revision.
func (i *injector) serve(t *testing.T, c client.Client, namespace, revision string, edit ...func(*registrationv1.MutatingWebhook)) {
	t.Helper()
	url := i.URL + "/inject"
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
	webhook := registrationv1.MutatingWebhook{
		Name: hook, AdmissionReviewVersions: []string{"v1"}, SideEffects: new(registrationv1.SideEffectClassNone),
		ClientConfig:      registrationv1.WebhookClientConfig{URL: &url, CABundle: authority},
		FailurePolicy:     new(registrationv1.Fail),
		TimeoutSeconds:    new(int32(10)),
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		ObjectSelector:    &metav1.LabelSelector{MatchLabels: map[string]string{"istio.io/rev": revision, "sidecar.istio.io/inject": "true"}},
		Rules: []registrationv1.RuleWithOperations{{
			Operations: []registrationv1.OperationType{registrationv1.Create},
			Rule:       registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
	}
	for _, e := range edit {
		e(&webhook)
	}
	object := &registrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "injector-"}, Webhooks: []registrationv1.MutatingWebhook{webhook},
	}
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(t.Context(), object); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
}

// reply answers a review.
func reply(w http.ResponseWriter, review *admissionv1.AdmissionReview, response admissionv1.AdmissionResponse) {
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: &response})
}

// inject gives a pod the proxy of a revision, as Istio's templates do; init says whether it is a native sidecar, and privileged
// whether there is a container beside it that changes the network.
func inject(revision string, native, privileged bool) func(*injector, http.ResponseWriter, *admissionv1.AdmissionReview) {
	return func(_ *injector, w http.ResponseWriter, review *admissionv1.AdmissionReview) {
		pod := &corev1.Pod{}
		if err := json.Unmarshal(review.Request.Object.Raw, pod); err != nil {
			http.Error(w, "no pod", http.StatusBadRequest)
			return
		}
		proxy := *pod.Spec.Containers[0].DeepCopy()
		proxy.Name = "istio-proxy"
		few := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
		proxy.Resources = corev1.ResourceRequirements{Requests: few, Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m")}}
		containers, initial := pod.Spec.Containers, pod.Spec.InitContainers
		if native {
			proxy.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			initial = append(initial, proxy)
		} else {
			containers = append(containers, proxy)
		}
		if privileged {
			initial = append(initial, corev1.Container{
				Name: "istio-init", Image: "proxy", SecurityContext: &corev1.SecurityContext{
					RunAsUser: new(int64(0)), RunAsNonRoot: new(false), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}},
				},
			})
		}
		annotations := map[string]string{"istio.io/rev": revision}
		maps.Copy(annotations, pod.Annotations)
		operation := func(path string, value any) map[string]any {
			return map[string]any{"op": "add", "path": path, "value": value}
		}
		patch, err := json.Marshal([]any{
			operation("/metadata/annotations", annotations), operation("/spec/containers", containers), operation("/spec/initContainers", initial),
		})
		if err != nil {
			http.Error(w, "no patch", http.StatusInternalServerError)
			return
		}
		reply(w, review, admissionv1.AdmissionResponse{Allowed: true, Patch: patch, PatchType: new(admissionv1.PatchTypeJSONPatch)})
	}
}

// leave gives a pod nothing.
func leave(_ *injector, w http.ResponseWriter, review *admissionv1.AdmissionReview) {
	reply(w, review, admissionv1.AdmissionResponse{Allowed: true})
}

func deny(_ *injector, w http.ResponseWriter, review *admissionv1.AdmissionReview) {
	reply(w, review, admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "the template is broken " + strings.Repeat("x", 1000)}})
}

func fail(_ *injector, w http.ResponseWriter, _ *admissionv1.AdmissionReview) {
	http.Error(w, "out of order at "+time.Now().String(), http.StatusInternalServerError)
}

func hang(i *injector, _ http.ResponseWriter, _ *admissionv1.AdmissionReview) { <-i.left }

func babble(_ *injector, w http.ResponseWriter, _ *admissionv1.AdmissionReview) {
	_, _ = io.WriteString(w, "hello")
}
