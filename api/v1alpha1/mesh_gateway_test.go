// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"
)

// gateway is a spec of one gateway that has a name, a namespace and something else.
func gateway(text string) string { return `gateways: [{name: ingress, namespace: edge` + text + `}]` }

const (
	gatewayPath = `spec.gateways[0]`
	partOfIt    = ` has the name of a part of the control plane, in the same namespace istio-system: give it another name or namespace`
	needsHosts  = ` of gateway ingress needs hosts: name them, or "*" for any`
	sameRoute   = ` of the same host: only one of them can serve it`
	notCovered  = `, which hosts of gateway ingress does not cover: add it there, or correct it`
)

var meshGatewayCases = map[string]meshCase{
	"everything": {
		spec: gateway(`, hosts: [shop.example.com, "*.example.org"], ports: [{port: 80, protocol: HTTP}, {port: 443, protocol: HTTPS}], tls: {secretName: a.b, httpsRedirect: true},
  routes: [{hosts: [shop.example.com, a.b.example.org], pathPrefix: /api, service: {name: api, namespace: shop, port: 8080}}, {service: {name: web}}],
  service: {type: NodePort, externalTrafficPolicy: Local, annotations: {a: b}}, scaling: {minReplicas: 2, maxReplicas: 9, targetCPUUtilization: 60}`),
	},
	"nothing":                         {spec: gateway(``)},
	"without a name":                  {spec: `gateways: [{namespace: a}]`, want: []string{`spec.gateways[0].name: Required value`}},
	"without a namespace":             {spec: `gateways: [{name: a}]`, want: []string{`spec.gateways[0].namespace: Required value`}},
	"two of one name":                 {spec: `gateways: [{name: a, namespace: x}, {name: b, namespace: x}, {name: a, namespace: x}]`, want: []string{`spec.gateways[2]: Duplicate value: {"name":"a","namespace":"x"}`}},
	"two of one name, elsewhere":      {spec: `gateways: [{name: a, namespace: x}, {name: a, namespace: v}]`},
	"two of the same hosts":           {spec: `gateways: [{name: a, namespace: x, hosts: [h]}, {name: b, namespace: x, hosts: [h]}]`},
	"a name that begins with a digit": {spec: `gateways: [{name: 1a, namespace: x}]`, want: []string{gatewayPath + `.name: ` + gatewayPath + `.name in body should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'`}},
	"in kube-system": {
		spec: `gateways: [{name: a, namespace: kube-system}]`, want: []string{gatewayPath + `: namespace kube-system is one where Istio injects no proxies: use another`},
	},
	"istiod":                    {spec: `gateways: [{name: a, namespace: istio-system}, {name: istiod, namespace: istio-system}]`, want: []string{`spec: gateway istiod` + partOfIt}},
	"istiod of a revision":      {spec: `gateways: [{name: istiod-default-1-31-0, namespace: istio-system}]`, want: []string{`spec: gateway istiod-default-1-31-0` + partOfIt}},
	"ztunnel":                   {spec: `gateways: [{name: ztunnel, namespace: istio-system}]`, want: []string{`spec: gateway ztunnel` + partOfIt}},
	"istiod elsewhere":          {spec: `gateways: [{name: istiod, namespace: edge}]`},
	"istioctl's gateway":        {spec: `gateways: [{name: istio-ingressgateway, namespace: istio-system}]`},
	"any host":                  {spec: gateway(`, hosts: ["*"], tls: {secretName: a}`)},
	"no host":                   {spec: gateway(`, hosts: []`), want: []string{gatewayPath + `.hosts: 0: ` + gatewayPath + `.hosts in body should have at least 1 items`}},
	"a host twice":              {spec: gateway(`, hosts: [a.b, a.b]`), want: []string{gatewayPath + `.hosts[1]: Duplicate value: "a.b"`}},
	"tls without hosts":         {spec: gateway(`, tls: {secretName: a}`), want: []string{gatewayPath + `: tls` + needsHosts}},
	"routes without hosts":      {spec: gateway(`, routes: [{service: {name: a}}]`), want: []string{gatewayPath + `: routes` + needsHosts}},
	"tls without a Secret":      {spec: gateway(`, hosts: [a.b], tls: {}`), want: []string{gatewayPath + `.tls.secretName: Required value`}},
	"tls without a port":        {spec: gateway(`, hosts: [a.b], tls: {secretName: a}, ports: [{port: 80, protocol: HTTP}]`), want: []string{gatewayPath + `: tls needs a port of protocol HTTPS: add {port: 443, protocol: HTTPS} to ports, or remove tls`}},
	"a port without tls":        {spec: gateway(`, hosts: [a.b], ports: [{port: 443, protocol: HTTPS}]`), want: []string{gatewayPath + `: a port of protocol HTTPS needs tls.secretName: name the Secret with the certificate, or make the protocol HTTP`}},
	"a port for others":         {spec: gateway(`, ports: [{port: 443, protocol: HTTPS}]`)},
	"a redirect from nowhere":   {spec: gateway(`, hosts: [a.b], tls: {secretName: a, httpsRedirect: true}, ports: [{port: 443, protocol: HTTPS}]`), want: []string{gatewayPath + `: tls.httpsRedirect answers on ports of protocol HTTP, and there are none: add one to ports, or remove httpsRedirect`}},
	"no redirect from nowhere":  {spec: gateway(`, hosts: [a.b], tls: {secretName: a, httpsRedirect: false}, ports: [{port: 443, protocol: HTTPS}]`)},
	"a redirect from 80":        {spec: gateway(`, hosts: [a.b], tls: {secretName: a, httpsRedirect: true}`)},
	"a port twice":              {spec: gateway(`, hosts: [a.b], ports: [{port: 80, protocol: HTTP}, {port: 80, protocol: HTTP}]`), want: []string{gatewayPath + `.ports[1]: Duplicate value: {"port":80}`}},
	"a port of Istio":           {spec: gateway(`, ports: [{port: 14999, protocol: HTTP}, {port: 15021, protocol: HTTP}, {port: 15100, protocol: HTTP}]`), want: []string{gatewayPath + `.ports[1]: port is one of 15000 to 15099, which are Istio's own: use another`}},
	"a port of streams":         {spec: gateway(`, ports: [{port: 5432, protocol: TCP}]`), want: []string{gatewayPath + `.ports[0].protocol: Unsupported value: "TCP": supported values: "HTTP", "HTTPS"`}},
	"a route under a wildcard":  {spec: gateway(`, hosts: ["*.example.com"], routes: [{hosts: [a.b.example.com, "*.c.example.com"], service: {name: a}}]`)},
	"a route under any":         {spec: gateway(`, hosts: ["*"], routes: [{hosts: [a.b, "*"], service: {name: a}}]`)},
	"a route of the wildcard":   {spec: gateway(`, hosts: ["*.example.com"], routes: [{hosts: ["*.example.com"], service: {name: a}}]`)},
	"a route of another host":   {spec: gateway(`, hosts: [a.b], routes: [{hosts: [a.b], service: {name: a}}, {hosts: [a.b, c.d], pathPrefix: /x, service: {name: a}}]`), want: []string{gatewayPath + `: a route has host c.d` + notCovered}},
	"a route above a wildcard":  {spec: gateway(`, hosts: ["*.example.com"], routes: [{hosts: [example.com], service: {name: a}}]`), want: []string{gatewayPath + `: a route has host example.com` + notCovered}},
	"a route of any":            {spec: gateway(`, hosts: ["*.example.com"], routes: [{hosts: ["*"], service: {name: a}}]`), want: []string{gatewayPath + `: a route has host *` + notCovered}},
	"a route beside a wildcard": {spec: gateway(`, hosts: ["*.example.com"], routes: [{hosts: [badexample.com], service: {name: a}}]`), want: []string{gatewayPath + `: a route has host badexample.com` + notCovered}},
	"a route of no hosts":       {spec: gateway(`, hosts: [a.b], routes: [{hosts: [], service: {name: a}}]`), want: []string{gatewayPath + `.routes[0].hosts: 0: ` + gatewayPath + `.routes[0].hosts in body should have at least 1 items`}},
	"two routes of all hosts":   {spec: gateway(`, hosts: [a.b], routes: [{service: {name: a}}, {pathPrefix: /x, service: {name: a}}, {pathPrefix: /, service: {name: b}}]`), want: []string{gatewayPath + `: two routes of gateway ingress are for pathPrefix /` + sameRoute}},
	"two routes of one host":    {spec: gateway(`, hosts: [a.b, c.d], routes: [{hosts: [a.b, c.d], pathPrefix: /x, service: {name: a}}, {hosts: [c.d], pathPrefix: /x, service: {name: b}}]`), want: []string{gatewayPath + `: two routes of gateway ingress are for pathPrefix /x` + sameRoute}},
	"two routes of two hosts":   {spec: gateway(`, hosts: [a.b, c.d], routes: [{hosts: [a.b], service: {name: a}}, {hosts: [c.d], service: {name: b}}, {service: {name: b}}]`)},
	"a route to nothing":        {spec: gateway(`, hosts: [a.b], routes: [{pathPrefix: /x}]`), want: []string{gatewayPath + `.routes[0].service: Required value`}},
	"a route of no path":        {spec: gateway(`, hosts: [a.b], routes: [{pathPrefix: x, service: {name: a}}]`), want: []string{gatewayPath + `.routes[0].pathPrefix: ` + gatewayPath + `.routes[0].pathPrefix in body should match '^/[^\x00-\x20\x7f?#]*$'`}},
	"min above max":             {spec: gateway(`, scaling: {minReplicas: 4, maxReplicas: 3}`), want: []string{gatewayPath + `.scaling: minReplicas, which is 2 if unset, is greater than maxReplicas`}},
	"a policy of a cluster IP":  {spec: gateway(`, service: {type: ClusterIP, externalTrafficPolicy: Local}`), want: []string{gatewayPath + `.service: externalTrafficPolicy is for types LoadBalancer and NodePort`}},
}

func TestMeshGatewayRules(t *testing.T) { testMeshRules(t, meshGatewayCases) }
