// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Route says what becomes of the requests that match it, or of a stream.
//
// +kubebuilder:validation:XValidation:rule=`has(self.action.pool) || has(self.action.pools) || !(has(self.requestHeaders) || has(self.rewrite) || has(self.retries) || has(self.timeouts))`,message=`requestHeaders, rewrite, retries and timeouts are for what a member gets: they need action pool or pools`,messageExpression=`(has(self.requestHeaders) ? 'requestHeaders' : has(self.rewrite) ? 'rewrite' : has(self.retries) ? 'retries' : 'timeouts') + ' of route ' + self.name + ' is for what a member gets: it needs action pool or pools'`
// +kubebuilder:validation:XValidation:rule=`!(has(self.rewrite) && has(self.rewrite.pathPrefix) || has(self.action.redirect) && has(self.action.redirect.pathPrefix)) || has(self.matches) && self.matches.size() > 0 && self.matches.all(m, has(m.path) && m.path.type == 'Prefix')`,message=`pathPrefix replaces the prefix that a route matched by: it needs matches, all by a path of type Prefix`,messageExpression=`'pathPrefix of route ' + self.name + ' replaces the prefix that it matched by: it needs matches, all by a path of type Prefix'`
// +kubebuilder:validation:XValidation:rule=`!has(self.action.redirect) || has(self.action.redirect.scheme) || has(self.action.redirect.host) || has(self.action.redirect.port) || !has(self.matches) || !self.matches.exists(m, has(m.path) && !(has(m.methods) || has(m.headers) || has(m.query)) && (has(self.action.redirect.path) ? m.path.type == 'Exact' && m.path.value == self.action.redirect.path : m.path.type == 'Prefix' && m.path.value == self.action.redirect.pathPrefix))`,message=`the redirect leads to the path that the route matches: set another path, or scheme, host or port`,messageExpression=`'the redirect of route ' + self.name + ' leads to the path that it matches: set another path, or scheme, host or port'`
type Route struct {
	// name of the route.
	// +required
	Name Name `json:"name"`

	// listeners are names of listeners. Those of HTTP and HTTPS take routes of requests, those of TCP and TLS routes of
	// streams. Unset is for all of HTTP and HTTPS that have no redirect.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Listeners []Name `json:"listeners,omitempty"`

	// hostnames that the route is for; unset for any. On a TLS listener they are server names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Hostnames []Hostname `json:"hostnames,omitempty"`

	// matches are alternatives, of which one must be true; unset for every request.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Matches []Match `json:"matches,omitempty"`

	// allowCIDRs, if any, are the only client addresses that are served; others get 403.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowCIDRs []CIDR `json:"allowCIDRs,omitempty"`

	// denyCIDRs are client addresses that get 403, even if allowed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	DenyCIDRs []CIDR `json:"denyCIDRs,omitempty"`

	// rateLimit answers 429 to who asks too often.
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty"`

	// cors answers what browsers ask before requests from other origins.
	// +optional
	CORS *CORS `json:"cors,omitempty"`

	// basicAuth asks for a user and password.
	// +optional
	BasicAuth *BasicAuth `json:"basicAuth,omitempty"`

	// requestHeaders change what the member gets.
	// +optional
	RequestHeaders *HeaderChanges `json:"requestHeaders,omitempty"`

	// responseHeaders change what the client gets.
	// +optional
	ResponseHeaders *HeaderChanges `json:"responseHeaders,omitempty"`

	// rewrite changes the host and path that the member sees.
	// +optional
	Rewrite *Rewrite `json:"rewrite,omitempty"`

	// retries repeat a request that failed on another member.
	// +optional
	Retries *Retries `json:"retries,omitempty"`

	// timeouts override those of the pool and listener.
	// +optional
	Timeouts *RouteTimeouts `json:"timeouts,omitempty"`

	// action is what is done: exactly one of pool, pools, redirect, respond and maintenance.
	// +required
	Action Action `json:"action"`
}

// Match is true for a request that meets all that is set.
//
// +kubebuilder:validation:MinProperties=1
type Match struct {
	// path compares the path, without the query.
	// +optional
	Path *PathMatch `json:"path,omitempty"`

	// methods, one of which the request must have.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=20
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	Methods []string `json:"methods,omitempty"`

	// headers that the request must have.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Headers []HeaderMatch `json:"headers,omitempty"`

	// query parameters that the request must have.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Query []QueryMatch `json:"query,omitempty"`
}

// PathMatch compares a path.
//
// +kubebuilder:validation:XValidation:rule=`self.type == 'Regex' || self.value.startsWith('/')`,message=`value must begin with /`,messageExpression=`'value "' + self.value + '" must begin with /'`
// +kubebuilder:validation:XValidation:rule=`self.type == 'Regex' || !self.value.matches('[ ?#]')`,message=`value is a path: it has no space, ? or #; query parameters go to query`,messageExpression=`'value "' + self.value + '" is no path: it has no space, ? or #; query parameters go to query'`
type PathMatch struct {
	// type is Exact, Prefix (by whole elements: /api covers /api/x and not /apiary) or Regex.
	// +optional
	// +default="Prefix"
	Type PathType `json:"type,omitempty"`

	// value is the path, or a regular expression (PCRE) that is found anywhere in the path.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]+$`
	Value string `json:"value"`
}

// PathType is how a path is compared.
//
// +kubebuilder:validation:Enum=Exact;Prefix;Regex
type PathType string

const (
	// PathExact is equal byte by byte.
	PathExact PathType = "Exact"
	// PathPrefix is equal element by element.
	PathPrefix PathType = "Prefix"
	// PathRegex is a regular expression.
	PathRegex PathType = "Regex"
)

// ValueMatchType is how a header or query parameter is compared.
//
// +kubebuilder:validation:Enum=Exact;Regex;Present
type ValueMatchType string

const (
	// ValueExact is equal.
	ValueExact ValueMatchType = "Exact"
	// ValueRegex is a regular expression.
	ValueRegex ValueMatchType = "Regex"
	// ValuePresent is there, with any value.
	ValuePresent ValueMatchType = "Present"
)

// HeaderName is the name of an HTTP header.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`
type HeaderName string

// HeaderMatch compares a header, whose name has no case.
//
// +kubebuilder:validation:XValidation:rule=`self.type == 'Present' ? !has(self.value) : has(self.value)`,message=`value is for types Exact and Regex, which need it`
type HeaderMatch struct {
	// name of the header.
	// +required
	Name HeaderName `json:"name"`
	// type is Exact, Regex or Present.
	// +optional
	// +default="Exact"
	Type ValueMatchType `json:"type,omitempty"`
	// value to compare with.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[^\x00-\x08\x0a-\x1f\x7f]*$`
	Value *string `json:"value,omitempty"`
}

// QueryMatch compares a query parameter, whose name has case.
//
// +kubebuilder:validation:XValidation:rule=`self.type == 'Present' ? !has(self.value) : has(self.value)`,message=`value is for types Exact and Regex, which need it`
type QueryMatch struct {
	// name of the parameter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._~-]+$`
	Name string `json:"name"`
	// type is Exact, Regex or Present.
	// +optional
	// +default="Exact"
	Type ValueMatchType `json:"type,omitempty"`
	// value to compare with, as it stands in the URL.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f]*$`
	Value *string `json:"value,omitempty"`
}

// RateLimit answers 429 beyond so many requests in a period.
//
// +kubebuilder:validation:XValidation:rule=`(self.key == 'Header') == has(self.header)`,message=`header is for key Header, which needs it`
type RateLimit struct {
	// key is what requests are counted by: SourceIP, Header or Path.
	// +optional
	// +default="SourceIP"
	Key RateKey `json:"key,omitempty"`

	// header is the name for key Header. Requests without it share one count.
	// +optional
	Header HeaderName `json:"header,omitempty"`

	// requests that are served in a period, by all replicas together.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	Requests int32 `json:"requests"`

	// per is the period, 1s to 24h; it slides.
	// +optional
	// +default="1s"
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('24h')`,message=`must be 1s to 24h`,messageExpression=`self + ' is not within 1s to 24h'`
	Per Duration `json:"per,omitempty"`
}

// RateKey is what requests are counted by.
//
// +kubebuilder:validation:Enum=SourceIP;Header;Path
type RateKey string

const (
	// RateBySource counts by the client's address.
	RateBySource RateKey = "SourceIP"
	// RateByHeader counts by the value of a header.
	RateByHeader RateKey = "Header"
	// RateByPath counts by the path.
	RateByPath RateKey = "Path"
)

// CORS answers what browsers ask before requests from other origins.
//
// +kubebuilder:validation:XValidation:rule=`!('*' in self.allowOrigins) || self.allowOrigins.size() == 1`,message=`allowOrigins is "*" alone or a list of origins`
// +kubebuilder:validation:XValidation:rule=`!has(self.allowCredentials) || !self.allowCredentials || !('*' in self.allowOrigins)`,message=`allowCredentials needs allowOrigins that are named: browsers refuse "*"`
type CORS struct {
	// allowOrigins are origins like https://shop.example.com, or "*" alone for any.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^([*]|[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+)$`
	AllowOrigins []string `json:"allowOrigins"`
	// allowMethods are methods beyond GET, HEAD and POST.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=20
	// +kubebuilder:validation:items:Pattern=`^[A-Z]+$`
	AllowMethods []string `json:"allowMethods,omitempty"`
	// allowHeaders are request headers that scripts may set.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	AllowHeaders []HeaderName `json:"allowHeaders,omitempty"`
	// exposeHeaders are response headers that scripts may read.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ExposeHeaders []HeaderName `json:"exposeHeaders,omitempty"`
	// allowCredentials lets browsers send cookies.
	// +optional
	AllowCredentials bool `json:"allowCredentials,omitempty"`
	// maxAge is how long a browser may remember the answer, 1s to 24h.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1s') && duration(self) <= duration('24h')`,message=`must be 1s to 24h`,messageExpression=`self + ' is not within 1s to 24h'`
	MaxAge Duration `json:"maxAge,omitempty"`
}

// BasicAuth asks for a user and password.
type BasicAuth struct {
	// realm that the browser shows.
	// +optional
	// +default="restricted"
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[ !#-\[\]-~]+$`
	Realm string `json:"realm,omitempty"`
	// users is a Secret whose key auth holds lines of user:hash, as htpasswd writes them (SHA-256, SHA-512, bcrypt where the image's C library knows it).
	// +required
	Users SecretReference `json:"users"`
}

// HeaderChanges change headers: first remove, then set, then add.
type HeaderChanges struct {
	// set replaces a header, or adds it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Set []Header `json:"set,omitempty"`
	// add adds a header beside those of its name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Add []Header `json:"add,omitempty"`
	// remove removes all headers of the name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule=`!self.exists(n, n.lowerAscii() in ['connection', 'content-length', 'transfer-encoding', 'host'])`,message=`connection, content-length, transfer-encoding and host belong to every message: they are not removed`,messageExpression=`self.filter(n, n.lowerAscii() in ['connection', 'content-length', 'transfer-encoding', 'host'])[0] + ' belongs to every message: it is not removed'`
	Remove []HeaderName `json:"remove,omitempty"`
}

// Header is a name and a literal value.
//
// +kubebuilder:validation:XValidation:rule=`!(self.name.lowerAscii() in ['connection', 'content-length', 'transfer-encoding'])`,message=`connection, content-length and transfer-encoding frame a message, and are the load balancer's own`,messageExpression=`self.name + ' frames a message, and is the load balancer\'s own'`
type Header struct {
	// name of the header.
	// +required
	Name HeaderName `json:"name"`
	// value of the header, taken literally.
	// +required
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[^\x00-\x08\x0a-\x1f\x7f]*$`
	Value string `json:"value"`
}

// Rewrite changes what the member sees.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule=`!(has(self.path) && has(self.pathPrefix))`,message=`path and pathPrefix exclude each other`
type Rewrite struct {
	// host replaces the Host header.
	// +optional
	Host PreciseHostname `json:"host,omitempty"`
	// path replaces the whole path; the query stays.
	// +optional
	Path Path `json:"path,omitempty"`
	// pathPrefix replaces the prefix that the route matched by; the query stays.
	// +optional
	PathPrefix *Path `json:"pathPrefix,omitempty"`
}

// PreciseHostname is a DNS name in lower case, without a wildcard.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
type PreciseHostname string

// Path is an absolute path of a URL, without query and fragment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^/[^\x00-\x20\x7f?#]*$`
type Path string

// Retries repeat a request that failed on another member.
type Retries struct {
	// attempts is how often beyond the first.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Attempts int32 `json:"attempts"`
	// retryOn are the failures to repeat after. All but ConnectFailure may repeat a request that a member has begun to work on.
	// +optional
	// +listType=set
	// +default=["ConnectFailure"]
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	RetryOn []RetryOn `json:"retryOn,omitempty"`
}

// RetryOn is a failure that a request may be repeated after.
//
// +kubebuilder:validation:Enum=ConnectFailure;EmptyResponse;Timeout;5xx
type RetryOn string

const (
	// RetryConnectFailure is that no connection came about.
	RetryConnectFailure RetryOn = "ConnectFailure"
	// RetryEmptyResponse is that the connection ended before an answer.
	RetryEmptyResponse RetryOn = "EmptyResponse"
	// RetryTimeout is that no answer came in time.
	RetryTimeout RetryOn = "Timeout"
	// Retry5xx is an answer 500, 502, 503 or 504.
	Retry5xx RetryOn = "5xx"
)

// RouteTimeouts override those of the pool and listener.
type RouteTimeouts struct {
	// response is how long the member may be silent before and within its answer.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Response Duration `json:"response,omitempty"`
	// tunnel is how long an upgraded connection may be silent in both directions.
	// +optional
	// +kubebuilder:validation:XValidation:rule=`duration(self) >= duration('1ms') && duration(self) <= duration('24h')`,message=`must be 1ms to 24h`,messageExpression=`self + ' is not within 1ms to 24h'`
	Tunnel Duration `json:"tunnel,omitempty"`
}
