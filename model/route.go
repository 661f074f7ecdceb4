// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

// Route says what becomes of the requests that match it, or of a stream.
type Route struct {
	Name string `json:"name"`
	// Listeners are names of listeners; at least one.
	Listeners []string `json:"listeners"`
	// Hostnames are exact, or have a wildcard "*." in front that stands for one label or more; empty for any.
	// On a TLS listener they are server names.
	Hostnames []string `json:"hostnames,omitempty"`
	// Matches are alternatives; empty for every request. HTTP only.
	Matches []Match `json:"matches,omitempty"`

	// What follows is done before the action, in this order. HTTP only, but AllowCIDRs and DenyCIDRs.
	AllowCIDRs []string   `json:"allowCIDRs,omitempty"`
	DenyCIDRs  []string   `json:"denyCIDRs,omitempty"`
	RateLimit  *RateLimit `json:"rateLimit,omitempty"`
	CORS       *CORS      `json:"cors,omitempty"`
	BasicAuth  *BasicAuth `json:"basicAuth,omitempty"`

	RequestHeaders  HeaderChanges `json:"requestHeaders,omitzero"`
	ResponseHeaders HeaderChanges `json:"responseHeaders,omitzero"`
	Rewrite         *Rewrite      `json:"rewrite,omitempty"`
	Retries         *Retries      `json:"retries,omitempty"`
	Timeouts        RouteTimeouts `json:"timeouts,omitzero"`

	Action Action `json:"action"`
}

// Match is true for a request that meets all that is set.
type Match struct {
	Path    *PathMatch   `json:"path,omitempty"`
	Methods []string     `json:"methods,omitempty"`
	Headers []ValueMatch `json:"headers,omitempty"`
	Query   []ValueMatch `json:"query,omitempty"`
}

// PathType is how a path is compared.
type PathType string

// Ways to compare a path.
const (
	// PathExact is equal byte by byte.
	PathExact PathType = "Exact"
	// PathPrefix is equal element by element: /api covers /api and /api/x, and not /apiary.
	PathPrefix PathType = "Prefix"
	// PathRegex is a regular expression (PCRE) anywhere in the path.
	PathRegex PathType = "Regex"
)

// PathMatch compares the path, without the query.
type PathMatch struct {
	Type  PathType `json:"type"`
	Value string   `json:"value"`
}

// ValueType is how a header or query parameter is compared.
type ValueType string

// Ways to compare a value.
const (
	ValueExact   ValueType = "Exact"
	ValueRegex   ValueType = "Regex"
	ValuePresent ValueType = "Present"
)

// ValueMatch compares a header, whose name has no case, or a query parameter, whose name has.
type ValueMatch struct {
	Name  string    `json:"name"`
	Type  ValueType `json:"type"`
	Value string    `json:"value,omitempty"`
}

// RateKey is what requests are counted by.
type RateKey string

// Keys of rate limits.
const (
	RateBySource RateKey = "SourceIP"
	RateByHeader RateKey = "Header"
	RateByPath   RateKey = "Path"
)

// RateLimit answers 429 beyond so many requests in a sliding period, counted in all replicas together.
type RateLimit struct {
	Key RateKey `json:"key"`
	// Header is the name for the key Header; requests without it share one count.
	Header   string   `json:"header,omitempty"`
	Requests int32    `json:"requests"`
	Per      Duration `json:"per"`
}

// CORS answers preflight requests and marks responses for browsers.
type CORS struct {
	// AllowOrigins are exact origins, or "*" alone.
	AllowOrigins     []string `json:"allowOrigins"`
	AllowMethods     []string `json:"allowMethods,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`
	AllowCredentials bool     `json:"allowCredentials,omitempty"`
	MaxAge           Duration `json:"maxAge,omitempty"`
}

// BasicAuth asks for a user and password.
type BasicAuth struct {
	Realm string `json:"realm"`
	// Users is a Secret whose key auth holds lines of user:hash, in a form that crypt(3) knows.
	Users SecretRef `json:"users"`
}

// HeaderChanges change headers: first Remove, then Set, then Add.
type HeaderChanges struct {
	Set    []Header `json:"set,omitempty"`
	Add    []Header `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Header is a name and a literal value.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Rewrite changes what the member sees.
type Rewrite struct {
	Host string `json:"host,omitempty"`
	// Path replaces the whole path, PathPrefix the prefix that the route matched by; the query stays. At most one is set.
	Path       string  `json:"path,omitempty"`
	PathPrefix *string `json:"pathPrefix,omitempty"`
}

// RetryOn is a failure that a request may be repeated after.
type RetryOn string

// Failures to repeat after.
const (
	// RetryConnectFailure is that no connection came about; the request was not sent.
	RetryConnectFailure RetryOn = "ConnectFailure"
	// RetryEmptyResponse is that the connection ended before an answer.
	RetryEmptyResponse RetryOn = "EmptyResponse"
	// RetryTimeout is that no answer came in time.
	RetryTimeout RetryOn = "Timeout"
	// Retry5xx is an answer 500, 502, 503 or 504.
	Retry5xx RetryOn = "5xx"
)

// Retries repeat a request on another member.
type Retries struct {
	// Attempts is how often beyond the first; 0 for never.
	Attempts int32     `json:"attempts"`
	On       []RetryOn `json:"on,omitempty"`
}

// RouteTimeouts override those of the pool and the listener; 0 leaves them.
type RouteTimeouts struct {
	// Response is how long the member may be silent before and within its answer.
	Response Duration `json:"response,omitempty"`
	// Tunnel is how long an upgraded connection may be silent in both directions.
	Tunnel Duration `json:"tunnel,omitempty"`
}

// Action is exactly one of its fields.
type Action struct {
	// Pools share the requests by weight; one alone takes all.
	Pools    []WeightedPool `json:"pools,omitempty"`
	Redirect *Redirect      `json:"redirect,omitempty"`
	Respond  *Respond       `json:"respond,omitempty"`
}

// WeightedPool takes its weight's part of the sum of weights.
type WeightedPool struct {
	Pool string `json:"pool"`
	// Weight is 0 to 1,000,000.
	Weight int32 `json:"weight"`
}

// Redirect sends the client elsewhere. What is not set stays as in the request.
type Redirect struct {
	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`
	// Port 0 is the scheme's own if Scheme is set, else the request's.
	Port int32 `json:"port,omitempty"`
	// Path replaces the whole path, PathPrefix the prefix that the route matched by; the query stays. At most one is set.
	Path       string  `json:"path,omitempty"`
	PathPrefix *string `json:"pathPrefix,omitempty"`
	// Code is 301, 302, 303, 307 or 308.
	Code int32 `json:"code"`
}

// Respond answers in the load balancer's own name.
type Respond struct {
	// Status is 200 to 599.
	Status      int32    `json:"status"`
	ContentType string   `json:"contentType,omitempty"`
	Body        string   `json:"body,omitempty"`
	Headers     []Header `json:"headers,omitempty"`
}
