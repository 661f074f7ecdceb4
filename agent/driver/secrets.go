// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
)

// secretsFile keeps the Secrets that were good, in memory like all files beside it, for the next run of the agent.
const secretsFile = "secrets.json"

// Secrets are the Secrets that a model names, each once.
func Secrets(cfg *model.Config) []model.SecretRef {
	var refs []model.SecretRef
	known := map[model.SecretRef]bool{}
	add := func(ref *model.SecretRef) {
		if ref != nil && !known[*ref] {
			known[*ref] = true
			refs = append(refs, *ref)
		}
	}
	for i := range cfg.Listeners {
		if tls := cfg.Listeners[i].TLS; tls != nil {
			for j := range tls.Certificates {
				add(&tls.Certificates[j])
			}
			if tls.ClientAuth != nil {
				add(&tls.ClientAuth.CA)
			}
		}
	}
	for i := range cfg.Pools {
		if tls := cfg.Pools[i].TLS; tls != nil {
			add(tls.CA)
			add(tls.Certificate)
		}
	}
	for i := range cfg.Routes {
		if auth := cfg.Routes[i].BasicAuth; auth != nil {
			add(&auth.Users)
		}
	}
	return refs
}

// lastGood holds what Secrets held when they could last be used. One that is deleted, may not be read any more or holds
// nonsense is reported, and what it held goes on to serve, as long as the model names it and the pod lives: a mistake
// in one Secret is no reason to close a listener.
type lastGood struct {
	path    string
	secrets haproxy.Secrets
}

// kept is a line of the file.
type kept struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Data      map[string][]byte `json:"data"`
}

func readLastGood(dir string) (*lastGood, error) {
	g := &lastGood{path: filepath.Join(dir, secretsFile), secrets: haproxy.Secrets{}}
	text, err := os.ReadFile(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	var all []kept
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	for _, one := range all {
		g.secrets[model.SecretRef{Namespace: one.Namespace, Name: one.Name}] = one.Data
	}
	return g, err
}

// stands gives the input with what was good in place of what is not, and the refusals of that.
func (g *lastGood) stands(input *Input, refusals []haproxy.Refusal) (*Input, []haproxy.Refusal) {
	out := *input
	out.Secrets = maps.Clone(input.Secrets)
	if out.Secrets == nil {
		out.Secrets = haproxy.Secrets{}
	}
	var told []haproxy.Refusal
	for _, refusal := range refusals {
		for ref, data := range g.secrets {
			if !about(refusal, ref) {
				continue
			}
			out.Secrets[ref] = data
			refusal = explained(refusal, input)
			refusal.Message += "; what it held before stays in force"
			told = append(told, refusal)
		}
	}
	if len(told) == 0 {
		return input, nil
	}
	return &out, told
}

// about reports whether a refusal is about a Secret. Build begins its message with the name.
func about(refusal haproxy.Refusal, ref model.SecretRef) bool {
	return strings.HasPrefix(refusal.Message, "secret "+ref.String()+":")
}

// explained says why a Secret is not there, where that is known.
func explained(refusal haproxy.Refusal, input *Input) haproxy.Refusal {
	for ref, why := range input.Unreadable {
		if about(refusal, ref) {
			refusal.Reason, refusal.Message = "SecretUnreadable", "secret "+ref.String()+": "+why
		}
	}
	return refusal
}

// keep remembers the Secrets of an input that are good.
func (g *lastGood) keep(input *Input, refusals []haproxy.Refusal) error {
	next := haproxy.Secrets{}
	for _, ref := range Secrets(input.Model) {
		bad := false
		for _, refusal := range refusals {
			bad = bad || about(refusal, ref)
		}
		if data, is := input.Secrets[ref]; is && !bad {
			next[ref] = data
		}
	}
	if maps.EqualFunc(g.secrets, next, func(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }) {
		return nil
	}
	g.secrets = next
	var all []kept
	for ref, data := range next {
		all = append(all, kept{ref.Namespace, ref.Name, data})
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeFile(g.path, text)
}
