// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

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
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// istiods stand where istiod and the kubelet are missing: they serve the injection webhooks of all meshes, which the API
// server asks as it asks a real one, and bring up the pods.
type istiods struct {
	*bench
	address string
	port    int32
	bundle  []byte

	mu sync.Mutex
	// leaves are the certificates by the name of the server.
	leaves map[string]*tls.Certificate
}

// istiods begins to serve, until ctx ends.
func (b *bench) istiods(ctx context.Context) (*istiods, error) {
	i := &istiods{bench: b, leaves: map[string]*tls.Certificate{}}
	issue, err := i.authority()
	if err != nil {
		return nil, err
	}
	if i.address, err = hostAddress(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(i.address, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	i.port = int32(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler: http.HandlerFunc(i.review), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return issue(hello.ServerName)
		}},
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return i, nil
}

// hostAddress is one of this machine that is not its loopback: the endpoint of a Service must not be that.
func hostAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find an address of this machine: %w", err)
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			return network.IP.String(), nil
		}
	}
	return "", errors.New("this machine has no IPv4 address but its loopback, and the API server reaches webhooks by no other")
}

// authority makes a certificate authority, and gives what issues by it, once for each name.
func (i *istiods) authority() (issue func(name string) (*tls.Certificate, error), err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	i.bundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return func(name string) (*tls.Certificate, error) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if leaf := i.leaves[name]; leaf != nil {
			return leaf, nil
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "istiod"}, DNSNames: []string{name},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		signed, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		i.leaves[name] = &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}
		return i.leaves[name], nil
	}, nil
}

// review answers for the revision whose server was asked: the name is istiod-REVISION.NAMESPACE.svc.
func (i *istiods) review(w http.ResponseWriter, r *http.Request) {
	review := &admissionv1.AdmissionReview{}
	pod := &corev1.Pod{}
	err := json.NewDecoder(r.Body).Decode(review)
	if err == nil {
		err = json.Unmarshal(review.Request.Object.Raw, pod)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	revision, _, _ := strings.Cut(strings.TrimPrefix(r.TLS.ServerName, "istiod-"), ".")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "sidecar.istio.io/status", "{}")
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, revisionLabel, revision)
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: "example.com/proxyv2:1"})
	patch, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/metadata/annotations", "value": pod.Annotations},
		{"op": "add", "path": "/spec/containers", "value": pod.Spec.Containers},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind}
	review.Request = nil
	if err := json.NewEncoder(w).Encode(review); err != nil {
		i.say("answer a review: %v", err)
	}
}

// raise makes the control planes of all meshes serve, and their pods ready.
func (i *istiods) raise(ctx context.Context) error {
	return each(ctx, 0, i.meshes, 4, func(ctx context.Context, n int) error {
		m := &v1alpha1.Mesh{}
		if err := i.client.Get(ctx, client.ObjectKey{Name: meshName(n)}, m); err != nil {
			return err
		}
		if len(m.Status.Revisions) == 0 {
			return fmt.Errorf("mesh %s has no revision", m.Name)
		}
		if err := errors.Join(i.route(ctx, m), i.certify(ctx, m), i.bringUp(ctx, m)); err != nil {
			return fmt.Errorf("bring up %s: %w", m.Name, err)
		}
		return nil
	})
}

// route leads the Service of a control plane here.
func (i *istiods) route(ctx context.Context, m *v1alpha1.Mesh) error {
	name := "istiod-" + m.Status.Revisions[0].Name
	return i.client.Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: string(m.Spec.Namespace), Name: name + "-bench", Labels: map[string]string{discoveryv1.LabelServiceName: name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{i.address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https-webhook"), Port: new(i.port), Protocol: new(corev1.ProtocolTCP)}},
	})
}

// certify writes the authority into the webhooks, as istiod does.
func (i *istiods) certify(ctx context.Context, m *v1alpha1.Mesh) error {
	var hooks admissionregistrationv1.MutatingWebhookConfigurationList
	if err := i.client.List(ctx, &hooks, client.MatchingLabels{objectsOfMeshes: m.Name}); err != nil {
		return err
	}
	var errs []error
	for j := range hooks.Items {
		hook := &hooks.Items[j]
		errs = append(errs, retry.RetryOnConflict(retry.DefaultRetry, func() error {
			if err := i.client.Get(ctx, client.ObjectKeyFromObject(hook), hook); err != nil {
				return err
			}
			for k := range hook.Webhooks {
				hook.Webhooks[k].ClientConfig.CABundle = i.bundle
			}
			return i.client.Update(ctx, hook, client.FieldOwner("pilot-discovery"))
		}))
	}
	return errors.Join(errs...)
}

// bringUp makes the pods of a control plane ready.
func (i *istiods) bringUp(ctx context.Context, m *v1alpha1.Mesh) error {
	var pods corev1.PodList
	for len(pods.Items) == 0 {
		if err := i.client.List(ctx, &pods, client.InNamespace(m.Spec.Namespace)); err != nil {
			return err
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	var errs []error
	for j := range pods.Items {
		pod := &pods.Items[j]
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		errs = append(errs, i.client.Status().Update(ctx, pod))
	}
	return errors.Join(errs...)
}
