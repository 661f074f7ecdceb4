// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The CEL rules of Mesh refuse what contradicts itself. What needs more than the object is the operator's to say, as a
// problem or a condition: which versions there are, the keys of values, time zones, other meshes. For their author:
//
//   - Functions are those of Kubernetes 1.29, the most that a 1.30 API server takes.
//   - No rule compares a version with the one before. To go back to the older one is how a person ends an upgrade that
//     failed, and what counts is the version that runs, which the spec does not say.
//   - An exact version is one with a second point. upgrade.automatic has no default in the schema, since its default
//     depends on that, and one that a person wrote could not be told from one that the API server did.

// MeshSpec is what a Mesh asks for.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.upgrade.automatic) || self.upgrade.automatic == 'None' || !self.version.matches('[.].+[.]')`,message=`upgrade.automatic follows new versions, and version is exact, which pins it: write version as a minor, like "1.31", or remove upgrade.automatic`,messageExpression=`'upgrade.automatic ' + self.upgrade.automatic + ' follows new versions, and version ' + self.version + ' is exact, which pins it: write version as a minor, like "1.31", or remove upgrade.automatic'`
// +kubebuilder:validation:XValidation:rule=`!has(self.upgrade.maintenanceWindows) || self.upgrade.maintenanceWindows.size() == 0 || has(self.upgrade.automatic) || !self.version.matches('[.].+[.]')`,message=`upgrade.maintenanceWindows are for automatic upgrades, and version is exact, which pins it: write version as a minor, like "1.31", or remove the windows`,messageExpression=`'upgrade.maintenanceWindows are for automatic upgrades, and version ' + self.version + ' is exact, which pins it: write version as a minor, like "1.31", or remove the windows'`
// +kubebuilder:validation:XValidation:rule=`!has(self.image) || !has(self.image.tag) || self.version.matches('[.].+[.]')`,message=`image.tag pins the image, and version is a minor, whose patches have other images: write an exact version, like "1.31.0", or remove image.tag`,messageExpression=`'image.tag ' + self.image.tag + ' pins the image, and version ' + self.version + ' is a minor, whose patches have other images: write an exact version, like "1.31.0", or remove image.tag'`
// +kubebuilder:validation:XValidation:rule=`!has(self.values) || !has(self.values.global) || !has(self.values.global.tag) || self.version.matches('[.].+[.]')`,message=`values.global.tag pins the image, and version is a minor, whose patches have other images: write an exact version, like "1.31.0", or remove values.global.tag`,messageExpression=`'values.global.tag pins the image, and version ' + self.version + ' is a minor, whose patches have other images: write an exact version, like "1.31.0", or remove values.global.tag'`
// +kubebuilder:validation:XValidation:rule=`!has(self.image) || !has(self.values) || !has(self.values.global) || !(has(self.image.hub) && has(self.values.global.hub) || has(self.image.tag) && has(self.values.global.tag) || has(self.image.pullPolicy) && has(self.values.global.imagePullPolicy) || has(self.image.pullSecrets) && has(self.values.global.imagePullSecrets))`,message=`image and values.global both say the same of the image: keep that of image`,messageExpression=`(has(self.image.hub) && has(self.values.global.hub) ? 'image.hub and values.global.hub both say where images are: keep image.hub' : has(self.image.tag) && has(self.values.global.tag) ? 'image.tag and values.global.tag both say which image it is: keep image.tag' : has(self.image.pullPolicy) && has(self.values.global.imagePullPolicy) ? 'image.pullPolicy and values.global.imagePullPolicy both say when images are pulled: keep image.pullPolicy' : 'image.pullSecrets and values.global.imagePullSecrets both say what images are pulled with: keep image.pullSecrets')`
// +kubebuilder:validation:XValidation:rule=`!has(self.mtls) || self.mtls != 'Disable' || self.profile != 'ambient'`,message=`mtls Disable is not for profile ambient, whose ztunnel encrypts always: use Permissive, or another profile`
// +kubebuilder:validation:XValidation:rule=`!has(self.gateways) || !self.gateways.exists(g, g.__namespace__ == self.__namespace__ && (g.name.startsWith('istiod') || g.name in ['ztunnel', 'istio-cni', 'istio-cni-node', 'istio-reader-service-account']))`,message=`a gateway in the namespace of the control plane has the name of a part of it: give it another name or namespace`,messageExpression=`self.gateways.map(g, g.__namespace__ == self.__namespace__ && (g.name.startsWith('istiod') || g.name in ['ztunnel', 'istio-cni', 'istio-cni-node', 'istio-reader-service-account']), 'gateway ' + g.name + ' has the name of a part of the control plane, in the same namespace ' + g.__namespace__ + ': give it another name or namespace')[0]`
type MeshSpec struct {
	// version of Istio: a minor, like "1.31", for the newest patch of it that the operator knows, or an exact version,
	// like "1.31.0", which pins it. The quotes matter: 1.30 without them is the number 1.3.
	// +required
	Version IstioVersion `json:"version"`

	// endOfLife is Refuse to refuse a version that Istio no longer mends, or Allow to install it nevertheless. A mesh that
	// runs when the life of its version ends goes on running.
	// +optional
	// +default="Refuse"
	EndOfLife EndOfLifePolicy `json:"endOfLife,omitempty"`

	// namespace of the control plane. It is made if it does not exist, and cannot change.
	// +optional
	// +default="istio-system"
	// +kubebuilder:validation:XValidation:rule=`self == oldSelf`,message=`namespace cannot change: make another Mesh in the new namespace, let its members.namespaceSelector pick the namespaces, and delete this one`,messageExpression=`'namespace cannot change from ' + oldSelf + ': make another Mesh in ' + self + ', let its members.namespaceSelector pick the namespaces, and delete this one'`
	Namespace NamespaceName `json:"namespace,omitempty"`

	// profile is the set of Istio's settings that values start from: default (minimal of istioctl, since gateways are in
	// gateways), ambient, demo, preview, stable or remote. ambient runs CNI and ztunnel on every node and no sidecars.
	// +optional
	// +default="default"
	Profile MeshProfile `json:"profile,omitempty"`

	// values for Istio's charts, over those of the profile.
	// +optional
	Values *Values `json:"values,omitempty"`

	// image is where Istio's images are, if not where Istio publishes them.
	// +optional
	Image *MeshImage `json:"image,omitempty"`

	// members are the namespaces in the mesh. Unset for none.
	// +optional
	Members *MeshMembers `json:"members,omitempty"`

	// mtls is Strict for workloads of the mesh to take encrypted connections only, Permissive to take plain ones as well,
	// or Disable. Unset makes no PeerAuthentication, and Istio's default is Permissive.
	// +optional
	MTLS MTLSMode `json:"mtls,omitempty"`

	// upgrade is how the mesh gets to another version.
	// +optional
	// +default={}
	Upgrade MeshUpgrade `json:"upgrade,omitempty"`

	// rollbackTo is the number of an entry of status.history, whose version, profile, values and image are in force instead
	// of those here until rollbackTo is removed; automatic upgrades wait.
	// +optional
	// +kubebuilder:validation:Minimum=1
	RollbackTo int64 `json:"rollbackTo,omitempty"`

	// gateways are doorways into the mesh, each with proxies of its own.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Gateways []MeshGateway `json:"gateways,omitempty"`

	// drift is Repair to undo foreign changes, or Warn to report them and leave them.
	// +optional
	// +default="Repair"
	Drift DriftMode `json:"drift,omitempty"`

	// uninstall is what happens when the Mesh is deleted.
	// +optional
	// +default={}
	Uninstall MeshUninstall `json:"uninstall,omitempty"`
}

// IstioVersion is a minor like 1.31, or an exact version like 1.31.0.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:XValidation:rule=`self.matches('^1[.](0|[1-9][0-9]{0,2})([.](0|[1-9][0-9]{0,2}))?$')`,message=`not a version of Istio: write a minor, like "1.31", or an exact version, like "1.31.0"`,messageExpression=`'"' + self + '" is not a version of Istio: write a minor, like "1.31", or an exact version, like "1.31.0"'`
type IstioVersion string

// Exact is whether the version has a patch, which pins it.
func (v IstioVersion) Exact() bool { return strings.Count(string(v), ".") == 2 }

// NamespaceName is the name of a namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type NamespaceName string

// EndOfLifePolicy is what becomes of a version past its life.
//
// +kubebuilder:validation:Enum=Refuse;Allow
type EndOfLifePolicy string

const (
	// EndOfLifeRefuse refuses to install it.
	EndOfLifeRefuse EndOfLifePolicy = "Refuse"
	// EndOfLifeAllow installs it.
	EndOfLifeAllow EndOfLifePolicy = "Allow"
)

// MeshProfile is a set of Istio's settings.
//
// +kubebuilder:validation:Enum=default;ambient;demo;preview;stable;remote
type MeshProfile string

const (
	// ProfileDefault is for sidecars.
	ProfileDefault MeshProfile = "default"
	// ProfileAmbient is for workloads without sidecars.
	ProfileAmbient MeshProfile = "ambient"
	// ProfileDemo traces and logs everything, and asks for few resources.
	ProfileDemo MeshProfile = "demo"
	// ProfilePreview has features that are experiments.
	ProfilePreview MeshProfile = "preview"
	// ProfileStable has features that are stable only.
	ProfileStable MeshProfile = "stable"
	// ProfileRemote is for a control plane outside of the cluster.
	ProfileRemote MeshProfile = "remote"
)

// MTLSMode is what connections workloads take.
//
// +kubebuilder:validation:Enum=Strict;Permissive;Disable
type MTLSMode string

const (
	// MTLSStrict takes mutual TLS only.
	MTLSStrict MTLSMode = "Strict"
	// MTLSPermissive takes mutual TLS and plain text.
	MTLSPermissive MTLSMode = "Permissive"
	// MTLSDisable takes plain text only.
	MTLSDisable MTLSMode = "Disable"
)

// MeshImage is where Istio's images are. It applies to all of them; values of a component go before it.
//
// +kubebuilder:validation:MinProperties=1
type MeshImage struct {
	// hub is the registry and folder of the images, like registry.example.com/istio. Unset for Istio's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9]([-a-zA-Z0-9._/:]*[a-zA-Z0-9])?$`
	Hub string `json:"hub,omitempty"`

	// tag of the images, for an exact version only. Unset for the version.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9_][-a-zA-Z0-9_.]*$`
	Tag string `json:"tag,omitempty"`

	// pullPolicy is Always, IfNotPresent or Never. Unset leaves it to Kubernetes.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`

	// pullSecrets are names of Secrets that images are pulled with. They are in the namespace of the control plane, and of
	// each gateway.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	PullSecrets []string `json:"pullSecrets,omitempty"`
}

// MeshMembers are the namespaces in the mesh.
//
// +kubebuilder:validation:XValidation:rule=`has(self.namespaceSelector.matchLabels) && self.namespaceSelector.matchLabels.size() > 0 || has(self.namespaceSelector.matchExpressions) && self.namespaceSelector.matchExpressions.size() > 0`,message=`namespaceSelector is empty, and would pick every namespace: name a label, or let all but some in by matchExpressions, like {key: mesh, operator: NotIn, values: ["off"]}`
// +kubebuilder:validation:XValidation:rule=`!has(self.namespaceSelector.matchLabels) || !self.namespaceSelector.matchLabels.exists(k, k in ['istio.io/rev', 'istio-injection', 'istio.io/dataplane-mode'])`,message=`namespaceSelector.matchLabels has istio.io/rev, istio-injection or istio.io/dataplane-mode, which the operator itself sets or removes on members: pick by a label of your own`,messageExpression=`self.namespaceSelector.matchLabels.map(k, k in ['istio.io/rev', 'istio-injection', 'istio.io/dataplane-mode'], 'namespaceSelector.matchLabels has ' + k + ', which the operator itself sets or removes on members: pick by a label of your own')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.namespaceSelector.matchExpressions) || !self.namespaceSelector.matchExpressions.exists(e, e.key in ['istio.io/rev', 'istio-injection', 'istio.io/dataplane-mode'])`,message=`namespaceSelector.matchExpressions has istio.io/rev, istio-injection or istio.io/dataplane-mode, which the operator itself sets or removes on members: pick by a label of your own`,messageExpression=`self.namespaceSelector.matchExpressions.map(e, e.key in ['istio.io/rev', 'istio-injection', 'istio.io/dataplane-mode'], 'namespaceSelector.matchExpressions has ' + e.key + ', which the operator itself sets or removes on members: pick by a label of your own')[0]`
type MeshMembers struct {
	// namespaceSelector picks the namespaces by their labels; it is not empty. Members get the label istio.io/rev of the
	// revision that serves them. System namespaces (kube-*, openshift, openshift-*), that of the control plane and the
	// operator's own are never members.
	// +required
	NamespaceSelector NamespaceSelector `json:"namespaceSelector"`

	// exclude are names of namespaces that are no members, though the selector picks them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Exclude []NamespaceName `json:"exclude,omitempty"`

	// restartWorkloads restarts Deployments, StatefulSets and DaemonSets of members whose proxies are missing or outdated,
	// within their PodDisruptionBudgets. Unset only counts them: an upgrade is complete when the namespaces have moved, and the
	// control plane before stays until somebody has restarted them.
	// +optional
	RestartWorkloads bool `json:"restartWorkloads,omitempty"`

	// batchSize is how many namespaces move to another revision at a time: a number from 1 to 1000, or a percentage of
	// members, like 10%, rounded up. The next batch waits until the workloads of this one are well.
	// +optional
	// +default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]?|100)%$`
	// +kubebuilder:validation:XValidation:rule=`type(self) in [string] || int(self) >= 1 && int(self) <= 1000`,message=`must be a number from 1 to 1000, or a percentage from 1% to 100%`
	BatchSize *intstr.IntOrString `json:"batchSize,omitempty"`
}

// MeshUpgrade is how a mesh gets to another version.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.maintenanceWindows) || self.maintenanceWindows.size() == 0 || !has(self.automatic) || self.automatic != 'None'`,message=`maintenanceWindows are for automatic upgrades, and automatic is None: set it to Patch or Minor, or remove the windows`
type MeshUpgrade struct {
	// strategy is Canary to install the new version beside the old one and move members over in batches, or InPlace to
	// replace the old version.
	// +optional
	// +default="Canary"
	Strategy UpgradeStrategy `json:"strategy,omitempty"`

	// automatic is Patch to follow the patches of the minor that runs, Minor to follow minors as well, from version on and by
	// steps that Istio supports, or None. Unset is Patch, and None for an exact version.
	// +optional
	Automatic AutomaticUpgrade `json:"automatic,omitempty"`

	// progressDeadline is how long an upgrade may go without coming nearer, be it that the control plane does not become
	// ready or that a batch of members does not become well; 1m to 24h.
	// +optional
	// +default="10m"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1m') && duration(self) <= duration('24h')`,message=`must be 1m to 24h`,messageExpression=`self + ' is not within 1m to 24h'`
	ProgressDeadline Duration `json:"progressDeadline,omitempty"`

	// onFailure is what follows when progressDeadline is over: Rollback to go back to the last good version, once, and then
	// wait for a person, or Hold to wait at once.
	// +optional
	// +default="Rollback"
	OnFailure UpgradeFailurePolicy `json:"onFailure,omitempty"`

	// maintenanceWindows are when automatic upgrades may begin; unset for any time. One that has begun goes on when its
	// window closes. A change of version by a person does not wait for a window, nor does a rollback.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MaintenanceWindows []MaintenanceWindow `json:"maintenanceWindows,omitempty"`

	// historyLimit is how many ControllerRevisions are kept for rollbackTo.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HistoryLimit int32 `json:"historyLimit,omitempty"`
}

// UpgradeStrategy is how the new version takes over.
//
// +kubebuilder:validation:Enum=Canary;InPlace
type UpgradeStrategy string

const (
	// UpgradeCanary installs the new version beside the old one.
	UpgradeCanary UpgradeStrategy = "Canary"
	// UpgradeInPlace replaces the old version.
	UpgradeInPlace UpgradeStrategy = "InPlace"
)

// AutomaticUpgrade is which new versions are followed.
//
// +kubebuilder:validation:Enum=None;Patch;Minor
type AutomaticUpgrade string

const (
	// AutomaticNone follows none.
	AutomaticNone AutomaticUpgrade = "None"
	// AutomaticPatch follows patches.
	AutomaticPatch AutomaticUpgrade = "Patch"
	// AutomaticMinor follows patches and minors.
	AutomaticMinor AutomaticUpgrade = "Minor"
)

// Automatic returns which new versions are followed, with the default of what is unset.
func (s *MeshSpec) Automatic() AutomaticUpgrade {
	switch {
	case s.Version.Exact():
		return AutomaticNone
	case s.Upgrade.Automatic == "":
		return AutomaticPatch
	default:
		return s.Upgrade.Automatic
	}
}

// UpgradeFailurePolicy is what follows an upgrade that makes no progress.
//
// +kubebuilder:validation:Enum=Rollback;Hold
type UpgradeFailurePolicy string

const (
	// OnFailureRollback goes back to the last good version, once.
	OnFailureRollback UpgradeFailurePolicy = "Rollback"
	// OnFailureHold leaves everything as it is.
	OnFailureHold UpgradeFailurePolicy = "Hold"
)

// MaintenanceWindow is a time of the week.
type MaintenanceWindow struct {
	// days on which the window opens: Mon, Tue, Wed, Thu, Fri, Sat, Sun. Unset for every day.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`

	// start is when the window opens, as HH:MM from 00:00 to 23:59.
	// +required
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')`,message=`not a time of day: write HH:MM from 00:00 to 23:59, like "22:00"`,messageExpression=`'"' + self + '" is not a time of day: write HH:MM from 00:00 to 23:59, like "22:00"'`
	Start string `json:"start"`

	// duration is how long the window is open, 15m to 24h; it may reach into the next day.
	// +required
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('15m') && duration(self) <= duration('24h')`,message=`must be 15m to 24h`,messageExpression=`self + ' is not within 15m to 24h'`
	Duration Duration `json:"duration"`

	// timeZone of days and start, by its name in the IANA database, like Europe/Zurich.
	// +optional
	// +default="UTC"
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}$') && self != 'Local'`,message=`not a time zone: write its name in the IANA database, like Europe/Zurich or UTC`,messageExpression=`'"' + self + '" is not a time zone: write its name in the IANA database, like Europe/Zurich or UTC'`
	TimeZone string `json:"timeZone,omitempty"`
}

// Weekday is a day of the week.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// MeshUninstall is what happens when a Mesh is deleted.
type MeshUninstall struct {
	// withMembers is Refuse to keep the control plane for as long as members run proxies of it, or Proceed to remove it,
	// after which these proxies go on with what they last knew until their certificates end.
	// +optional
	// +default="Refuse"
	WithMembers UninstallPolicy `json:"withMembers,omitempty"`
}

// UninstallPolicy is what happens to a control plane that is still used.
//
// +kubebuilder:validation:Enum=Refuse;Proceed
type UninstallPolicy string

const (
	// UninstallRefuse keeps it.
	UninstallRefuse UninstallPolicy = "Refuse"
	// UninstallProceed removes it.
	UninstallProceed UninstallPolicy = "Proceed"
)

// Mesh is one Istio control plane and its life: install, members, gateways, upgrades.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=meshes,categories=fairlead
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.size() <= 40`,message=`the name of a Mesh has at most 40 characters, since revisions are named after it`
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,message=`the name of a Mesh has letters, digits and - only, since revisions are named after it`
// +kubebuilder:validation:XValidation:rule=`!self.metadata.name.matches('-1-[0-9]+-[0-9]+$')`,message=`the name of a Mesh does not end like 1-31-0, since revisions of other meshes do`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.version`
// +kubebuilder:printcolumn:name="Running",type=string,JSONPath=`.status.runningVersion`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.members.namespaces`
// +kubebuilder:printcolumn:name="Outdated",type=integer,JSONPath=`.status.members.outdated`,priority=1
// +kubebuilder:printcolumn:name="Upgrade",type=string,JSONPath=`.status.upgrade.phase`,priority=1
// +kubebuilder:printcolumn:name="Problems",type=integer,JSONPath=`.status.problems.count`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +operator-sdk:csv:customresourcedefinitions:displayName="Mesh",resources={{Deployment,v1,},{DaemonSet,v1,},{Service,v1,},{ConfigMap,v1,},{ServiceAccount,v1,},{ClusterRole,v1,},{ClusterRoleBinding,v1,},{Role,v1,},{RoleBinding,v1,},{MutatingWebhookConfiguration,v1,},{ValidatingWebhookConfiguration,v1,},{CustomResourceDefinition,v1,},{PodDisruptionBudget,v1,},{HorizontalPodAutoscaler,v2,},{NetworkPolicy,v1,},{ControllerRevision,v1,},{Gateway,v1,},{VirtualService,v1,},{PeerAuthentication,v1,}}
type Mesh struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the mesh shall be.
	// +required
	Spec MeshSpec `json:"spec"`
	// status is what it is.
	// +optional
	Status MeshStatus `json:"status,omitempty"`
}

// MeshList is a list of Mesh.
//
// +kubebuilder:object:root=true
type MeshList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Mesh `json:"items"`
}
