// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/json"
)

// Values are values of Istio's charts, as helm install --values takes them, of the chart istiod and, where the profile has
// them, cni, ztunnel and base. The operator checks every key against the charts of the version, and meshConfig against
// Istio's API; keys that are none are in status.problems, and nothing is installed until they are gone. What the Mesh has
// fields for is refused here, and so is what the operator has to decide.
//
// +kubebuilder:object:generate=false
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule=`!has(self.profile)`,message=`profile is that of the Mesh: remove it here, and write spec.profile`
// +kubebuilder:validation:XValidation:rule=`!has(self.revision)`,message=`revision is named by the operator, after the Mesh and its version: remove it`
// +kubebuilder:validation:XValidation:rule=`!has(self.revisionTags)`,message=`revisionTags are set by the operator, when members move: remove them, and let spec.members pick namespaces`
// +kubebuilder:validation:XValidation:rule=`!has(self.defaultRevision)`,message=`defaultRevision is set by the operator, when a new revision takes over: remove it`
// +kubebuilder:validation:XValidation:rule=`!has(self._internal_defaults_do_not_set)`,message=`_internal_defaults_do_not_set is what the charts keep their defaults in: write its keys directly under values`
// +kubebuilder:validation:XValidation:rule=`!has(self.global) || !has(self.global.istioNamespace)`,message=`global.istioNamespace is the namespace of the Mesh: remove it here, and write spec.namespace`
// +kubebuilder:validation:XValidation:rule=`!has(self.global) || !has(self.global.profile)`,message=`global.profile is that of the Mesh: remove it here, and write spec.profile`
type Values struct {
	knownValues `json:",inline"`

	// Raw is the object in JSON, as it was written. Its numbers and their order are kept.
	Raw []byte `json:"-"`
}

// knownValues are the keys that the rules speak of: CEL sees only what the schema has. They are in the schema alone, and
// never set in Go.
//
// +kubebuilder:validation:MaxProperties=128
type knownValues struct {
	// profile is refused: write spec.profile.
	// +optional
	Profile string `json:"profile,omitempty"`
	// revision is refused: the operator names it.
	// +optional
	Revision string `json:"revision,omitempty"`
	// revisionTags is refused: the operator sets them.
	// +optional
	// +listType=atomic
	RevisionTags []string `json:"revisionTags,omitempty"`
	// defaultRevision is refused: the operator sets it.
	// +optional
	DefaultRevision string `json:"defaultRevision,omitempty"`
	// _internal_defaults_do_not_set is refused: write its keys directly.
	// +optional
	InternalDefaults *FreeValues `json:"_internal_defaults_do_not_set,omitempty"`
	// global are values that all charts share.
	// +optional
	Global *GlobalValues `json:"global,omitempty"`
}

// GlobalValues are values that all charts share; the keys that the rules of Mesh speak of. In Go, Values.Map has them.
//
// +kubebuilder:object:generate=false
// +kubebuilder:pruning:PreserveUnknownFields
type GlobalValues struct {
	// istioNamespace is refused: write spec.namespace.
	// +optional
	IstioNamespace string `json:"istioNamespace,omitempty"`
	// profile is refused: write spec.profile.
	// +optional
	Profile string `json:"profile,omitempty"`
	// hub of images, where image.hub is unset.
	// +optional
	Hub string `json:"hub,omitempty"`
	// tag of images, where image.tag is unset; for an exact version only.
	// +optional
	// +kubebuilder:validation:XIntOrString
	Tag *intstr.IntOrString `json:"tag,omitempty"`
	// imagePullPolicy, where image.pullPolicy is unset.
	// +optional
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
	// imagePullSecrets, where image.pullSecrets is unset.
	// +optional
	// +listType=atomic
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
}

// FreeValues are values of which no rule speaks.
//
// +kubebuilder:object:generate=false
// +kubebuilder:pruning:PreserveUnknownFields
type FreeValues struct{}

// NewValues returns the values of a map. The error is of something in it that JSON does not have.
func NewValues(values map[string]any) (*Values, error) {
	raw, err := stdjson.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write values as JSON: %w", err)
	}
	return &Values{Raw: raw}, nil
}

// Map returns the values as a map of its own, with whole numbers as int64 and others as float64; empty for no values.
func (v *Values) Map() (map[string]any, error) {
	out := map[string]any{}
	if v == nil || len(v.Raw) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(v.Raw, &out); err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

// DeepCopyInto copies the values.
func (v *Values) DeepCopyInto(out *Values) { *out = Values{Raw: slices.Clone(v.Raw)} }

// DeepCopy returns a copy of the values, which is nil for nil.
func (v *Values) DeepCopy() *Values {
	if v == nil {
		return nil
	}
	return &Values{Raw: slices.Clone(v.Raw)}
}

// MarshalJSON writes the values as they were read.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v.Raw) == 0 {
		return []byte("{}"), nil
	}
	return v.Raw, nil
}

// UnmarshalJSON takes an object.
func (v *Values) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		return fmt.Errorf("values must be an object, and not %.20s", raw)
	}
	v.Raw = slices.Clone(raw)
	return nil
}
