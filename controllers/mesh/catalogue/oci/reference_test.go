// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for name, test := range map[string]struct{ text, want, fails string }{
		"digest":          {text: "oci://registry.example.com/fairlead/istio-charts@sha256:" + hex},
		"port":            {text: "oci://127.0.0.1:5000/charts@sha256:" + hex},
		"tag and digest":  {text: "oci://registry.example.com/charts:1.33@sha256:" + hex, want: "oci://registry.example.com/charts@sha256:" + hex},
		"tag":             {text: "oci://registry.example.com/charts:1.33", fails: "the reference has no digest: append @sha256:..."},
		"nothing":         {text: "oci://registry.example.com/charts", fails: "the reference has no digest"},
		"no scheme":       {text: "registry.example.com/charts@sha256:" + hex, fails: "a reference begins with oci://"},
		"short digest":    {text: "oci://registry.example.com/charts@sha256:0a", fails: "a reference is like oci://"},
		"other algorithm": {text: "oci://registry.example.com/charts@md5:" + hex, fails: "a reference is like oci://"},
		"no repository":   {text: "oci://registry.example.com@sha256:" + hex, fails: "a reference has a host"},
		"capitals":        {text: "oci://registry.example.com/Charts@sha256:" + hex, fails: "a reference is like oci://"},
		"user":            {text: "oci://me:hunter2@registry.example.com/charts@sha256:" + hex, fails: "a reference has a host after oci://, without a user"},
		"odd user":        {text: "oci://me:hunter2/x@registry.example.com/charts@sha256:" + hex, fails: "a reference is like oci://"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseReference(test.text)
			if test.fails != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.fails) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v, want %s", err, test.fails)
				}
				return
			}
			want := test.want
			if want == "" {
				want = test.text
			}
			if err != nil || got.String() != want {
				t.Errorf("%s, %v, want %s", got, err, want)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1": true, "127.8.0.1:80": true, "[::1]:5000": true, "[::1]": true, "::1": true,
		"registry.example.com": false, "10.0.0.1:5000": false, "localhost.example.com": false, "[fe80::1]:80": false, "": false,
	} {
		if got := loopback(host); got != want {
			t.Errorf("loopback(%q) is %v", host, got)
		}
	}
}
