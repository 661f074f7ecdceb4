// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

const minorMoves = ` pins the image, and version 1.31 is a minor, whose patches have other images: write an exact version, like "1.31.0", or remove `

var meshValuesCases = map[string]meshCase{
	"of charts":            {spec: `values: {pilot: {autoscaleMin: 2, env: {PILOT_X: "1"}}, global: {logging: {level: "default:info"}, proxy: {}}, meshConfig: {accessLogFile: /dev/stdout}, cni: {}, ztunnel: {}, unknown: [1, {a: null}]}`},
	"none":                 {spec: `values: {}`},
	"a list":               {spec: `values: []`, want: []string{`spec.values: spec.values in body must be of type object: "array"`}},
	"a text":               {spec: `values: "pilot: {}"`, want: []string{`spec.values: spec.values in body must be of type object: "string"`}},
	"a profile":            {spec: `values: {profile: ambient}`, want: []string{`spec.values: profile is that of the Mesh: remove it here, and write spec.profile`}},
	"a global profile":     {spec: `values: {global: {profile: ambient}}`, want: []string{`spec.values: global.profile is that of the Mesh: remove it here, and write spec.profile`}},
	"a revision":           {spec: `values: {revision: canary}`, want: []string{`spec.values: revision is named by the operator, after the Mesh and its version: remove it`}},
	"an empty revision":    {spec: `values: {revision: ""}`, want: []string{`spec.values: revision is named by the operator, after the Mesh and its version: remove it`}},
	"a null for revision":  {spec: `values: {revision: null}`},
	"revision tags":        {spec: `values: {revisionTags: [prod]}`, want: []string{`spec.values: revisionTags are set by the operator, when members move: remove them, and let spec.members pick namespaces`}},
	"no revision tags":     {spec: `values: {revisionTags: []}`, want: []string{`spec.values: revisionTags are set by the operator, when members move: remove them, and let spec.members pick namespaces`}},
	"a default revision":   {spec: `values: {defaultRevision: a}`, want: []string{`spec.values: defaultRevision is set by the operator, when a new revision takes over: remove it`}},
	"the charts' defaults": {spec: `values: {_internal_defaults_do_not_set: {revision: a}}`, want: []string{`spec.values: _internal_defaults_do_not_set is what the charts keep their defaults in: write its keys directly under values`}},
	"a namespace":          {spec: `values: {global: {istioNamespace: a}}`, want: []string{`spec.values: global.istioNamespace is the namespace of the Mesh: remove it here, and write spec.namespace`}},
	"several at once": {
		spec: `values: {revision: a, defaultRevision: b, global: {istioNamespace: c}}`,
		want: []string{
			`spec.values: defaultRevision is set by the operator, when a new revision takes over: remove it`,
			`spec.values: global.istioNamespace is the namespace of the Mesh: remove it here, and write spec.namespace`,
			`spec.values: revision is named by the operator, after the Mesh and its version: remove it`,
		},
	},
	"a hub":                  {spec: `values: {global: {hub: registry.example.com/istio}}`},
	"a tag":                  {spec: `{version: "1.31.0", values: {global: {tag: 1.31.0-distroless}}}`},
	"a number for a tag":     {spec: `{version: "1.31.0", values: {global: {tag: 1}}}`},
	"a tag of a minor":       {spec: `values: {global: {tag: 1.31.0}}`, want: []string{`spec: values.global.tag` + minorMoves + `values.global.tag`}},
	"a number for a hub":     {spec: `values: {global: {hub: 1}}`, want: []string{`spec.values.global.hub: spec.values.global.hub in body must be of type string: "integer"`}},
	"a list for global":      {spec: `values: {global: []}`, want: []string{`spec.values.global: spec.values.global in body must be of type object: "array"`}},
	"hub and hub":            {spec: `{image: {hub: a}, values: {global: {hub: a}}}`, want: []string{`spec: image.hub and values.global.hub both say where images are: keep image.hub`}},
	"tag and tag":            {spec: `{version: "1.31.0", image: {tag: a}, values: {global: {tag: a}}}`, want: []string{`spec: image.tag and values.global.tag both say which image it is: keep image.tag`}},
	"policy and policy":      {spec: `{image: {pullPolicy: Always}, values: {global: {imagePullPolicy: Always}}}`, want: []string{`spec: image.pullPolicy and values.global.imagePullPolicy both say when images are pulled: keep image.pullPolicy`}},
	"secrets and secrets":    {spec: `{image: {pullSecrets: [a]}, values: {global: {imagePullSecrets: [a]}}}`, want: []string{`spec: image.pullSecrets and values.global.imagePullSecrets both say what images are pulled with: keep image.pullSecrets`}},
	"hub and tag":            {spec: `{version: "1.31.0", image: {hub: a}, values: {global: {tag: a, imagePullPolicy: Always, imagePullSecrets: [a]}}}`},
	"an image of everything": {spec: `{version: "1.31.0", image: {hub: "registry.example.com:5000/istio/release", tag: 1.31.0-distroless, pullPolicy: IfNotPresent, pullSecrets: [a, b.c]}}`},
	"an image of nothing":    {spec: `image: {}`, want: []string{`spec.image: 0: spec.image in body should have at least 1 properties`}},
	"an image of a minor":    {spec: `image: {tag: 1.31.0}`, want: []string{`spec: image.tag 1.31.0` + minorMoves + `image.tag`}},
	"an image with its tag":  {spec: `image: {hub: "a/pilot:1.31@sha256"}`, want: []string{`spec.image.hub: spec.image.hub in body should match '^[a-zA-Z0-9]([-a-zA-Z0-9._/:]*[a-zA-Z0-9])?$'`}},
	"a pull policy":          {spec: `image: {pullPolicy: Sometimes}`, want: []string{`spec.image.pullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`}},
}

func TestMeshValuesRules(t *testing.T) { testMeshRules(t, meshValuesCases) }

// TestMeshTagIsNoFraction shows that 1.30 without quotes, which is the number 1.3, is no tag.
func TestMeshTagIsNoFraction(t *testing.T) {
	s := spec{"version": "1.30.0", "values": map[string]any{"global": map[string]any{"tag": 1.3}}}
	if got, err := refused(s.createMesh(t.Context())); err != nil || !got {
		t.Errorf("refused: %t, %v", got, err)
	}
}

// TestMeshValuesAreKept shows that values come back from the API server as they were sent, whole numbers included, though
// the schema speaks of some of them only.
func TestMeshValuesAreKept(t *testing.T) {
	want := map[string]any{
		"pilot":  map[string]any{"autoscaleMin": int64(2), "traceSampling": 1.5, "env": map[string]any{"A": "1"}, "big": int64(1234567890123)},
		"global": map[string]any{"hub": "a/b", "proxy": map[string]any{"autoInject": "enabled"}, "list": []any{"a", map[string]any{"b": true}}},
		"other":  nil,
	}
	values, err := v1alpha1.NewValues(want)
	if err != nil {
		t.Fatal(err)
	}
	mesh := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: "values"}, Spec: v1alpha1.MeshSpec{Version: "1.31", Values: values}}
	if err := server.Create(t.Context(), mesh, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if got, err := mesh.Spec.Values.Map(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(mesh)
	if err != nil {
		t.Fatal(err)
	}
	back := &v1alpha1.Mesh{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, back); err != nil {
		t.Fatal(err)
	}
	if got, err := back.Spec.Values.Map(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("by way of unstructured: got  %v, %v\nwant %v", got, err, want)
	}
}

// TestMeshValuesOfEveryForm reads and writes values that are nothing, empty or none.
func TestMeshValuesOfEveryForm(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":"1.31"}`:                               `null`,
		`{"version":"1.31","values":null}`:                 `null`,
		`{"version":"1.31","values":{}}`:                   `{}`,
		`{"version":"1.31","values":{"b":1.0,"a":{}}}`:     `{"b":1.0,"a":{}}`,
		`{"version":"1.31","values": {"a":[1, "<&>"] } }`:  `{"a":[1,"\u003c\u0026\u003e"]}`,
		`{"version":"1.31","values":{"a":12345678901234}}`: `{"a":12345678901234}`,
	} {
		var s v1alpha1.MeshSpec
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := json.Marshal(s.Values); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
		if m, err := s.Values.Map(); err != nil || m == nil {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	for _, text := range []string{`[]`, `"a"`, `1`, `true`} {
		if err := json.Unmarshal([]byte(text), &v1alpha1.Values{}); err == nil {
			t.Errorf("%s was taken for values", text)
		}
	}
	if _, err := v1alpha1.NewValues(map[string]any{"a": func() {}}); err == nil {
		t.Error("a function was taken for a value")
	}
}

// TestMeshValuesAreCopied shows that a copy shares nothing with what it is of.
func TestMeshValuesAreCopied(t *testing.T) {
	values := &v1alpha1.Values{Raw: []byte(`{"a":1}`)}
	mesh := &v1alpha1.Mesh{Spec: v1alpha1.MeshSpec{Values: values}}
	for name, copied := range map[string]*v1alpha1.Values{"of a Mesh": mesh.DeepCopy().Spec.Values, "of the values": values.DeepCopy()} {
		copied.Raw[1] = 'x'
		if string(values.Raw) != `{"a":1}` {
			t.Errorf("a copy %s shares its bytes", name)
		}
	}
	var into v1alpha1.Values
	values.DeepCopyInto(&into)
	into.Raw[1] = 'x'
	if string(values.Raw) != `{"a":1}` || (*v1alpha1.Values)(nil).DeepCopy() != nil {
		t.Error("a copy into a variable shares its bytes, or one of nothing is something")
	}
}
