// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// istiods stand where istiod and the kubelet are missing: they serve the injection webhooks of all revisions, which the API
// server asks as it asks a real one, and bring up pods. Real ones run in the end-to-end tests.
type istiods struct {
	once    sync.Once
	address string
	port    int32
	bundle  []byte

	mu sync.Mutex
	// versions are those of the proxies that revisions give, by the name of their server.
	versions map[string]string
}

// serve begins, once.
func (i *istiods) serve(t *testing.T) {
	t.Helper()
	i.once.Do(func() {
		i.versions = map[string]string{}
		i.address = hostAddress(t)
		ca, issue := authority(t)
		i.bundle = ca
		listener, err := net.Listen("tcp", net.JoinHostPort(i.address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		i.port = int32(listener.Addr().(*net.TCPAddr).Port)
		server := &http.Server{
			Handler: http.HandlerFunc(i.review), ReadHeaderTimeout: time.Minute,
			TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return issue(hello.ServerName)
			}},
		}
		go func() { _ = server.ServeTLS(listener, "", "") }()
	})
	if i.port == 0 {
		t.Fatal("the webhooks are not served")
	}
}

// hostAddress is one of this machine that is not its loopback: the endpoint of a Service must not be that.
func hostAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	t.Fatal("this machine has no IPv4 address but its loopback, and the API server reaches webhooks by no other")
	return ""
}

// authority makes a certificate authority, and the function that issues by it.
func authority(t *testing.T) (bundle []byte, issue func(name string) (*tls.Certificate, error)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	issue = func(name string) (*tls.Certificate, error) {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "istiod"}, DNSNames: []string{name},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		signed, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), issue
}

// review answers for the revision whose server was asked: the name is istiod-REVISION.NAMESPACE.svc.
func (i *istiods) review(w http.ResponseWriter, r *http.Request) {
	server := r.TLS.ServerName
	i.mu.Lock()
	version := i.versions[server]
	i.mu.Unlock()
	if version == "" {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name, _, _ := strings.Cut(server, ".")
	revision, named := strings.CutPrefix(name, "istiod-")
	if !named {
		revision = "default"
	}
	patch, err := injection(review.Request.Object.Raw, revision, version)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind}
	review.Request = nil
	if err := json.NewEncoder(w).Encode(review); err != nil {
		panic(err)
	}
}

// injection is the patch that gives a pod a proxy.
func injection(raw []byte, revision, version string) ([]byte, error) {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		return nil, err
	}
	metav1.SetMetaDataLabel(&pod.ObjectMeta, "service.istio.io/canonical-name", "x")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "sidecar.istio.io/status", "{}")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "istio.io/rev", revision)
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: "docker.io/istio/proxyv2:" + version})
	return json.Marshal([]map[string]any{
		{"op": "add", "path": "/metadata/labels", "value": pod.Labels},
		{"op": "add", "path": "/metadata/annotations", "value": pod.Annotations},
		{"op": "add", "path": "/spec/containers", "value": pod.Spec.Containers},
	})
}

// service is the name of the Service of a revision.
func service(revision string) string {
	if revision == "default" {
		return "istiod"
	}
	return "istiod-" + revision
}

// host is the name of the server of a revision.
func host(m *v1alpha1.Mesh, revision string) string {
	return fmt.Sprintf("%s.%s.svc", service(revision), m.Spec.Namespace)
}

// up makes a revision of a mesh serve: its Service leads to the webhook, whose authority is known.
func (i *istiods) up(t *testing.T, o *operator, m *v1alpha1.Mesh, revision, version string) {
	t.Helper()
	i.serve(t)
	i.mu.Lock()
	i.versions[host(m, revision)] = version
	i.mu.Unlock()
	name := service(revision)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: string(m.Spec.Namespace), Name: name + "-test", Labels: map[string]string{discoveryv1.LabelServiceName: name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{i.address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https-webhook"), Port: new(i.port), Protocol: new(corev1.ProtocolTCP)}},
	}
	if err := o.client.Create(t.Context(), slice); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	i.certify(t, o, m, revision)
}

// certify writes the authority into the webhooks of a revision, as istiod does.
func (i *istiods) certify(t *testing.T, o *operator, m *v1alpha1.Mesh, revision string) {
	t.Helper()
	i.serve(t)
	var webhooks admissionregistrationv1.MutatingWebhookConfigurationList
	selected := client.MatchingLabels{"fleet.fairlead.io/mesh": m.Name, "istio.io/rev": revision}
	if err := o.client.List(t.Context(), &webhooks, selected); err != nil {
		t.Fatal(err)
	}
	for j := range webhooks.Items {
		change(t, o, &webhooks.Items[j], func(w *admissionregistrationv1.MutatingWebhookConfiguration) {
			for k := range w.Webhooks {
				w.Webhooks[k].ClientConfig.CABundle = i.bundle
			}
		})
	}
}

// kubelet brings up all pods of some namespaces until the test ends, but for those that sick says.
func (o *operator) kubelet(t *testing.T, sick func(*corev1.Pod) bool, namespaces ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, namespace := range namespaces {
				o.bringUp(ctx, namespace, sick)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

// bringUp makes all pods of a namespace ready.
func (o *operator) bringUp(ctx context.Context, namespace string, sick func(*corev1.Pod) bool) {
	var pods corev1.PodList
	if err := o.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase == corev1.PodRunning || pod.DeletionTimestamp != nil || sick != nil && sick(pod) {
			continue
		}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		// Somebody else may have written it, or deleted it: the next round sees.
		_ = o.client.Status().Update(ctx, pod)
	}
}
