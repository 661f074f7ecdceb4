// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// Label is on every object of a mesh and names it.
const Label = "fleet.fairlead.io/mesh"

// Keys of the ConfigMap.
const (
	keyProgress = "progress"
	keyReleases = "releases"
)

// The kinds, as a person reads them.
const (
	configMap          = "ConfigMap"
	controllerRevision = "ControllerRevision"
)

// ledger is what is known of releases beside their content, which cannot change.
type ledger struct {
	// Last is the highest number that was given, so that none is given twice.
	Last  int64          `json:"last"`
	Marks map[int64]mark `json:"marks,omitempty"`
}

// mark is what became of a release.
type mark struct {
	Since  time.Time `json:"since,omitzero"`
	Failed bool      `json:"failed,omitempty"`
}

// objectName is the name of the ConfigMap, and what the names of ControllerRevisions begin with. A mesh that is made anew
// under the name of one that is gone has other names: what that left behind may still be there.
func objectName(mesh *v1alpha1.Mesh) string {
	sum := sha256.Sum256([]byte(mesh.UID))
	return "mesh-" + mesh.Name + "-" + hex.EncodeToString(sum[:4])
}

func revisionName(mesh *v1alpha1.Mesh, number int64) string {
	return objectName(mesh) + "-" + strconv.FormatInt(number, 10)
}

// numberOf is the number in the name of a ControllerRevision, which nobody can edit; 0 if it has none.
func numberOf(mesh *v1alpha1.Mesh, name string) int64 {
	text, ok := strings.CutPrefix(name, objectName(mesh)+"-")
	number, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || number < 1 || name != revisionName(mesh, number) {
		return 0
	}
	return number
}

// meta is that of a new object. The owner is not blocked by it: to ask for that takes a right that is not needed.
func meta(mesh *v1alpha1.Mesh, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: string(mesh.Spec.Namespace), Name: name, Labels: map[string]string{Label: mesh.Name},
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "Mesh", Name: mesh.Name, UID: mesh.UID, Controller: new(true),
		}},
	}
}

func newRevision(mesh *v1alpha1.Mesh, number int64, data []byte) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: meta(mesh, revisionName(mesh, number)), Revision: number, Data: runtime.RawExtension{Raw: data},
	}
}

// readRevision gives the entry of a ControllerRevision, or false for one that is not of this mesh.
func readRevision(mesh *v1alpha1.Mesh, object *appsv1.ControllerRevision) (Entry, bool, error) {
	number := numberOf(mesh, object.Name)
	if number == 0 || !metav1.IsControlledBy(object, mesh) {
		return Entry{}, false, nil
	}
	var r release
	if err := decode(object.Data.Raw, &r); err != nil || r.Version == "" || r.Source == "" {
		return Entry{}, false, unreadable(controllerRevision, object.Namespace, object.Name, "its data", "takes the release from the history")
	}
	return Entry{Number: number, Version: r.Version, Source: r.Source, Settings: r.Settings, Since: object.CreationTimestamp.Time}, true, nil
}

// readConfigMap gives what a ConfigMap holds.
func readConfigMap(object *corev1.ConfigMap) (progress rollout.Progress, l ledger, err error) {
	wrong := func(key string) error {
		return unreadable(configMap, object.Namespace, object.Name, "its key "+key,
			"makes the mesh go on from the control planes that run, without what failed before")
	}
	if err := decode([]byte(object.Data[keyProgress]), &progress); err != nil || !plausible(&progress) {
		return rollout.Progress{}, ledger{}, wrong(keyProgress)
	}
	if err := decode([]byte(object.Data[keyReleases]), &l); err != nil {
		return rollout.Progress{}, ledger{}, wrong(keyReleases)
	}
	return progress, l, nil
}

// plausible is that a progress is one: what is empty would be taken for a mesh that was never installed.
func plausible(p *rollout.Progress) bool {
	phases := []rollout.Phase{rollout.Idle, rollout.Installing, rollout.Moving, rollout.RollingBack, rollout.Held}
	if p.Phase == "" {
		return p.Target.IsZero() && p.Good.IsZero() && !reflect.ValueOf(*p).IsZero()
	}
	return slices.Contains(phases, p.Phase) && !p.Target.IsZero()
}

// decode reads JSON that has to be whole and known. Its errors may show what was read.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// encode writes JSON for people, too.
func encode(value any) (string, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	return string(text), nil
}
