// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	mesh "istio.io/api/mesh/v1alpha1"
)

// checkMeshConfig holds a mesh configuration to Istio's API.
func checkMeshConfig(path string, value any) []Problem {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	c := checker{}
	c.message(path, (&mesh.MeshConfig{}).ProtoReflect().Descriptor(), fields)
	raw, err := json.Marshal(fields)
	if err != nil {
		c.report(path, "%v", err)
		return c.problems
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, &mesh.MeshConfig{}); err != nil {
		c.report(path, "%s", plain(err))
	}
	return c.problems
}

var position = regexp.MustCompile(`^proto:\s*(\(line [0-9]+:[0-9]+\):\s*)?`)

// plain takes out of an error what differs from build to build, and the position in a text that nobody sees.
func plain(err error) string {
	return position.ReplaceAllString(strings.ReplaceAll(err.Error(), "\u00a0", " "), "")
}

// message looks for names that a message of the API does not have.
func (c *checker) message(path string, of protoreflect.MessageDescriptor, values map[string]any) {
	if strings.HasPrefix(string(of.FullName()), "google.protobuf.") {
		return
	}
	for key, value := range values {
		at := join(path, key)
		if why, ok := owned[at]; ok {
			c.report(at, "belongs to the operator: %s", why)
			continue
		}
		field := of.Fields().ByJSONName(key)
		if field == nil {
			field = of.Fields().ByName(protoreflect.Name(key))
		}
		if field == nil {
			c.report(at, "unknown%s", nearest(key, jsonNames(of)))
			continue
		}
		c.field(at, field, value)
	}
}

func (c *checker) field(path string, field protoreflect.FieldDescriptor, value any) {
	message := field.Message()
	switch v := value.(type) {
	case map[string]any:
		if field.IsMap() {
			message = field.MapValue().Message()
			for key, element := range v {
				if nested, ok := element.(map[string]any); ok && message != nil {
					c.message(join(path, key), message, nested)
				}
			}
		} else if message != nil {
			c.message(path, message, v)
		}
	case []any:
		for i, element := range v {
			if nested, ok := element.(map[string]any); ok && message != nil {
				c.message(fmt.Sprintf("%s[%d]", path, i), message, nested)
			}
		}
	}
}

func jsonNames(of protoreflect.MessageDescriptor) []string {
	out := make([]string, of.Fields().Len())
	for i := range out {
		out[i] = of.Fields().Get(i).JSONName()
	}
	return out
}
