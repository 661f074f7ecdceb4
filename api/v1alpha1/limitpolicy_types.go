// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The CEL rules below refuse everything that the API server would refuse in the LimitRange and the ResourceQuota, as
// validation.ValidateLimitRange and ValidateResourceQuotaSpec of k8s.io/kubernetes do after defaulting. For their author:
//
//   - No amount reaches isQuantity or quantity unless it is digits and points, then letters. An exponent of nine
//     digits ("1e-999999999") would keep the parser, and with it the API server, busy for hours.
//   - A messageExpression repeats the condition of its rule to find the key that it names. The message stands in where a
//     key makes the expression's text too long or breaks its line.
//   - The ratio is compared as the API server does, dividing thousandths as floating-point numbers, for it decides by the
//     last bit. Thousandths are exact for whole numbers and below 100G; a trillionth is the margin for what is neither.
//   - Functions are those of Kubernetes 1.29. The estimated cost of all rules is 1.6 million of 100 million.

// Amount is a Kubernetes quantity written as a string, like "2" or "512Mi": a number that is not negative, with at most
// three decimals, and a suffix k M G T P E Ki Mi Gi Ti Pi Ei or none; or a whole number of thousandths, like "100m".
// Exponents, as in "1e3", are refused. The quotes matter: cpu: 2 without them is an integer in YAML, and is refused with
// "spec.limits[0].max.cpu in body must be of type string".
//
// +kubebuilder:validation:MaxLength=24
// +kubebuilder:validation:XValidation:rule=`self.matches('^[0-9]*([0-9]|[.][0-9]{1,3})([kMGTPE]|[KMGTPE]i)?$|^[0-9]+m$')`,message=`not an amount: write a number with at most three decimals and one of the suffixes k M G T P E Ki Mi Gi Ti Pi Ei or none, or a whole number and m`,messageExpression=`'"' + self + '" is not an amount: write a number with at most three decimals and one of the suffixes k M G T P E Ki Mi Gi Ti Pi Ei or none, or a whole number and m'`
// +kubebuilder:validation:XValidation:rule=`!(self.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(self)) || !quantity(self).isGreaterThan(quantity('9E'))`,message=`more than 9E, the most an amount can be`,messageExpression=`self + ' is more than 9E, the most an amount can be'`
type Amount string

// Amounts maps a resource to an amount of at most 1P. Resources are cpu, memory, ephemeral-storage, hugepages-2Mi and
// qualified names like nvidia.com/gpu, and storage for claims.
//
// +kubebuilder:validation:MaxProperties=16
// +kubebuilder:validation:XValidation:rule=`!self.exists(k, size(k) > 240 || k.startsWith('requests.') || !k.matches('^(cpu|memory|ephemeral-storage|storage|hugepages-[0-9]{1,9}[KMGT]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$'))`,message=`a key is not a resource: use cpu, memory, ephemeral-storage, storage, hugepages-2Mi or a qualified name like nvidia.com/gpu of at most 240 characters`,messageExpression=`self.map(k, size(k) > 240 || k.startsWith('requests.') || !k.matches('^(cpu|memory|ephemeral-storage|storage|hugepages-[0-9]{1,9}[KMGT]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$'), '"' + k + '" is not a resource: use cpu, memory, ephemeral-storage, storage, hugepages-2Mi or a qualified name like nvidia.com/gpu of at most 240 characters')[0]`
// +kubebuilder:validation:XValidation:rule=`!self.exists(k, [self[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self[k]).isGreaterThan(quantity('1P')))`,message=`an amount is more than 1P, the most a limit can be`,messageExpression=`self.map(k, [self[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self[k]).isGreaterThan(quantity('1P')), k + ' ' + self[k] + ' is more than 1P, the most a limit can be')[0]`
type Amounts map[corev1.ResourceName]Amount

// LimitItem bounds one type of object; it is a core/v1 LimitRangeItem with quantities as strings. It has at least one bound.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.min) || !has(self.max) || !self.min.exists(k, k in self.max && [self.min[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.max[k])))`,message=`min is greater than max`,messageExpression=`self.min.map(k, k in self.max && [self.min[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.max[k])), 'min[' + k + '] ' + self.min[k] + ' is greater than max[' + k + '] ' + self.max[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.min) || !has(self.defaultRequest) || !self.min.exists(k, k in self.defaultRequest && [self.min[k], self.defaultRequest[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.defaultRequest[k])))`,message=`min is greater than defaultRequest`,messageExpression=`self.min.map(k, k in self.defaultRequest && [self.min[k], self.defaultRequest[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.defaultRequest[k])), 'min[' + k + '] ' + self.min[k] + ' is greater than defaultRequest[' + k + '] ' + self.defaultRequest[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.min) || !has(self.default) || !self.min.exists(k, k in self.default && [self.min[k], self.default[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.default[k])))`,message=`min is greater than default`,messageExpression=`self.min.map(k, k in self.default && [self.min[k], self.default[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.min[k]).isGreaterThan(quantity(self.default[k])), 'min[' + k + '] ' + self.min[k] + ' is greater than default[' + k + '] ' + self.default[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.defaultRequest) || !has(self.default) || !self.defaultRequest.exists(k, k in self.default && [self.defaultRequest[k], self.default[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.defaultRequest[k]).isGreaterThan(quantity(self.default[k])))`,message=`defaultRequest is greater than default`,messageExpression=`self.defaultRequest.map(k, k in self.default && [self.defaultRequest[k], self.default[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.defaultRequest[k]).isGreaterThan(quantity(self.default[k])), 'defaultRequest[' + k + '] ' + self.defaultRequest[k] + ' is greater than default[' + k + '] ' + self.default[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.defaultRequest) || !has(self.max) || !self.defaultRequest.exists(k, k in self.max && [self.defaultRequest[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.defaultRequest[k]).isGreaterThan(quantity(self.max[k])))`,message=`defaultRequest is greater than max`,messageExpression=`self.defaultRequest.map(k, k in self.max && [self.defaultRequest[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.defaultRequest[k]).isGreaterThan(quantity(self.max[k])), 'defaultRequest[' + k + '] ' + self.defaultRequest[k] + ' is greater than max[' + k + '] ' + self.max[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.default) || !has(self.max) || !self.default.exists(k, k in self.max && [self.default[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.default[k]).isGreaterThan(quantity(self.max[k])))`,message=`default is greater than max`,messageExpression=`self.default.map(k, k in self.max && [self.default[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.default[k]).isGreaterThan(quantity(self.max[k])), 'default[' + k + '] ' + self.default[k] + ' is greater than max[' + k + '] ' + self.max[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.maxLimitRequestRatio) || !self.maxLimitRequestRatio.exists(k, [self.maxLimitRequestRatio[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.maxLimitRequestRatio[k]).isLessThan(quantity('1')))`,message=`maxLimitRequestRatio is less than 1`,messageExpression=`self.maxLimitRequestRatio.map(k, [self.maxLimitRequestRatio[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.maxLimitRequestRatio[k]).isLessThan(quantity('1')), 'maxLimitRequestRatio[' + k + '] ' + self.maxLimitRequestRatio[k] + ' is less than 1')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.maxLimitRequestRatio) || !has(self.min) || !has(self.max) || !self.maxLimitRequestRatio.exists(k, k in self.min && k in self.max && [self.maxLimitRequestRatio[k], self.min[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && [quantity(self.maxLimitRequestRatio[k]), quantity(self.min[k]), quantity(self.max[k])].all(q, q.isGreaterThan(quantity('0')) && !q.isGreaterThan(quantity('1P'))) && [[quantity(self.maxLimitRequestRatio[k]), quantity(self.min[k]), quantity(self.max[k])].map(q, quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) == 0 ? double(int(q.asApproximateFloat() + 0.5)) * 1000.0 : double(int(q.asApproximateFloat() * 1000.0 + 0.5)))].exists(m, m[0] / 1000.0 > m[2] / m[1] * ([quantity(self.min[k]), quantity(self.max[k])].exists(q, q.isGreaterThan(quantity('100G')) && !(quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) == 0)) ? 0.999999999999 : 1.0)))`,message=`maxLimitRequestRatio is greater than max divided by min`,messageExpression=`self.maxLimitRequestRatio.map(k, k in self.min && k in self.max && [self.maxLimitRequestRatio[k], self.min[k], self.max[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && [quantity(self.maxLimitRequestRatio[k]), quantity(self.min[k]), quantity(self.max[k])].all(q, q.isGreaterThan(quantity('0')) && !q.isGreaterThan(quantity('1P'))) && [[quantity(self.maxLimitRequestRatio[k]), quantity(self.min[k]), quantity(self.max[k])].map(q, quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) == 0 ? double(int(q.asApproximateFloat() + 0.5)) * 1000.0 : double(int(q.asApproximateFloat() * 1000.0 + 0.5)))].exists(m, m[0] / 1000.0 > m[2] / m[1] * ([quantity(self.min[k]), quantity(self.max[k])].exists(q, q.isGreaterThan(quantity('100G')) && !(quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) == 0)) ? 0.999999999999 : 1.0)), 'maxLimitRequestRatio[' + k + '] ' + self.maxLimitRequestRatio[k] + ' is greater than max[' + k + '] ' + self.max[k] + ' divided by min[' + k + '] ' + self.min[k])[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.defaultRequest) || !self.defaultRequest.exists(k, (k.contains('/') || k.startsWith('hugepages-')) && [has(self.default) && k in self.default ? self.default[k] : self.type == 'Container' && has(self.max) && k in self.max ? self.max[k] : self.defaultRequest[k]].exists(l, [l, self.defaultRequest[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(l).compareTo(quantity(self.defaultRequest[k])) != 0))`,message=`defaultRequest is not equal to default for a resource that cannot be overcommitted`,messageExpression=`self.defaultRequest.map(k, (k.contains('/') || k.startsWith('hugepages-')) && [has(self.default) && k in self.default ? self.default[k] : self.type == 'Container' && has(self.max) && k in self.max ? self.max[k] : self.defaultRequest[k]].exists(l, [l, self.defaultRequest[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(l).compareTo(quantity(self.defaultRequest[k])) != 0), 'defaultRequest[' + k + '] ' + self.defaultRequest[k] + ' is not equal to ' + (has(self.default) && k in self.default ? 'default[' + k + '] ' + self.default[k] : 'max[' + k + '] ' + self.max[k] + ', the default where none is set') + ', and ' + k + ' cannot be overcommitted')[0]`
// +kubebuilder:validation:XValidation:rule=`self.type != 'Pod' || !has(self.default) || self.default.size() == 0`,message=`default is not allowed for type Pod`,messageExpression=`self.default.map(k, 'default[' + k + '] ' + self.default[k] + ' is not allowed for type Pod: only containers have defaults')[0]`
// +kubebuilder:validation:XValidation:rule=`self.type != 'Pod' || !has(self.defaultRequest) || self.defaultRequest.size() == 0`,message=`defaultRequest is not allowed for type Pod`,messageExpression=`self.defaultRequest.map(k, 'defaultRequest[' + k + '] ' + self.defaultRequest[k] + ' is not allowed for type Pod: only containers have defaults')[0]`
// +kubebuilder:validation:XValidation:rule=`self.type != 'PersistentVolumeClaim' || has(self.min) && 'storage' in self.min || has(self.max) && 'storage' in self.max`,message=`type PersistentVolumeClaim needs min[storage] or max[storage]`
// +kubebuilder:validation:XValidation:rule=`self.type == 'PersistentVolumeClaim' || !(has(self.max) && 'storage' in self.max || has(self.min) && 'storage' in self.min || has(self.default) && 'storage' in self.default || has(self.defaultRequest) && 'storage' in self.defaultRequest || has(self.maxLimitRequestRatio) && 'storage' in self.maxLimitRequestRatio)`,message=`storage is for type PersistentVolumeClaim only: use ephemeral-storage`,messageExpression=`(has(self.max) && 'storage' in self.max ? 'max' : has(self.min) && 'storage' in self.min ? 'min' : has(self.default) && 'storage' in self.default ? 'default' : has(self.defaultRequest) && 'storage' in self.defaultRequest ? 'defaultRequest' : 'maxLimitRequestRatio') + '[storage] is not for type ' + self.type + ': use ephemeral-storage'`
// +kubebuilder:validation:XValidation:rule=`self.type == 'PersistentVolumeClaim' || has(self.max) && self.max.size() > 0 || has(self.min) && self.min.size() > 0 || has(self.default) && self.default.size() > 0 || has(self.defaultRequest) && self.defaultRequest.size() > 0 || has(self.maxLimitRequestRatio) && self.maxLimitRequestRatio.size() > 0`,message=`an item without a bound: set max, min, default, defaultRequest or maxLimitRequestRatio`,messageExpression=`'type ' + self.type + ' has no bound: set max, min, default, defaultRequest or maxLimitRequestRatio'`
type LimitItem struct {
	// type is what the item bounds: each Container, each Pod as a whole, or each PersistentVolumeClaim.
	// +required
	// +kubebuilder:validation:Enum=Container;Pod;PersistentVolumeClaim
	Type corev1.LimitType `json:"type"`

	// max is the most that one object may ask for, by resource.
	// An item of type PersistentVolumeClaim needs storage in max or min.
	// +optional
	Max Amounts `json:"max,omitempty"`

	// min is the least that one object must ask for, by resource; at most defaultRequest, default and max.
	// +optional
	Min Amounts `json:"min,omitempty"`

	// default is the limit a container gets that sets none, by resource; at most max; not for type Pod.
	// Where it is unset the API server takes max.
	// +optional
	Default Amounts `json:"default,omitempty"`

	// defaultRequest is the request a container gets that sets none, by resource; at most default and max, and equal
	// to default for resources that cannot be overcommitted (hugepages-2Mi, nvidia.com/gpu, …); not for type Pod.
	// Where it is unset the API server takes default, then min.
	// +optional
	DefaultRequest Amounts `json:"defaultRequest,omitempty"`

	// maxLimitRequestRatio is the most that limit divided by request may be, by resource; at least 1, and at most
	// max divided by min where both are set and min is not 0.
	// +optional
	MaxLimitRequestRatio Amounts `json:"maxLimitRequestRatio,omitempty"`
}

// Quota bounds a namespace as a whole; it is a core/v1 ResourceQuotaSpec with quantities as strings.
//
// +kubebuilder:validation:XValidation:rule=`!self.hard.exists(k, size(k) > 240 || !k.matches('^(((requests|limits)[.])?(cpu|memory|ephemeral-storage)|requests[.]storage|pods|resourcequotas|services([.](nodeports|loadbalancers))?|replicationcontrollers|secrets|configmaps|persistentvolumeclaims|(requests[.])?hugepages-[0-9]{1,9}[KMGT]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$'))`,message=`a key of hard is not a resource of a quota: use one like requests.cpu, limits.memory, requests.storage, pods, or a qualified name like count/deployments.apps of at most 240 characters`,messageExpression=`self.hard.map(k, size(k) > 240 || !k.matches('^(((requests|limits)[.])?(cpu|memory|ephemeral-storage)|requests[.]storage|pods|resourcequotas|services([.](nodeports|loadbalancers))?|replicationcontrollers|secrets|configmaps|persistentvolumeclaims|(requests[.])?hugepages-[0-9]{1,9}[KMGT]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$'), '"' + k + '" in hard is not a resource of a quota: use one like requests.cpu, limits.memory, requests.storage, pods, or a qualified name like count/deployments.apps of at most 240 characters')[0]`
// +kubebuilder:validation:XValidation:rule=`!self.hard.exists(k, (k in ['pods', 'resourcequotas', 'services', 'services.nodeports', 'services.loadbalancers', 'replicationcontrollers', 'secrets', 'configmaps', 'persistentvolumeclaims'] || k.contains('/') && !k.startsWith('requests.')) && [self.hard[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && [quantity(self.hard[k])].exists(q, q.isGreaterThan(quantity('1P')) || quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) != 0))`,message=`an amount of hard must be a whole number of at most 1P`,messageExpression=`self.hard.map(k, (k in ['pods', 'resourcequotas', 'services', 'services.nodeports', 'services.loadbalancers', 'replicationcontrollers', 'secrets', 'configmaps', 'persistentvolumeclaims'] || k.contains('/') && !k.startsWith('requests.')) && [self.hard[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && [quantity(self.hard[k])].exists(q, q.isGreaterThan(quantity('1P')) || quantity('0').add(int(q.asApproximateFloat() + 0.5)).compareTo(q) != 0), 'hard[' + k + '] ' + self.hard[k] + ' must be a whole number of at most 1P')[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.scopes) || !('Terminating' in self.scopes && 'NotTerminating' in self.scopes)`,message=`scopes Terminating and NotTerminating exclude each other`
// +kubebuilder:validation:XValidation:rule=`!has(self.scopes) || !('BestEffort' in self.scopes && 'NotBestEffort' in self.scopes)`,message=`scopes BestEffort and NotBestEffort exclude each other`
// +kubebuilder:validation:XValidation:rule=`!has(self.scopes) || !self.scopes.exists(s, self.hard.exists(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (s == 'BestEffort' ? k != 'pods' : s == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']))))`,message=`a scope does not bound a resource of hard`,messageExpression=`self.scopes.map(s, self.hard.exists(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (s == 'BestEffort' ? k != 'pods' : s == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']))), 'scope ' + s + ' does not bound hard[' + self.hard.map(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (s == 'BestEffort' ? k != 'pods' : s == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])), k)[0] + '], only ' + (s == 'BestEffort' ? 'pods' : s == 'VolumeAttributesClass' ? 'persistentvolumeclaims and requests.storage' : 'pods, cpu, memory, and requests and limits of these'))[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.scopeSelector) || !self.scopeSelector.matchExpressions.exists(e, self.hard.exists(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (e.scopeName == 'BestEffort' ? k != 'pods' : e.scopeName == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']))))`,message=`a scope of scopeSelector does not bound a resource of hard`,messageExpression=`self.scopeSelector.matchExpressions.map(e, self.hard.exists(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (e.scopeName == 'BestEffort' ? k != 'pods' : e.scopeName == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']))), 'scope ' + e.scopeName + ' does not bound hard[' + self.hard.map(k, (!k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-')) && (e.scopeName == 'BestEffort' ? k != 'pods' : e.scopeName == 'VolumeAttributesClass' ? !(k in ['persistentvolumeclaims', 'requests.storage']) : !(k in ['pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])), k)[0] + '], only ' + (e.scopeName == 'BestEffort' ? 'pods' : e.scopeName == 'VolumeAttributesClass' ? 'persistentvolumeclaims and requests.storage' : 'pods, cpu, memory, and requests and limits of these'))[0]`
type Quota struct {
	// hard is the most that all objects of a namespace together may use, by resource or object count:
	// cpu, requests.cpu, limits.memory, requests.storage, pods, count/deployments.apps, requests.nvidia.com/gpu, ….
	// Object counts, and resources like nvidia.com/gpu, are whole numbers of at most 1P; all others are at most 9E.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	Hard map[corev1.ResourceName]Amount `json:"hard"`

	// scopes narrows the quota to the objects that match every scope. VolumeAttributesClass needs Kubernetes 1.34.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	// +kubebuilder:validation:items:Enum=Terminating;NotTerminating;BestEffort;NotBestEffort;PriorityClass;CrossNamespacePodAffinity;VolumeAttributesClass
	Scopes []corev1.ResourceQuotaScope `json:"scopes,omitempty"`

	// scopeSelector narrows the quota like scopes, with operators and values.
	// +optional
	ScopeSelector *ScopeSelector `json:"scopeSelector,omitempty"`
}

// ScopeSelector narrows a quota to the objects that match all of its expressions.
//
// +kubebuilder:validation:XValidation:rule=`!(self.matchExpressions.exists(e, e.scopeName == 'Terminating') && self.matchExpressions.exists(e, e.scopeName == 'NotTerminating'))`,message=`scopes Terminating and NotTerminating exclude each other`
// +kubebuilder:validation:XValidation:rule=`!(self.matchExpressions.exists(e, e.scopeName == 'BestEffort') && self.matchExpressions.exists(e, e.scopeName == 'NotBestEffort'))`,message=`scopes BestEffort and NotBestEffort exclude each other`
type ScopeSelector struct {
	// matchExpressions are the terms, all of which must match.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	MatchExpressions []ScopeExpression `json:"matchExpressions"`
}

// ScopeExpression is one term of a ScopeSelector.
//
// +kubebuilder:validation:XValidation:rule=`self.scopeName in ['PriorityClass', 'VolumeAttributesClass'] || self.operator == 'Exists'`,message=`the operator of this scope must be Exists`,messageExpression=`'operator ' + self.operator + ' is not for scope ' + self.scopeName + ': use Exists'`
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['In', 'NotIn']) || has(self.values) && self.values.size() > 0`,message=`operators In and NotIn need values`,messageExpression=`'operator ' + self.operator + ' needs values'`
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0`,message=`operators Exists and DoesNotExist take no values`,messageExpression=`'operator ' + self.operator + ' takes no values, but has ' + self.values[0]`
// +kubebuilder:validation:XValidation:rule=`!has(self.values) || self.values.all(v, v.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))`,message=`a value is not a name: use letters, digits, -, _ and ., with a letter or digit at both ends`,messageExpression=`self.values.map(v, !v.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'), '"' + v + '" in values is not a name: use letters, digits, -, _ and ., with a letter or digit at both ends')[0]`
type ScopeExpression struct {
	// scopeName is the scope the term is about. VolumeAttributesClass needs Kubernetes 1.34.
	// +required
	// +kubebuilder:validation:Enum=Terminating;NotTerminating;BestEffort;NotBestEffort;PriorityClass;CrossNamespacePodAffinity;VolumeAttributesClass
	ScopeName corev1.ResourceQuotaScope `json:"scopeName"`

	// operator relates the scope to the values; scopes other than PriorityClass and VolumeAttributesClass take Exists only.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator corev1.ScopeSelectorOperator `json:"operator"`

	// values are the names that In and NotIn compare with, at most 63 characters each; empty for the other operators.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Values []string `json:"values,omitempty"`
}

// Enforcement says whether a policy is put in force.
//
// +kubebuilder:validation:Enum=Enforce;DryRun
type Enforcement string

const (
	// Enforce writes the limits into the selected namespaces.
	Enforce Enforcement = "Enforce"
	// DryRun writes nothing into namespaces and reports what Enforce would refuse or change.
	DryRun Enforcement = "DryRun"
)

// DriftMode says what happens to a foreign change of something Fairlead made.
//
// +kubebuilder:validation:Enum=Repair;Warn
type DriftMode string

const (
	// Repair undoes foreign changes.
	Repair DriftMode = "Repair"
	// Warn reports foreign changes and leaves them.
	Warn DriftMode = "Warn"
)

// LimitPolicySpec is what a LimitPolicy asks for.
//
// +kubebuilder:validation:XValidation:rule=`has(self.quota) || has(self.limits) && self.limits.size() > 0`,message=`set limits or quota: a policy with neither bounds nothing`
type LimitPolicySpec struct {
	// namespaceSelector picks the namespaces by their labels; an empty selector, {}, picks all of them.
	// System namespaces (kube-*, openshift, openshift-*) and the operator's own are left out unless
	// the selector names them outright by the label kubernetes.io/metadata.name.
	// +required
	NamespaceSelector NamespaceSelector `json:"namespaceSelector"`

	// priority settles which policy wins where several bound the same field: the higher number does.
	// Policies of equal priority merge to the stricter bound.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority,omitempty"`

	// limits are the bounds for each object, one item per type.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=3
	Limits []LimitItem `json:"limits,omitempty"`

	// quota is the bound for each namespace as a whole. A policy has limits, quota or both.
	// +optional
	Quota *Quota `json:"quota,omitempty"`

	// enforcement is Enforce to put the limits in force, or DryRun to write nothing and only report.
	// +optional
	// +default="Enforce"
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// drift is Repair to undo foreign changes, or Warn to report them and leave them.
	// +optional
	// +default="Repair"
	Drift DriftMode `json:"drift,omitempty"`
}

// LimitPolicy keeps one LimitRange and one ResourceQuota in each namespace that it selects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=lp,categories=fairlead
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Selected",type=integer,JSONPath=`.status.namespaces.selected`
// +kubebuilder:printcolumn:name="Covered",type=integer,JSONPath=`.status.namespaces.covered`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.report.refused`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`,priority=1
// +kubebuilder:printcolumn:name="Changed",type=integer,JSONPath=`.status.report.changed`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +operator-sdk:csv:customresourcedefinitions:displayName="Limit Policy",resources={{LimitRange,v1,},{ResourceQuota,v1,}}
type LimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the policy asks for.
	// +required
	Spec LimitPolicySpec `json:"spec"`
	// status is what it found and did.
	// +optional
	Status LimitPolicyStatus `json:"status,omitempty"`
}

// LimitPolicyList is a list of LimitPolicy.
//
// +kubebuilder:object:root=true
type LimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LimitPolicy `json:"items"`
}
