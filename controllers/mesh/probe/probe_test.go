// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/probe"
)

const revision = "default-1-31-0"

var (
	fit     = probe.Result{Answers: true, Injects: true}
	noProxy = probe.Result{Answers: true, Why: "a dry-run pod got no proxy"}
)

func unreached(why string) probe.Result {
	return probe.Result{Why: "webhook " + hook + " does not answer: " + why}
}

func ignore(w *registrationv1.MutatingWebhook) { w.FailurePolicy = new(registrationv1.Ignore) }

func hasty(w *registrationv1.MutatingWebhook) { w.TimeoutSeconds = new(int32(1)) }

// await asks until a webhook is known to the API server, and the result is as wanted.
func await(t *testing.T, c client.Client, namespace string, want func(probe.Result) bool) probe.Result {
	t.Helper()
	var got probe.Result
	testutil.Eventually(t, soon, "the result", func() (bool, string) {
		var err error
		if got, err = probe.Inject(t.Context(), c, namespace, revision); err != nil {
			t.Fatal(err)
		}
		return want(got), "it is " + got.Why
	})
	return got
}

// TestInject asks webhooks of every kind.
func TestInject(t *testing.T) {
	t.Parallel()
	type edits []func(*registrationv1.MutatingWebhook)
	for name, test := range map[string]struct {
		answer func(*injector, http.ResponseWriter, *admissionv1.AdmissionReview)
		edits  edits
		want   probe.Result
	}{
		"injects":                   {inject(revision, false, true), nil, fit},
		"injects a native sidecar":  {inject(revision, true, false), nil, fit},
		"injects, failures ignored": {inject(revision, false, false), edits{ignore}, fit},
		"injects another revision":  {inject("default-1-30-4", false, false), nil, probe.Result{Answers: true, Why: `a dry-run pod got its proxy from revision "default-1-30-4"`}},
		"injects nothing":           {leave, nil, noProxy},
		"denies": {deny, nil, probe.Result{Answers: true, Why: "webhook " + hook + " denies a dry-run pod: the template is broken " +
			strings.Repeat("x", 512-len("webhook "+hook+" denies a dry-run pod: the template is broken ")) + "…"}},
		"fails":              {fail, nil, unreached("its server fails")},
		"fails, ignored":     {fail, edits{ignore}, noProxy},
		"hangs":              {hang, edits{hasty}, unreached("there is no answer in time")},
		"hangs, ignored":     {hang, edits{hasty, ignore}, noProxy},
		"says anything":      {babble, nil, unreached("its answer is no AdmissionReview")},
		"has another bundle": {leave, edits{func(w *registrationv1.MutatingWebhook) { w.ClientConfig.CABundle = otherAuthority }}, unreached("its certificate is not that of the caBundle")},
		"has no bundle":      {leave, edits{func(w *registrationv1.MutatingWebhook) { w.ClientConfig.CABundle = nil }}, unreached("its certificate is not that of the caBundle")},
		"is not there":       {leave, edits{func(w *registrationv1.MutatingWebhook) { w.ClientConfig.URL = new("https://127.0.0.1:1/inject") }}, unreached("the connection is refused")},
		"has no Service":     {leave, edits{service}, unreached("its Service is not there")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			namespace := newNamespace(t, c, nil)
			i := newInjector(t, test.answer)
			i.serve(t, c, namespace, revision, test.edits...)
			reached := test.want.Answers || strings.Contains(test.want.Why, "server") || strings.Contains(test.want.Why, "answer in")
			got := await(t, c, namespace, func(got probe.Result) bool { return got == test.want && (!reached || i.calls.Load() > 0) })
			if again, err := probe.Inject(t.Context(), c, namespace, revision); err != nil || again != got {
				t.Errorf("asked again, it is %+v, %v", again, err)
			}
			if i.real.Load() > 0 {
				t.Error("a pod was made that is no dry run")
			}
			var pods corev1.PodList
			if err := c.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil || len(pods.Items) > 0 {
				t.Errorf("there are %d pods, %v", len(pods.Items), err)
			}
		})
	}
}

func service(w *registrationv1.MutatingWebhook) {
	w.ClientConfig = registrationv1.WebhookClientConfig{
		Service: &registrationv1.ServiceReference{Namespace: "default", Name: "istiod-none", Path: new("/inject")}, CABundle: otherAuthority,
	}
}

// TestOtherRevision shows that a webhook of one revision does not stand for that of another.
func TestOtherRevision(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	namespace := newNamespace(t, c, nil)
	newInjector(t, inject(revision, false, false)).serve(t, c, namespace, revision)
	await(t, c, namespace, func(got probe.Result) bool { return got == fit })
	if got, err := probe.Inject(t.Context(), c, namespace, "default-1-30-4"); err != nil || got != noProxy {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestTimeIsBounded shows that a webhook that hangs for longer than it is worth waiting for keeps nobody, and that the end of
// the caller's own time is no word on the webhook.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	namespace := newNamespace(t, c, nil)
	i := newInjector(t, hang)
	i.serve(t, c, namespace, revision)
	got := await(t, c, namespace, func(probe.Result) bool { return i.calls.Load() > 0 })
	if want := (probe.Result{Why: "a dry-run pod has no answer within 5s"}); got != want {
		t.Errorf("got %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got, err := probe.Inject(ctx, c, namespace, revision); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestPodSecurity shows that the pod itself is admitted everywhere, and that one that is refused for its proxy counts as injected.
func TestPodSecurity(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	namespace := newNamespace(t, c, restricted)
	if got, err := probe.Inject(t.Context(), c, namespace, revision); err != nil || got != noProxy {
		t.Errorf("without a webhook: %+v, %v", got, err)
	}
	newInjector(t, inject(revision, true, false)).serve(t, c, namespace, revision)
	await(t, c, namespace, func(got probe.Result) bool { return got == fit })

	namespace = newNamespace(t, c, restricted)
	newInjector(t, inject(revision, false, true)).serve(t, c, namespace, revision)
	got := await(t, c, namespace, func(got probe.Result) bool { return got.Injects })
	want := `a dry-run pod is injected and then refused: the pod is forbidden: violates PodSecurity "restricted:latest"`
	if !got.Answers || !strings.HasPrefix(got.Why, want) {
		t.Errorf("got %+v", got)
	}
	if again, err := probe.Inject(t.Context(), c, namespace, revision); err != nil || again != got {
		t.Errorf("asked again, it is %+v, %v", again, err)
	}
}

// TestLimits shows what limits of a namespace do to the pod.
func TestLimits(t *testing.T) {
	t.Parallel()
	quota := func(hard corev1.ResourceList) client.Object {
		return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	}
	for name, test := range map[string]struct {
		limit client.Object
		want  probe.Result
	}{
		"no pods": {
			quota(corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}),
			probe.Result{Answers: true, Why: "ResourceQuota q refuses a dry-run pod, so whether it is injected is not known"},
		},
		"numbers, and enough": {quota(corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("2"), corev1.ResourceRequestsMemory: resource.MustParse("1Gi")}), fit},
		"numbers, too few": {
			quota(corev1.ResourceList{corev1.ResourceLimitsCPU: resource.MustParse("1m")}),
			probe.Result{Answers: true, Why: "ResourceQuota q refuses a dry-run pod, so whether it is injected is not known"},
		},
		"memory, which the proxy does not limit": {
			quota(corev1.ResourceList{corev1.ResourceLimitsMemory: resource.MustParse("1Gi")}),
			probe.Result{Answers: true, Injects: true, Why: "a dry-run pod is injected and then refused: the pod is forbidden: failed quota: q: must specify limits.memory for: istio-proxy"},
		},
		"a least": {
			&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
				{Type: corev1.LimitTypeContainer, Min: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}},
			}}},
			fit,
		},
		"a least that is too much for the proxy": {
			&corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
				{Type: corev1.LimitTypeContainer, Min: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")}},
			}}},
			probe.Result{Answers: true, Why: "a dry-run pod is refused, so whether it is injected is not known: the pod is forbidden: minimum memory usage per Container is 256Mi, but request is 128Mi"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			namespace := newNamespace(t, c, nil, test.limit)
			newInjector(t, inject(revision, false, false)).serve(t, c, namespace, revision)
			await(t, c, namespace, func(got probe.Result) bool { return got == test.want })
		})
	}
}

// TestErrors shows what is no word on a revision.
func TestErrors(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	if got, err := probe.Inject(t.Context(), c, "not-there", revision); !apierrors.IsNotFound(err) || got != (probe.Result{}) {
		t.Errorf("without a namespace: %+v, %v", got, err)
	}
	namespace := newNamespace(t, c, nil)
	nobody := newClient(t, func(config *rest.Config) { config.Impersonate.UserName = "nobody" })
	if got, err := probe.Inject(t.Context(), nobody, namespace, revision); !apierrors.IsForbidden(err) || got != (probe.Result{}) {
		t.Errorf("without the right: %+v, %v", got, err)
	}
	faults := &testutil.Faults{}
	broken := newClient(t, func(config *rest.Config) { config.Wrap(faults.Wrap) })
	pods := func(r testutil.Request) bool { return strings.Contains(r.Path, "/pods") }
	faults.Inject(1, pods, testutil.Answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 0))
	if got, err := probe.Inject(t.Context(), broken, namespace, revision); !apierrors.IsTooManyRequests(err) || got != (probe.Result{}) {
		t.Errorf("with too many requests: %+v, %v", got, err)
	}
	faults.Inject(1, pods, testutil.Refuse)
	if got, err := probe.Inject(t.Context(), broken, namespace, revision); err == nil || got != (probe.Result{}) {
		t.Errorf("without a connection: %+v, %v", got, err)
	}
}

// otherAuthority is the certificate of nobody here.
var otherAuthority = []byte(`-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUCajXYFbnzOrjxBOGpFaSXMOvnqkwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwHhcNMjYxMTIzMTY0MDE3WhcNMzYxMTIwMTY0MDE3
WjAQMQ4wDAYDVQQDDAVvdGhlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL/Q
hJ7Z8m+KMiXnB/g30mwxyoUTf+q6Xbof8OW9qgXmur/mmSDGAgIC2jEffAbgdMJG
6pT7ScPoOTm+xWx78pOjUzBRMB0GA1UdDgQWBBQYuFxTeJWwkSlGZL9JJ5TOs5Gd
AjAfBgNVHSMEGDAWgBQYuFxTeJWwkSlGZL9JJ5TOs5GdAjAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDMWSo2AYWhqNX0H03p73nfRjQwTBqfOKhL
Eb9QY4x7YgIgB9x2U7kHma1ueXZ0uWRrROAD1Tz3ZabIIlmHTfMM4sw=
-----END CERTIFICATE-----
`)
