// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// createMesh asks the real API server for a dry run of a Mesh with this spec.
func (s spec) createMesh(ctx context.Context) error {
	return create(ctx, v1alpha1.GroupVersion.String(), "Mesh", metav1.ObjectMeta{Name: "default"}, s)
}

// fillMesh adds what every spec needs, so that a case shows only what it is about.
func (s spec) fillMesh() {
	if _, ok := s["version"]; !ok {
		s["version"] = "1.31"
	}
}

// A meshCase is a spec, in YAML, and the messages of its refusal; none means that it is accepted.
type meshCase struct {
	spec string
	want []string
}

func testMeshRules(t *testing.T, cases map[string]meshCase) {
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := fromYAML(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			s.fillMesh()
			var got []string
			if err := s.createMesh(t.Context()); err != nil {
				got = messages(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("refusal\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

const versionSyntax = ` is not a version of Istio: write a minor, like "1.31", or an exact version, like "1.31.0"`

var meshVersionCases = map[string]meshCase{
	"a minor":                   {spec: `version: "1.31"`},
	"an exact version":          {spec: `version: "1.31.0"`},
	"the greatest":              {spec: `version: "1.999.999"`},
	"none":                      {spec: `version: null`, want: []string{`spec.version: Required value`}},
	"a number":                  {spec: `version: 1.31`, want: []string{`spec.version: spec.version in body must be of type string: "number"`}},
	"a major":                   {spec: `version: "1"`, want: []string{`spec.version: "1"` + versionSyntax}},
	"of another major":          {spec: `version: "2.0"`, want: []string{`spec.version: "2.0"` + versionSyntax}},
	"with a v":                  {spec: `version: v1.31.0`, want: []string{`spec.version: "v1.31.0"` + versionSyntax}},
	"a release candidate":       {spec: `version: 1.31.0-rc.1`, want: []string{`spec.version: "1.31.0-rc.1"` + versionSyntax}},
	"a leading zero":            {spec: `version: "1.031"`, want: []string{`spec.version: "1.031"` + versionSyntax}},
	"a leading zero of a patch": {spec: `version: "1.31.00"`, want: []string{`spec.version: "1.31.00"` + versionSyntax}},
	"latest":                    {spec: `version: latest`, want: []string{`spec.version: "latest"` + versionSyntax}},
	"past its life":             {spec: `{version: "1.20", endOfLife: Allow}`},
	"past its life, perhaps":    {spec: `{version: "1.20", endOfLife: Warn}`, want: []string{`spec.endOfLife: Unsupported value: "Warn": supported values: "Refuse", "Allow"`}},
}

const pins = `, and version 1.31.0 is exact, which pins it: write version as a minor, like "1.31", or remove `

var meshUpgradeCases = map[string]meshCase{
	"everything": {
		spec: `upgrade: {strategy: InPlace, automatic: Minor, progressDeadline: 24h, onFailure: Hold, historyLimit: 100, maintenanceWindows: [{days: [Mon, Sun], start: "00:00", duration: 15m, timeZone: Europe/Zurich}, {start: "23:59", duration: 24h}]}`,
	},
	"nothing":                               {spec: `upgrade: {}`},
	"patches of a minor":                    {spec: `upgrade: {automatic: Patch}`},
	"an exact version that stays":           {spec: `{version: "1.31.0", upgrade: {automatic: None}}`},
	"patches of an exact version":           {spec: `{version: "1.31.0", upgrade: {automatic: Patch}}`, want: []string{`spec: upgrade.automatic Patch follows new versions` + pins + `upgrade.automatic`}},
	"minors of an exact version":            {spec: `{version: "1.31.0", upgrade: {automatic: Minor}}`, want: []string{`spec: upgrade.automatic Minor follows new versions` + pins + `upgrade.automatic`}},
	"windows of an exact version":           {spec: `{version: "1.31.0", upgrade: {maintenanceWindows: [{start: "22:00", duration: 4h}]}}`, want: []string{`spec: upgrade.maintenanceWindows are for automatic upgrades` + pins + `the windows`}},
	"no windows of an exact version":        {spec: `{version: "1.31.0", upgrade: {maintenanceWindows: []}}`},
	"windows of nothing":                    {spec: `upgrade: {automatic: None, maintenanceWindows: [{start: "22:00", duration: 4h}]}`, want: []string{`spec.upgrade: maintenanceWindows are for automatic upgrades, and automatic is None: set it to Patch or Minor, or remove the windows`}},
	"windows of nothing, exactly":           {spec: `{version: "1.31.0", upgrade: {automatic: None, maintenanceWindows: [{start: "22:00", duration: 4h}]}}`, want: []string{`spec.upgrade: maintenanceWindows are for automatic upgrades, and automatic is None: set it to Patch or Minor, or remove the windows`}},
	"another strategy":                      {spec: `upgrade: {strategy: RevisionBased}`, want: []string{`spec.upgrade.strategy: Unsupported value: "RevisionBased": supported values: "Canary", "InPlace"`}},
	"automatic to anything":                 {spec: `upgrade: {automatic: Major}`, want: []string{`spec.upgrade.automatic: Unsupported value: "Major": supported values: "None", "Patch", "Minor"`}},
	"a failure that is ignored":             {spec: `upgrade: {onFailure: Ignore}`, want: []string{`spec.upgrade.onFailure: Unsupported value: "Ignore": supported values: "Rollback", "Hold"`}},
	"a deadline of a minute":                {spec: `upgrade: {progressDeadline: 60s}`},
	"a deadline below":                      {spec: `upgrade: {progressDeadline: 59s}`, want: []string{`spec.upgrade.progressDeadline: 59s is not within 1m to 24h`}},
	"a deadline beyond":                     {spec: `upgrade: {progressDeadline: 24h1ms}`, want: []string{`spec.upgrade.progressDeadline: 24h1ms is not within 1m to 24h`}},
	"no history":                            {spec: `upgrade: {historyLimit: 0}`, want: []string{`spec.upgrade.historyLimit: 0: spec.upgrade.historyLimit in body should be greater than or equal to 1`}},
	"a rollback":                            {spec: `{rollbackTo: 3, upgrade: {automatic: Minor}}`},
	"a rollback of an exact version":        {spec: `{version: "1.31.0", rollbackTo: 1000000}`},
	"a rollback to nothing":                 {spec: `rollbackTo: 0`, want: []string{`spec.rollbackTo: 0: spec.rollbackTo in body should be greater than or equal to 1`}},
	"a rollback to a version":               {spec: `rollbackTo: "1.30.0"`, want: []string{`spec.rollbackTo: spec.rollbackTo in body must be of type integer: "string"`}},
	"an uninstall in spite of its members":  {spec: `uninstall: {withMembers: Proceed}`},
	"an uninstall that asks":                {spec: `uninstall: {withMembers: Ask}`, want: []string{`spec.uninstall.withMembers: Unsupported value: "Ask": supported values: "Refuse", "Proceed"`}},
	"a drift that is reported":              {spec: `drift: Warn`},
	"a drift that is ignored":               {spec: `drift: Ignore`, want: []string{`spec.drift: Unsupported value: "Ignore": supported values: "Repair", "Warn"`}},
	"a maintenance window without start":    {spec: `upgrade: {maintenanceWindows: [{duration: 4h}]}`, want: []string{`spec.upgrade.maintenanceWindows[0].start: Required value`}},
	"a maintenance window without duration": {spec: `upgrade: {maintenanceWindows: [{start: "22:00"}]}`, want: []string{`spec.upgrade.maintenanceWindows[0].duration: Required value`}},
}

// window is a maintenance window with something else in it.
func window(text string) string { return `upgrade: {maintenanceWindows: [{` + text + `}]}` }

const (
	windowPath = `spec.upgrade.maintenanceWindows[0].`
	timeSyntax = ` is not a time of day: write HH:MM from 00:00 to 23:59, like "22:00"`
	zoneSyntax = ` is not a time zone: write its name in the IANA database, like Europe/Zurich or UTC`
)

var meshWindowCases = map[string]meshCase{
	"every day by name":           {spec: window(`days: [Mon, Tue, Wed, Thu, Fri, Sat, Sun], start: "09:30", duration: 1h30m`)},
	"a day in full":               {spec: window(`days: [Monday], start: "22:00", duration: 4h`), want: []string{windowPath + `days[0]: Unsupported value: "Monday": supported values: "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"`}},
	"a day twice":                 {spec: window(`days: [Mon, Mon], start: "22:00", duration: 4h`), want: []string{windowPath + `days[1]: Duplicate value: "Mon"`}},
	"no day":                      {spec: window(`days: [], start: "22:00", duration: 4h`), want: []string{windowPath + `days: 0: ` + windowPath + `days in body should have at least 1 items`}},
	"at midnight of the next day": {spec: window(`start: "24:00", duration: 4h`), want: []string{windowPath + `start: "24:00"` + timeSyntax}},
	"at minute 60":                {spec: window(`start: "22:60", duration: 4h`), want: []string{windowPath + `start: "22:60"` + timeSyntax}},
	"at nine":                     {spec: window(`start: "9:00", duration: 4h`), want: []string{windowPath + `start: "9:00"` + timeSyntax}},
	"at ten in the evening":       {spec: window(`start: 10pm, duration: 4h`), want: []string{windowPath + `start: "10pm"` + timeSyntax}},
	"for 14 minutes":              {spec: window(`start: "22:00", duration: 14m59s`), want: []string{windowPath + `duration: 14m59s is not within 15m to 24h`}},
	"for more than a day":         {spec: window(`start: "22:00", duration: 24h1s`), want: []string{windowPath + `duration: 24h1s is not within 15m to 24h`}},
	"in the operator's time zone": {spec: window(`start: "22:00", duration: 4h, timeZone: Local`), want: []string{windowPath + `timeZone: "Local"` + zoneSyntax}},
	"at an offset":                {spec: window(`start: "22:00", duration: 4h, timeZone: "+01:00"`), want: []string{windowPath + `timeZone: "+01:00"` + zoneSyntax}},
	"in no time zone":             {spec: window(`start: "22:00", duration: 4h, timeZone: ""`), want: []string{windowPath + `timeZone: ""` + zoneSyntax}},
	"in a folder":                 {spec: window(`start: "22:00", duration: 4h, timeZone: ../../etc/passwd`), want: []string{windowPath + `timeZone: "../../etc/passwd"` + zoneSyntax}},
	"in time zones of every form": {
		spec: `upgrade: {maintenanceWindows: [{start: "22:00", duration: 4h, timeZone: UTC}, {start: "22:00", duration: 4h, timeZone: America/Argentina/Buenos_Aires}, {start: "22:00", duration: 4h, timeZone: Etc/GMT+12},
  {start: "22:00", duration: 4h, timeZone: America/Port-au-Prince}, {start: "22:00", duration: 4h, timeZone: EST5EDT}]}`,
	},
}

const ownLabel = `, which the operator itself sets or removes on members: pick by a label of your own`

var meshMemberCases = map[string]meshCase{
	"everything": {
		spec: `members: {namespaceSelector: {matchLabels: {mesh: default}, matchExpressions: [{key: tier, operator: In, values: [team]}]}, exclude: [a, b], restartWorkloads: true, batchSize: 25%}`,
	},
	"all but some":                    {spec: `members: {namespaceSelector: {matchExpressions: [{key: mesh, operator: NotIn, values: ["off"]}]}}`},
	"no selector":                     {spec: `members: {restartWorkloads: true}`, want: []string{`spec.members.namespaceSelector: Required value`}},
	"an empty selector":               {spec: `members: {namespaceSelector: {}}`, want: []string{emptySelector}},
	"a selector of no labels":         {spec: `members: {namespaceSelector: {matchLabels: {}, matchExpressions: []}}`, want: []string{emptySelector}},
	"a label that members get":        {spec: `members: {namespaceSelector: {matchLabels: {istio.io/rev: default}}}`, want: []string{`spec.members: namespaceSelector.matchLabels has istio.io/rev` + ownLabel}},
	"a label that members lose":       {spec: `members: {namespaceSelector: {matchLabels: {a: b, istio-injection: enabled}}}`, want: []string{`spec.members: namespaceSelector.matchLabels has istio-injection` + ownLabel}},
	"a label of ambient members":      {spec: `members: {namespaceSelector: {matchExpressions: [{key: a, operator: Exists}, {key: istio.io/dataplane-mode, operator: Exists}]}}`, want: []string{`spec.members: namespaceSelector.matchExpressions has istio.io/dataplane-mode` + ownLabel}},
	"a label key":                     {spec: `members: {namespaceSelector: {matchLabels: {a b: c}}}`, want: []string{`spec.members.namespaceSelector: "a b" in matchLabels` + keySyntax + `, at most 253 characters`}},
	"an excluded namespace":           {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, exclude: [A]}`, want: []string{`spec.members.exclude[0]: spec.members.exclude[0] in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'`}},
	"an excluded namespace twice":     {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, exclude: [a, a]}`, want: []string{`spec.members.exclude[1]: Duplicate value: "a"`}},
	"a batch of one":                  {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 1}`},
	"a batch of all":                  {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 100%}`},
	"a batch of none":                 {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 0}`, want: []string{`spec.members.batchSize: must be a number from 1 to 1000, or a percentage from 1% to 100%`}},
	"a batch of too many":             {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 1001}`, want: []string{`spec.members.batchSize: must be a number from 1 to 1000, or a percentage from 1% to 100%`}},
	"a batch of no percent":           {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 0%}`, want: []string{`spec.members.batchSize: spec.members.batchSize in body should match '^([1-9][0-9]?|100)%$'`}},
	"a batch of more than there are":  {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: 101%}`, want: []string{`spec.members.batchSize: spec.members.batchSize in body should match '^([1-9][0-9]?|100)%$'`}},
	"a batch of a number in a string": {spec: `members: {namespaceSelector: {matchLabels: {a: b}}, batchSize: "5"}`, want: []string{`spec.members.batchSize: spec.members.batchSize in body should match '^([1-9][0-9]?|100)%$'`}},
}

const emptySelector = `spec.members: namespaceSelector is empty, and would pick every namespace: name a label, or let all but some in by matchExpressions, like {key: mesh, operator: NotIn, values: ["off"]}`

var meshProfileCases = map[string]meshCase{
	"ambient, encrypted":     {spec: `{profile: ambient, mtls: Strict}`},
	"ambient, permissive":    {spec: `{profile: ambient, mtls: Permissive}`},
	"ambient, not encrypted": {spec: `{profile: ambient, mtls: Disable}`, want: []string{`spec: mtls Disable is not for profile ambient, whose ztunnel encrypts always: use Permissive, or another profile`}},
	"demo, not encrypted":    {spec: `{profile: demo, mtls: Disable}`},
	"encrypted in capitals":  {spec: `mtls: STRICT`, want: []string{`spec.mtls: Unsupported value: "STRICT": supported values: "Strict", "Permissive", "Disable"`}},
	"a profile of istioctl":  {spec: `profile: minimal`, want: []string{`spec.profile: Unsupported value: "minimal": supported values: "default", "ambient", "demo", "preview", "stable", "remote"`}},
	"another namespace":      {spec: `namespace: istio-blue`},
	"no namespace":           {spec: `namespace: ""`, want: []string{`spec.namespace: spec.namespace in body should be at least 1 chars long`}},
	"a long namespace":       {spec: `namespace: ` + strings.Repeat("a", 64), want: []string{`spec.namespace: Too long: may not be more than 63 bytes`}},
}

func TestMeshVersionRules(t *testing.T) { testMeshRules(t, meshVersionCases) }
func TestMeshUpgradeRules(t *testing.T) { testMeshRules(t, meshUpgradeCases) }
func TestMeshWindowRules(t *testing.T)  { testMeshRules(t, meshWindowCases) }
func TestMeshMemberRules(t *testing.T)  { testMeshRules(t, meshMemberCases) }
func TestMeshProfileRules(t *testing.T) { testMeshRules(t, meshProfileCases) }

// TestMeshNameRules tries names of Meshes, after which revisions are named.
func TestMeshNameRules(t *testing.T) {
	const (
		long    = `: the name of a Mesh has at most 40 characters, since revisions are named after it`
		syntax  = `: the name of a Mesh has letters, digits and - only, since revisions are named after it`
		version = `: the name of a Mesh does not end like 1-31-0, since revisions of other meshes do`
	)
	for name, want := range map[string][]string{
		"default": nil, "a": nil, "1a": nil, "blue-1": nil, "a-1-31": nil, strings.Repeat("a", 40): nil,
		strings.Repeat("a", 41): {long}, "a.b": {syntax}, "default-1-31-0": {version}, "default-1-999-12": {version},
	} {
		var got []string
		if err := create(t.Context(), v1alpha1.GroupVersion.String(), "Mesh", metav1.ObjectMeta{Name: name}, spec{"version": "1.31"}); err != nil {
			got = messages(err)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "<nil>")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: refusal\n got %q\nwant %q", name, got, want)
		}
	}
}

// TestMeshDefaults shows what the API server fills in, and that it leaves open what depends on the version.
func TestMeshDefaults(t *testing.T) {
	mesh := &v1alpha1.Mesh{ObjectMeta: metav1.ObjectMeta{Name: "defaults"}, Spec: v1alpha1.MeshSpec{
		Version: "1.31", Members: &v1alpha1.MeshMembers{NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"a": "b"}}},
		Gateways: []v1alpha1.MeshGateway{{Name: "a", Namespace: "b", Hosts: []v1alpha1.GatewayHost{"*"}, Routes: []v1alpha1.GatewayRoute{{Service: v1alpha1.RouteService{Name: "c"}}}}},
	}}
	if err := server.Create(t.Context(), mesh, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	got := mesh.Spec
	if got.Namespace != "istio-system" || got.Profile != v1alpha1.ProfileDefault || got.EndOfLife != v1alpha1.EndOfLifeRefuse || got.Drift != v1alpha1.Repair || got.Uninstall.WithMembers != v1alpha1.UninstallRefuse || got.MTLS != "" || got.Values != nil {
		t.Errorf("%+v", got)
	}
	if up := got.Upgrade; up.Strategy != v1alpha1.UpgradeCanary || up.Automatic != "" || up.ProgressDeadline != "10m" || up.OnFailure != v1alpha1.OnFailureRollback || up.HistoryLimit != 10 {
		t.Errorf("upgrade: %+v", up)
	}
	if got.Members.BatchSize == nil || got.Members.BatchSize.IntValue() != 1 || got.Members.RestartWorkloads {
		t.Errorf("members: %+v", got.Members)
	}
	if gateway := got.Gateways[0]; gateway.Service.Type != "LoadBalancer" || gateway.Routes[0].PathPrefix != "/" || gateway.Ports != nil {
		t.Errorf("gateway: %+v", gateway)
	}
}

// TestMeshAutomatic shows which versions are followed where the field is unset.
func TestMeshAutomatic(t *testing.T) {
	for _, tc := range []struct {
		version v1alpha1.IstioVersion
		field   v1alpha1.AutomaticUpgrade
		want    v1alpha1.AutomaticUpgrade
	}{
		{"1.31", "", v1alpha1.AutomaticPatch}, {"1.31", "Minor", v1alpha1.AutomaticMinor}, {"1.31", "None", v1alpha1.AutomaticNone},
		{"1.31.0", "", v1alpha1.AutomaticNone}, {"1.31.0", "None", v1alpha1.AutomaticNone}, {"1.31.0", "Patch", v1alpha1.AutomaticNone},
	} {
		s := v1alpha1.MeshSpec{Version: tc.version, Upgrade: v1alpha1.MeshUpgrade{Automatic: tc.field}}
		if got := s.Automatic(); got != tc.want {
			t.Errorf("%s with %q: %s, want %s", tc.version, tc.field, got, tc.want)
		}
	}
}

// TestMeshChanges shows what can and cannot be changed once a Mesh is there.
func TestMeshChanges(t *testing.T) {
	mesh := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"version": "1.31", "namespace": "istio-blue"}}}
	mesh.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Mesh"))
	mesh.SetName("changes")
	if err := server.Create(t.Context(), mesh); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Delete(context.WithoutCancel(t.Context()), mesh); err != nil {
			t.Error(err)
		}
	})
	const immutable = `spec.namespace: namespace cannot change from istio-blue: make another Mesh in %s, let its members.namespaceSelector pick the namespaces, and delete this one`
	for patch, want := range map[string][]string{
		`{"spec":{"namespace":"istio-green"}}`: {strings.Replace(immutable, "%s", "istio-green", 1)},
		`{"spec":{"namespace":null}}`:          {strings.Replace(immutable, "%s", "istio-system", 1)},
		`{"spec":{"namespace":"istio-blue"}}`:  nil,
		`{"spec":{"version":"1.30"}}`:          nil,
		`{"spec":{"profile":"ambient"}}`:       nil,
	} {
		var got []string
		if err := server.Patch(t.Context(), mesh.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch)), client.DryRunAll); err != nil {
			got = messages(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: refusal\n got %q\nwant %q", patch, got, want)
		}
	}
}
