// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
	"github.com/fairlead/fairlead/test/controlplane"
	real "github.com/fairlead/fairlead/test/haproxy"
)

func hashOf(t *testing.T, cfg *model.Config) string {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:16]
}

func TestClusterToTraffic(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newReplica(t, v)
		r.eventually("it answers, not ready", func() error {
			code, _, err := r.own("/readyz")
			if code != 503 {
				return fmt.Errorf("%d %w", code, err)
			}
			return nil
		})
		r.endpoints("web", 1, 2)
		r.endpoints("other", 9)
		cfg := r.config(7)
		r.set(cfg)
		r.serving(1, 2)
		r.ready(200)
		report := r.report("what is in force", func(p v1alpha1.ReplicaReport) bool { return p.Generation == 7 && p.Model == hashOf(t, cfg) })
		if p := report.Report; p.LoadBalancer != "front" || !strings.HasPrefix(p.Version, v.Name+".") || p.Refused != "" || p.Problems != nil || len(p.Repairs) != 0 {
			t.Errorf("report %+v", p)
		}
		if owners := report.OwnerReferences; len(owners) != 1 || owners[0].Kind != "Pod" || owners[0].Name != "front-lb-1" || owners[0].UID != "5fd8-1" {
			t.Errorf("owners %+v", owners)
		}
		// Endpoints are no matter of the report.
		for i := range 5 {
			r.endpoints("web", 1, 2, 3+i)
			r.serving(1, 2, 3+i)
		}
		// A restart of the agent finds the report as it is.
		r.stop()
		r.start()
		r.ready(200)
		r.endpoints("web", 1, 4)
		r.serving(1, 4)
		next := r.config(8)
		r.set(next)
		after := r.report("the next generation", func(p v1alpha1.ReplicaReport) bool { return p.Generation == 8 })
		if after.Generation != report.Generation+1 {
			t.Errorf("the report was written %d times for one change", after.Generation-report.Generation)
		}
		r.endpoints("web", 1, 5)
		r.serving(1, 5)
		for name, want := range map[string]string{
			"fairlead_agent_reloads_total": "0", "fairlead_agent_generation": "8", "fairlead_agent_refused": "0", "fairlead_agent_repairs_total": "0",
			`fairlead_agent_members{pool="web",state="up"}`: "2", `fairlead_agent_members{pool="web",state="down"}`: "0",
		} {
			if got := r.metric(name); got != want {
				t.Errorf("%s is %q, want %s", name, got, want)
			}
		}
		if n := r.metric("fairlead_agent_endpoint_updates_seconds_count"); n == "" || n == "0" {
			t.Errorf("%q updates of endpoints are counted", n)
		}
	})
}

// TestWithoutAPIServer kills it, and everything that could learn from it again.
func TestWithoutAPIServer(t *testing.T) {
	real.Each(t, func(t *testing.T, v real.Version) {
		r := newReplica(t, v)
		r.endpoints("web", 1)
		r.set(r.config(1))
		r.serving(1)
		r.ready(200)
		if err := r.plane.Kill(controlplane.APIServer); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.plane.Restart(t.Context(), controlplane.APIServer); err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		})
		r.serving(1)
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.serving(1)
		r.stop()
		r.start()
		r.ready(200)
		r.serving(1)
		r.stop()
		if err := r.container.Restart(); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.serving(1)
		r.ready(200)
		if err := r.plane.Restart(t.Context(), controlplane.APIServer); err != nil {
			t.Fatal(err)
		}
		r.endpoints("web", 2)
		r.serving(2)
		if n := r.metric("fairlead_agent_reloads_total"); n != "0" {
			t.Errorf("%s reloads", n)
		}
	})
}

// certificate is the data of a Secret with a serial number.
func certificate(t *testing.T, serial int64) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"a.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

func (r *replica) secret(namespace string, data map[string][]byte) {
	r.Helper()
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cert"}, Type: corev1.SecretTypeTLS, Data: data}
	secrets := r.admin.CoreV1().Secrets(namespace)
	_, err := secrets.Update(r.Context(), object, metav1.UpdateOptions{})
	if err != nil {
		_, err = secrets.Create(r.Context(), object, metav1.CreateOptions{})
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *replica) presents(serial int64) {
	r.Helper()
	r.eventually(fmt.Sprintf("the listener has certificate %d", serial), func() error {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{ServerName: "a.test", InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if got := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial {
			return fmt.Errorf("it has %d", got)
		}
		return nil
	})
}

func (r *replica) https(generation int64, namespace string) *model.Config {
	cfg := r.config(generation)
	cfg.Listeners[0].Protocol = model.HTTPS
	cfg.Listeners[0].TLS = &model.ListenerTLS{MinVersion: "1.2", Certificates: []model.SecretRef{{Namespace: namespace, Name: "cert"}}}
	return cfg
}

// problem is true for a report with such a problem among others.
func problem(field, reason, message string) func(v1alpha1.ReplicaReport) bool {
	return func(p v1alpha1.ReplicaReport) bool {
		return p.Problems != nil && slices.ContainsFunc(p.Problems.Top, func(one v1alpha1.Problem) bool {
			return one.Field == field && one.Reason == reason && strings.Contains(one.Message, message)
		})
	}
}

func TestSecretRotatesAndGoes(t *testing.T) {
	r := newReplica(t, real.Versions(t)[1])
	r.set(r.https(1, r.namespace))
	const field = "listeners[http].tls.certificates[0]"
	r.report("what is missing", problem(field, "SecretUnreadable", "it does not exist"))
	r.secret(r.namespace, certificate(t, 1))
	r.presents(1)
	r.report("no problem", func(p v1alpha1.ReplicaReport) bool { return p.Problems == nil })
	r.secret(r.namespace, certificate(t, 2))
	r.presents(2)
	reloads := r.metric("fairlead_agent_reloads_total")
	r.secret(r.namespace, certificate(t, 3))
	r.presents(3)
	if n := r.metric("fairlead_agent_reloads_total"); n != reloads {
		t.Errorf("%s reloads, before %s", n, reloads)
	}
	if err := r.admin.CoreV1().Secrets(r.namespace).Delete(t.Context(), "cert", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.report("what is gone", problem(field, "SecretUnreadable", "it does not exist; what it held before stays in force"))
	r.presents(3)
	r.secret(r.namespace, certificate(t, 4))
	r.presents(4)
	r.report("no problem", func(p v1alpha1.ReplicaReport) bool { return p.Problems == nil })
}

// TestGrant has a Secret in a namespace that the replica may not read, then may, then may not.
func TestGrant(t *testing.T) {
	r := newReplica(t, real.Versions(t)[0])
	vault := r.newNamespace("vault")
	r.secret(vault, certificate(t, 1))
	cfg := r.https(1, vault)
	r.set(cfg)
	const field = "listeners[http].tls.certificates[0]"
	r.report("what is forbidden", problem(field, "SecretUnreadable", "the load balancer may not read it"))
	r.grant(vault, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}}})
	r.presents(1)
	r.report("no problem", func(p v1alpha1.ReplicaReport) bool { return p.Problems == nil })
	if err := r.admin.RbacV1().RoleBindings(vault).Delete(t.Context(), "agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// A new agent cannot read it; what is in force stays.
	r.stop()
	r.start()
	r.report("what is forbidden", problem(field, "SecretUnreadable", "may not read it; what it held before stays in force"))
	r.presents(1)
	// The model that does not name it any more ends that.
	next := r.config(2)
	r.set(next)
	r.report("the next generation", func(p v1alpha1.ReplicaReport) bool { return p.Generation == 2 && p.Problems == nil })
	again := r.https(3, vault)
	r.set(again)
	r.report("that nothing stands any more", func(p v1alpha1.ReplicaReport) bool {
		return p.Generation == 3 && problem(field, "SecretUnreadable", "may not read it")(p) && !problem(field, "SecretUnreadable", "stays")(p)
	})
}

// TestRefusedModelIsReported has one that nothing can be made of.
func TestRefusedModelIsReported(t *testing.T) {
	r := newReplica(t, real.Versions(t)[0])
	r.endpoints("web", 1)
	cfg := r.config(1)
	r.set(cfg)
	r.serving(1)
	newer := r.config(2)
	newer.Version = "v2"
	r.set(newer)
	r.report("a refusal", func(p v1alpha1.ReplicaReport) bool {
		return strings.Contains(p.Refused, `"v2"`) && p.Generation == 1 && p.Model == hashOf(t, cfg)
	})
	r.ready(200)
	r.endpoints("web", 2)
	r.serving(2)
}

// TestReplicasAreFound has peers behind the load balancer's own Service, for a model that counts requests.
func TestReplicasAreFound(t *testing.T) {
	r := newReplica(t, real.Versions(t)[1])
	r.endpoints("web", 1)
	cfg := r.config(1)
	cfg.Routes[0].RateLimit = &model.RateLimit{Key: model.RateBySource, Requests: 1000, Per: model.Duration(time.Second)}
	r.set(cfg)
	r.serving(1)
	object := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "front-lb-x", Labels: map[string]string{discoveryv1.LabelServiceName: "front-lb"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(10080))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "front-lb-1"}},
			{Addresses: []string{"192.0.2.2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "front-lb-2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		},
	}
	if _, err := r.admin.DiscoveryV1().EndpointSlices(r.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.eventually("HAProxy knows the other replica", func() error {
		if n := r.metric("fairlead_agent_reloads_total"); n != "1" {
			return errors.New(n + " reloads")
		}
		return nil
	})
	r.serving(1)
}
