// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

var (
	statefulSets       = kindOf(appsv1.SchemeGroupVersion, "StatefulSet", "statefulsets")
	daemonSets         = kindOf(appsv1.SchemeGroupVersion, "DaemonSet", "daemonsets")
	mutatingWebhooks   = kindOf(admissionv1.SchemeGroupVersion, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
	validatingWebhooks = kindOf(admissionv1.SchemeGroupVersion, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
	definitions        = kindOf(schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}, "CustomResourceDefinition", "customresourcedefinitions")
)

func statefulSet(namespace, name string) client.Object {
	d := deployment(namespace, name).(*appsv1.Deployment)
	return &appsv1.StatefulSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.StatefulSetSpec{
		Replicas: d.Spec.Replicas, Selector: d.Spec.Selector, Template: d.Spec.Template,
	}}
}

func daemonSet(namespace, name string) client.Object {
	d := deployment(namespace, name).(*appsv1.Deployment)
	return &appsv1.DaemonSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.DaemonSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template}}
}

// nowhere is a rule that no request matches.
func nowhere() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{"nowhere.example.com"}, APIVersions: []string{"v1"}, Resources: []string{"things"}},
	}}
}

func hook() admissionv1.WebhookClientConfig {
	return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "default", Name: "hook"}}
}

func mutatingWebhook(_, name string) client.Object {
	return &admissionv1.MutatingWebhookConfiguration{ObjectMeta: named("", name), Webhooks: []admissionv1.MutatingWebhook{{
		Name: "a.example.com", ClientConfig: hook(), Rules: nowhere(), TimeoutSeconds: ptr.To[int32](5),
		SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	}}}
}

func validatingWebhook(_, name string) client.Object {
	return &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: named("", name), Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "a.example.com", ClientConfig: hook(), Rules: nowhere(), TimeoutSeconds: ptr.To[int32](5),
		SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	}}}
}

// definition is a CustomResourceDefinition; its name has to be <plural>.<group>.
func definition(_, name string) client.Object {
	version := func(name string, stored bool) any {
		return fields{"name": name, "served": true, "storage": stored, "schema": fields{"openAPIV3Schema": fields{
			"type": "object", "x-kubernetes-preserve-unknown-fields": true,
		}}}
	}
	plural := strings.ReplaceAll(name, ".", "-")
	return &unstructured.Unstructured{Object: fields{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": fields{"name": plural + ".test.fairlead.io", "labels": fields{"app": name}},
		"spec": fields{
			"group": "test.fairlead.io", "scope": "Namespaced",
			"names":    fields{"plural": plural, "singular": plural, "kind": "T" + strings.ReplaceAll(plural, "-", ""), "listKind": "TList" + strings.ReplaceAll(plural, "-", "")},
			"versions": []any{version("v1", true), version("v2", false)},
			"conversion": fields{"strategy": "Webhook", "webhook": fields{
				"conversionReviewVersions": []any{"v1"},
				"clientConfig":             fields{"service": fields{"namespace": "default", "name": "hook", "path": "/"}},
			}},
		},
	}}
}

// TestIgnored has others write what is theirs to write. A drift beside it is repaired, and what is theirs
// stays, with no write of its own.
func TestIgnored(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "ignored")
	ca := base64.StdEncoding.EncodeToString(cluster.Config(t).CAData)
	restart := `[{"op":"add","path":"/spec/template/metadata/annotations","value":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}]`
	byMesh := `[{"op":"add","path":"/spec/template/metadata/annotations","value":{"fleet.fairlead.io/restarted-for":"a@1.31.0#1"}}]`
	image := matrix[4].value
	timeout := `[{"op":"replace","path":"/webhooks/0/timeoutSeconds","value":7}]`
	bundle := fmt.Sprintf(`[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, ca)
	data := matrix[2].value
	account := matrix[5].value

	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}
	owner, err := testutil.Clientset(t, cluster.Config(t)).CoreV1().ConfigMaps(namespace).Create(t.Context(), owner, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reference := fmt.Sprintf(`[{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":%q}]}]`, owner.UID)

	kinds := []Kind{configMaps, serviceAccounts, deployments, statefulSets, daemonSets, mutatingWebhooks, validatingWebhooks, definitions}
	o := startOperator(t, operatorOptions{kinds: kinds, name: t.Name()})
	for name, c := range map[string]struct {
		object func(namespace, name string) client.Object
		// theirs is the change that stays, stays a part of the object with it, drift one that goes.
		theirs, stays, drift string
	}{
		"label":                {configMap, `[{"op":"add","path":"/metadata/labels/theirs","value":"x"}]`, `"theirs":"x"`, data.patch},
		"annotation":           {configMap, `[{"op":"add","path":"/metadata/annotations/theirs","value":"x"}]`, `"theirs":"x"`, data.patch},
		"finalizer":            {configMap, `[{"op":"add","path":"/metadata/finalizers","value":["example.com/x"]}]`, `"finalizers":["example.com/x"]`, data.patch},
		"owner":                {configMap, reference, `"name":"owner"`, data.patch},
		"secrets":              {serviceAccount, `[{"op":"add","path":"/secrets","value":[{"name":"x"}]}]`, `"secrets":[{"name":"x"}]`, account.patch},
		"pull-secrets":         {serviceAccount, `[{"op":"add","path":"/imagePullSecrets","value":[{"name":"x"}]}]`, `"imagePullSecrets":[{"name":"x"}]`, account.patch},
		"restart-deployment":   {deployment, restart, `"kubectl.kubernetes.io/restartedAt":"2026`, image.patch},
		"restart-stateful-set": {statefulSet, restart, `"kubectl.kubernetes.io/restartedAt":"2026`, image.patch},
		"restart-daemon-set":   {daemonSet, restart, `"kubectl.kubernetes.io/restartedAt":"2026`, image.patch},
		"restart-by-mesh":      {deployment, byMesh, `"fleet.fairlead.io/restarted-for":"a@1.31.0#1"`, image.patch},
		"bundle-mutating":      {mutatingWebhook, bundle, `"caBundle":"` + ca, timeout},
		"bundle-validating":    {validatingWebhook, bundle, `"caBundle":"` + ca, timeout},
		"policy-validating": {validatingWebhook,
			`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`, `"failurePolicy":"Ignore"`, timeout},
		"bundle-definition": {definition,
			fmt.Sprintf(`[{"op":"add","path":"/spec/conversion/webhook/clientConfig/caBundle","value":%q}]`, ca), `"caBundle":"` + ca,
			`[{"op":"replace","path":"/spec/conversion/webhook/clientConfig/service/path","value":"/x"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "ignored/" + namespace + "-" + name
			object := c.object(namespace, namespace+"-"+name)
			o.applied(key, object)
			ref, from := o.ref(object), o.now(key)
			o.patch(ref, c.theirs)
			o.patch(ref, c.drift)
			drift := o.drift(key, from)
			if len(drift.Changes) != 1 {
				t.Errorf("drift tells of %+v, want the one field that is ours", drift.Changes)
			}
			live := o.get(ref)
			raw, err := live.MarshalJSON()
			if err != nil || !strings.Contains(string(raw), c.stays) {
				t.Errorf("%s went: %s, %v", c.stays, raw, err)
			}
			if done := o.done(ref); len(done) != 2 || strings.Contains(done[1].Body, "theirs") {
				t.Errorf("writes were %+v, want a creation and one repair", done)
			}
		})
	}
}
