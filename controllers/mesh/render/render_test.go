// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

func find[T Object](objects []Object, name string) T {
	for _, o := range objects {
		if found, ok := o.(T); ok && (name == "" || o.GetName() == name) {
			return found
		}
	}
	var none T
	return none
}

func mustRender(t *testing.T, p *Plane) []Object {
	t.Helper()
	out, err := p.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMeshesApart renders meshes that share a cluster: other revisions and namespaces, and two revisions of one.
func TestMeshesApart(t *testing.T) {
	for _, e := range versions(t) {
		owner := map[Ref]string{}
		for name, edit := range map[string]func(*Plane){
			"first":           func(*Plane) {},
			"second revision": func(p *Plane) { p.Revision, p.Default, p.Tags = "prod-2", false, nil },
			"other mesh": func(p *Plane) {
				p.Mesh, p.Namespace, p.Revision, p.Default, p.Tags = "test", "istio-test", "test-1", false, []string{"test-tag"}
			},
			"without revision": func(p *Plane) {
				p.Mesh, p.Namespace, p.Revision, p.Default, p.Tags = "old", "istio-old", "", false, nil
			},
			"stable, other tag": func(p *Plane) {
				p.Namespace, p.Revision, p.Default, p.Tags, p.Profile = "istio-x", "x", false, []string{"other"}, "stable"
			},
		} {
			p := planeOf(t, e)
			edit(p)
			for _, o := range mustRender(t, p) {
				if before, ok := owner[RefOf(o)]; ok {
					t.Errorf("%s: %s is rendered for %s and %s", e.Version, RefOf(o), before, name)
				}
				owner[RefOf(o)] = name
			}
		}
	}
}

func TestMarks(t *testing.T) {
	for _, e := range versions(t) {
		p := planeOf(t, e)
		p.Ambient = true
		definitions, err := Shared(p.Charts, kubernetes)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range append(all(t, p), definitions...) {
			if o.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
				t.Errorf("%s: %s is managed by %q", e.Version, RefOf(o), o.GetLabels()[v1alpha1.LabelManagedBy])
			}
			for key := range o.GetAnnotations() {
				if strings.HasPrefix(key, helmAnnotations) {
					t.Errorf("%s: %s has the annotation %s", e.Version, RefOf(o), key)
				}
			}
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(raw, []byte("istio-testing")) || bytes.Contains(raw, []byte("registry.istio.io/testing")) {
				t.Errorf("%s: %s names a testing image", e.Version, RefOf(o))
			}
		}
		for _, o := range definitions {
			if v, ok := VersionOf(o.GetLabels()); !ok || v != e.Version {
				t.Errorf("%s: %s is of version %s, %v", e.Version, RefOf(o), v, ok)
			}
		}
	}
}

func TestVersionOf(t *testing.T) {
	for name, test := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"ours":               {labels: map[string]string{LabelVersion: "1.30.4"}, want: "1.30.4"},
		"helm's":             {labels: map[string]string{"helm.sh/chart": "base-1.28.3"}, want: "1.28.3"},
		"a test release":     {labels: map[string]string{"helm.sh/chart": "istio-base-1.31.0-rc.1"}, want: "1.31.0-rc.1"},
		"istioctl's":         {labels: map[string]string{"operator.istio.io/version": "1.27.0"}, want: "1.27.0"},
		"the source's dummy": {labels: map[string]string{LabelVersion: "1.0.0", "helm.sh/chart": "base-1.0.0"}},
		"none":               {labels: map[string]string{"app": "istio-pilot"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, ok := VersionOf(test.labels)
			if ok != (test.want != "") || ok && v.String() != test.want {
				t.Errorf("%s, %v, want %q", v, ok, test.want)
			}
		})
	}
}

// TestWebhooks shows whom webhooks ask, that no certificate is rendered, and what they do while nobody answers.
func TestWebhooks(t *testing.T) {
	for _, e := range versions(t) {
		objects := mustRender(t, planeOf(t, e))
		var names []string
		for _, o := range objects {
			switch w := o.(type) {
			case *admissionv1.MutatingWebhookConfiguration:
				names = append(names, w.Name)
				for _, hook := range w.Webhooks {
					if hook.ClientConfig.CABundle != nil || hook.ClientConfig.Service.Name != "istiod-prod-1" || w.Labels["istio.io/rev"] != "prod-1" {
						t.Errorf("%s: %s asks %v for revision %s", e.Version, w.Name, hook.ClientConfig, w.Labels["istio.io/rev"])
					}
				}
			case *admissionv1.ValidatingWebhookConfiguration:
				names = append(names, w.Name)
				for _, hook := range w.Webhooks {
					if hook.ClientConfig.CABundle != nil || hook.ClientConfig.Service.Name != "istiod-prod-1" || *hook.FailurePolicy != admissionv1.Fail {
						t.Errorf("%s: %s asks %v, or else %s", e.Version, w.Name, hook.ClientConfig, *hook.FailurePolicy)
					}
				}
			}
		}
		slices.Sort(names)
		want := []string{
			"istio-revision-tag-default", "istio-revision-tag-stable-tag", "istio-sidecar-injector-prod-1", "istio-validator-prod-1-istio-system", "istiod-default-validator",
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: webhooks %v, want %v", e.Version, names, want)
		}
	}
}

func TestPlane(t *testing.T) {
	entries := versions(t)
	newest := entries[len(entries)-1]
	for name, test := range map[string]struct {
		edit  func(*Plane)
		check func(*testing.T, []Object)
		fails string
	}{
		"scaled by an autoscaler": {check: func(t *testing.T, all []Object) {
			if d := find[*appsv1.Deployment](all, "istiod-prod-1"); d.Spec.Replicas != nil || find[*autoscalingv2.HorizontalPodAutoscaler](all, "istiod-prod-1") == nil {
				t.Errorf("replicas %v beside an autoscaler", d.Spec.Replicas)
			}
			if find[*policyv1.PodDisruptionBudget](all, "") != nil {
				t.Error("one replica has a budget, which would block every drain")
			}
		}},
		"fixed": {
			edit: func(p *Plane) {
				p.Values = map[string]any{"pilot": map[string]any{"autoscaleEnabled": false, "replicaCount": 3}}
			},
			check: func(t *testing.T, all []Object) {
				if d := find[*appsv1.Deployment](all, "istiod-prod-1"); d.Spec.Replicas == nil || *d.Spec.Replicas != 3 {
					t.Errorf("replicas %v, want 3", d.Spec.Replicas)
				}
				if find[*autoscalingv2.HorizontalPodAutoscaler](all, "") != nil || find[*policyv1.PodDisruptionBudget](all, "istiod-prod-1") == nil {
					t.Error("an autoscaler, or no budget")
				}
			},
		},
		"hardened": {check: func(t *testing.T, all []Object) {
			c := find[*appsv1.Deployment](all, "istiod-prod-1").Spec.Template.Spec.Containers[0]
			if !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || c.Image != "docker.io/istio/pilot:1.31.0" {
				t.Errorf("%s with %v", c.Image, c.SecurityContext)
			}
			if find[*networkingv1.NetworkPolicy](all, "istiod-prod-1") == nil {
				t.Error("no network policy")
			}
		}},
		"a person's wish": {
			edit: func(p *Plane) {
				p.Values = map[string]any{
					"global": map[string]any{"hub": "example.com", "networkPolicy": map[string]any{"enabled": false}},
					"base":   map[string]any{"validationFailurePolicy": "Ignore"}, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
				}
			},
			check: func(t *testing.T, all []Object) {
				c := find[*appsv1.Deployment](all, "istiod-prod-1").Spec.Template.Spec.Containers[0]
				if c.Image != "example.com/pilot:1.31.0" || c.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
					t.Errorf("%s with %v", c.Image, c.SecurityContext)
				}
				if find[*networkingv1.NetworkPolicy](all, "") != nil {
					t.Error("a network policy that is not wanted")
				}
				if w := find[*admissionv1.ValidatingWebhookConfiguration](all, ""); *w.Webhooks[0].FailurePolicy != admissionv1.Ignore {
					t.Errorf("failure policy %s", *w.Webhooks[0].FailurePolicy)
				}
			},
		},
		"without a revision": {
			edit: func(p *Plane) { p.Revision, p.Tags = "", nil },
			check: func(t *testing.T, all []Object) {
				if find[*appsv1.Deployment](all, "istiod") == nil || find[*admissionv1.MutatingWebhookConfiguration](all, "istio-sidecar-injector") == nil {
					t.Error("names have a revision")
				}
				if find[*admissionv1.MutatingWebhookConfiguration](all, "istio-revision-tag-default") != nil {
					t.Error("two webhooks have the selectors of the default")
				}
				if w := find[*admissionv1.ValidatingWebhookConfiguration](all, "istiod-default-validator"); w.Webhooks[0].ClientConfig.Service.Name != "istiod" {
					t.Errorf("the default validator asks %v", w.Webhooks[0].ClientConfig.Service)
				}
			},
		},
		"not the default": {
			edit: func(p *Plane) { p.Default = false },
			check: func(t *testing.T, all []Object) {
				for _, o := range all {
					if strings.Contains(o.GetName(), "default") {
						t.Errorf("%s is rendered", RefOf(o))
					}
				}
			},
		},
		"stable": {
			edit: func(p *Plane) { p.Profile = "stable" },
			check: func(t *testing.T, all []Object) {
				for _, name := range []string{"stable-channel-policy-prod-1-istio-system.istio.io", "stable-channel-default-policy.istio.io"} {
					if find[*admissionv1.ValidatingAdmissionPolicy](all, name) == nil {
						t.Errorf("no policy %s", name)
					}
				}
			},
		},
		"ambient beside another profile": {
			edit: func(p *Plane) { p.Profile, p.Ambient, p.NodesNamespace = "demo", true, "kube-system" },
			check: func(t *testing.T, all []Object) {
				env := map[string]string{}
				for _, v := range find[*appsv1.Deployment](all, "").Spec.Template.Spec.Containers[0].Env {
					env[v.Name] = v.Value
				}
				if env["PILOT_ENABLE_AMBIENT"] != "true" || env["CA_TRUSTED_NODE_ACCOUNTS"] != "kube-system/ztunnel" || env["PILOT_TRACE_SAMPLING"] != "100" {
					t.Errorf("environment %v", env)
				}
			},
		},
		"namespaces that istiod looks at": {
			edit: func(p *Plane) {
				p.DiscoverySelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"mesh": "prod"}}}
			},
			check: func(t *testing.T, all []Object) {
				if text := find[*corev1.ConfigMap](all, "istio-prod-1").Data["mesh"]; !strings.Contains(text, "discoverySelectors:\n- matchLabels:\n    mesh: prod\n") {
					t.Error(text)
				}
			},
		},
		"adopted": {
			edit: func(p *Plane) { p.Release, p.ManagedBy = "istio", "Helm" },
			check: func(t *testing.T, all []Object) {
				d := find[*appsv1.Deployment](all, "")
				want := map[string]string{v1alpha1.LabelManagedBy: "Helm", "app.kubernetes.io/instance": "istio", "helm.sh/chart": "istiod-1.31.0"}
				for key, value := range want {
					if d.Spec.Template.Labels[key] != value {
						t.Errorf("pods have %s %q, want %q", key, d.Spec.Template.Labels[key], value)
					}
				}
				if d.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
					t.Error("the Deployment is not ours")
				}
			},
		},
		"the default's name":    {edit: func(p *Plane) { p.Revision = DefaultTag }, fails: "no revision may have the name of the default tag"},
		"a tag like a revision": {edit: func(p *Plane) { p.Tags = []string{"prod-1"} }, fails: `tag "prod-1" is the name of a revision`},
		"a tag that is a truth": {edit: func(p *Plane) { p.Tags = []string{"y"} }, fails: `cannot have "y" as a name`},
		"a revision of digits":  {edit: func(p *Plane) { p.Revision = "131" }, fails: `cannot have "131" as a name`},
		"a profile of nobody":   {edit: func(p *Plane) { p.Profile = "larg" }, fails: `no profile "larg" in Istio 1.31.0, which has ambient, default,`},
		"an unknown field": {
			edit:  func(p *Plane) { p.Values = map[string]any{"affinity": map[string]any{"nodeAffinty": map[string]any{}}} },
			fails: `unknown field "spec.template.spec.affinity.nodeAffinty"`,
		},
		"an object smuggled into a value": {
			edit: func(p *Plane) {
				p.Values = map[string]any{"env": map[string]any{"A": "b\"\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n---\na: \"b"}}
			},
			fails: "deployment.yaml of Istio 1.31.0",
		},
		"no version of Kubernetes": {edit: func(p *Plane) { p.Kubernetes = "new" }, fails: `version "new" of Kubernetes`},
	} {
		t.Run(name, func(t *testing.T) {
			p := planeOf(t, newest)
			if test.edit != nil {
				test.edit(p)
			}
			objects, err := p.Objects()
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || !strings.Contains(err.Error(), "mesh prod") {
					t.Errorf("%v, want an error with %s", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			test.check(t, objects)
		})
	}
}

func TestObjectsThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"kind":  "apiVersion: v1\nkind: Secret\nmetadata: {name: a}",
		"field": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {}\ndate: {}",
		"text":  "a: [",
		"none":  "metadata: {name: a}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := objects(text, "a"); err == nil {
				t.Error("is taken")
			}
		})
	}
	got, err := objects("# only this\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "a")
	if err != nil || len(got) != 1 || got[0].GetNamespace() != "a" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := arrange(append(got, got...), "a"); err == nil {
		t.Error("an object is taken twice")
	}
	if _, err := arrange(got, "b"); err == nil {
		t.Error("an object in another namespace is taken")
	}
}

// TestSame renders the same from several goroutines.
func TestSame(t *testing.T) {
	e := versions(t)[0]
	p := planeOf(t, e)
	p.Values = map[string]any{"meshConfig": map[string]any{"accessLogFile": "/dev/stdout"}}
	var wg sync.WaitGroup
	var texts [3][][]byte
	for i := range texts {
		wg.Go(func() {
			if objects, err := p.Objects(); err != nil {
				t.Error(err)
			} else {
				texts[i] = documents(t, objects)
			}
		})
	}
	wg.Wait()
	for _, other := range texts[1:] {
		if !slices.EqualFunc(texts[0], other, bytes.Equal) {
			t.Error("two renderings of the same differ")
		}
	}
	if len(p.Values) != 1 || len(p.Values["meshConfig"].(map[string]any)) != 1 {
		t.Errorf("rendering has changed its input: %v", p.Values)
	}
}

func TestGrants(t *testing.T) {
	role := func(rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole { return &rbacv1.ClusterRole{Rules: rules} }
	rule := func(group, resources, verbs string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: strings.Fields(resources), Verbs: strings.Fields(verbs), ResourceNames: names}
	}
	cluster, namespaced := Grants([]Object{
		role(rule("", "pods nodes", "get list"), rule("a", "*", "get"), rule("a", "b", "get update")),
		role(rule("", "nodes", "list watch get"), rule("", "pods", "get", "x"), rule("c", "d", "* get"), rule("c", "d", "list", "y", "x")),
		role(rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}),
		&rbacv1.Role{Rules: []rbacv1.PolicyRule{rule("", "secrets", "get")}},
	})
	want := []rbacv1.PolicyRule{
		rule("", "nodes", "get list watch"), rule("", "pods", "get list"), rule("a", "*", "get"), rule("a", "b", "update"), rule("c", "d", "*"),
		{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}},
	}
	if a, b := documentsOf(t, cluster), documentsOf(t, want); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	if a, b := documentsOf(t, namespaced), documentsOf(t, []rbacv1.PolicyRule{rule("", "secrets", "get")}); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	verbs := map[string]bool{}
	for _, e := range versions(t) {
		p := planeOf(t, e)
		p.Ambient = true
		cluster, _ := Grants(all(t, p))
		for _, r := range cluster {
			if slices.Contains(r.Resources, "mutatingwebhookconfigurations") {
				for _, verb := range r.Verbs {
					verbs[verb] = true
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(verbs)); !slices.Equal(got, []string{"get", "list", "patch", "update", "watch"}) {
		t.Errorf("istiod may %v mutating webhooks", got)
	}
}

func documentsOf(t *testing.T, rules []rbacv1.PolicyRule) string {
	t.Helper()
	raw, err := json.MarshalIndent(rules, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func BenchmarkPlane(b *testing.B) {
	for _, e := range versions(b) {
		p := planeOf(b, e)
		b.Run(e.Version.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Objects(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkShared(b *testing.B) {
	e := versions(b)[0]
	charts := chartsOf(b, e)
	for b.Loop() {
		if _, err := Shared(charts, kubernetes); err != nil {
			b.Fatal(err)
		}
	}
}
