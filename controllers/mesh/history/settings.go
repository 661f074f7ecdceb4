// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package history keeps what a mesh must not forget: how far its rollout is, and the releases that it had.
//
// Both are in the namespace of the control plane and owned by the Mesh, so that they go with it: the progress in one
// ConfigMap, each release in a ControllerRevision. A release is written before the progress that names it, so whatever
// the progress names can be rendered, also by an operator that comes up after a crash.
package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// Settings are what a release is rendered from, beside its version.
type Settings struct {
	Profile v1alpha1.MeshProfile `json:"profile,omitempty"`
	Values  *v1alpha1.Values     `json:"values,omitempty"`
	Image   *v1alpha1.MeshImage  `json:"image,omitempty"`
	// Release and ManagedBy are what the labels of istiod's pods said when the mesh was adopted; others would restart them.
	Release   string `json:"release,omitempty"`
	ManagedBy string `json:"managedBy,omitempty"`
}

// SettingsOf are the settings that a spec asks for.
func SettingsOf(spec *v1alpha1.MeshSpec) Settings {
	return Settings{Profile: spec.Profile, Values: spec.Values.DeepCopy(), Image: spec.Image.DeepCopy()}
}

// Source is a short name of the settings, which is the same for equal ones: the order of keys does not count, nor whether
// what is empty is written.
func (s Settings) Source() string {
	plain := struct {
		Profile v1alpha1.MeshProfile
		Values  any
		Image   *v1alpha1.MeshImage

		Release, ManagedBy string `json:",omitempty"`
	}{Profile: s.Profile, Values: map[string]any{}, Release: s.Release, ManagedBy: s.ManagedBy}
	if plain.Profile == "" {
		plain.Profile = v1alpha1.ProfileDefault
	}
	if s.Image != nil && !reflect.ValueOf(*s.Image).IsZero() {
		plain.Image = s.Image
	}
	if values, err := s.Values.Map(); err == nil {
		plain.Values = values
	} else {
		// They cannot be rendered, which is for others to say, and are only equal to themselves.
		plain.Values = string(s.Values.Raw)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		// All of it was read from JSON.
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// String names the settings and does not show them: values may hold what is not for a log.
func (s Settings) String() string { return "settings " + s.Source() }

// GoString is String.
func (s Settings) GoString() string { return s.String() }

// release is the data of a ControllerRevision.
type release struct {
	Version  string   `json:"version"`
	Source   string   `json:"source"`
	Settings Settings `json:"settings"`
}

// maxData is how large the data of a ControllerRevision may be, in bytes. The API server takes no object that etcd, with
// 1.5 MiB by default, would refuse, and there is more in it than the data.
const maxData = 1 << 20

// encode writes the data of a ControllerRevision. It is not escaped for HTML, which would make it up to six times as large.
func (r release) encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		// What it says may show the values.
		return nil, &Stuck{Message: "values are no JSON: correct spec.values"}
	}
	data := bytes.TrimSpace(out.Bytes())
	if len(data) > maxData {
		return nil, &Stuck{Message: tooLarge(len(data))}
	}
	return data, nil
}
