// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Action is exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.pool) ? 1 : 0) + (has(self.pools) ? 1 : 0) + (has(self.redirect) ? 1 : 0) + (has(self.respond) ? 1 : 0) + (has(self.maintenance) ? 1 : 0) == 1`,message=`an action has exactly one of pool, pools, redirect, respond and maintenance`
// +kubebuilder:validation:XValidation:rule=`!has(self.pools) || self.pools.exists(p, p.weight > 0)`,message=`all weights of pools are 0: nothing would be served; give one of them a weight`
type Action struct {
	// pool takes the requests.
	// +optional
	Pool Name `json:"pool,omitempty"`
	// pools share the requests by weight.
	// +optional
	// +listType=map
	// +listMapKey=pool
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Pools []WeightedPool `json:"pools,omitempty"`
	// redirect sends the client elsewhere.
	// +optional
	Redirect *Redirect `json:"redirect,omitempty"`
	// respond answers in the load balancer's own name.
	// +optional
	Respond *Respond `json:"respond,omitempty"`
	// maintenance answers 503 with a page, while the pool rests.
	// +optional
	Maintenance *Maintenance `json:"maintenance,omitempty"`
}

// WeightedPool takes its weight's part of the sum of weights.
type WeightedPool struct {
	// pool is the name of a pool.
	// +required
	Pool Name `json:"pool"`
	// weight of the pool; 0 gets nothing.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Weight *int32 `json:"weight,omitempty"`
}

// Redirect sends the client elsewhere. What is not set stays as in the request.
//
// +kubebuilder:validation:XValidation:rule=`!(has(self.path) && has(self.pathPrefix))`,message=`path and pathPrefix exclude each other`
// +kubebuilder:validation:XValidation:rule=`has(self.scheme) || has(self.host) || has(self.port) || has(self.path) || has(self.pathPrefix)`,message=`a redirect needs one of scheme, host, port, path and pathPrefix: without them it would lead to itself`
type Redirect struct {
	// scheme is http or https.
	// +optional
	// +kubebuilder:validation:Enum=http;https
	Scheme string `json:"scheme,omitempty"`
	// host of the new URL.
	// +optional
	Host PreciseHostname `json:"host,omitempty"`
	// port of the new URL. Unset is the scheme's own if scheme is set, else the request's.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// path replaces the whole path; the query stays.
	// +optional
	Path Path `json:"path,omitempty"`
	// pathPrefix replaces the prefix that the route matched by; the query stays.
	// +optional
	PathPrefix *Path `json:"pathPrefix,omitempty"`
	// code is 301, 302, 303, 307 or 308.
	// +optional
	// +default=302
	// +kubebuilder:validation:Enum=301;302;303;307;308
	Code int32 `json:"code,omitempty"`
}

// Respond answers in the load balancer's own name.
//
// +kubebuilder:validation:XValidation:rule=`!(self.status in [204, 205, 304]) || !(has(self.body) || has(self.contentType))`,message=`an answer of status 204, 205 or 304 has no body`
type Respond struct {
	// status is 200 to 599.
	// +optional
	// +default=200
	// +kubebuilder:validation:Minimum=200
	// +kubebuilder:validation:Maximum=599
	Status int32 `json:"status,omitempty"`
	// contentType of the body; text/plain if there is a body and it is unset.
	// +optional
	ContentType ContentType `json:"contentType,omitempty"`
	// body of the answer, at most 16 Ki characters, taken literally; of control characters only tabs and line breaks.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	// +kubebuilder:validation:Pattern=`^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$`
	Body string `json:"body,omitempty"`
	// headers of the answer.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Headers []Header `json:"headers,omitempty"`
}

// ContentType is a media type, like text/html; charset=utf-8.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9.+*-]+/[A-Za-z0-9.+*-]+(; ?[A-Za-z0-9-]+=[A-Za-z0-9._-]+)*$`
type ContentType string

// Maintenance is the page that is shown while a pool rests.
type Maintenance struct {
	// contentType of the body.
	// +optional
	// +default="text/html; charset=utf-8"
	ContentType ContentType `json:"contentType,omitempty"`
	// body of the page, at most 16 Ki characters, taken literally; of control characters only tabs and line breaks. Unset for a short sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	// +kubebuilder:validation:Pattern=`^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$`
	Body string `json:"body,omitempty"`
	// retryAfter tells clients when to come back.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('480h')`,message=`must be 1s to 480h`,messageExpression=`self + ' is not within 1s to 480h'`
	RetryAfter Duration `json:"retryAfter,omitempty"`
}
