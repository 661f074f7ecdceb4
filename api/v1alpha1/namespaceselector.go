// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LabelValue is the value of a label: at most 63 letters, digits, -, _ and ., a letter or digit at both ends, or empty.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule=`self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')`,message=`not a label value: use letters, digits, -, _ and ., with a letter or digit at both ends`,messageExpression=`'"' + self + '" is not a label value: use letters, digits, -, _ and ., with a letter or digit at both ends'`
type LabelValue string

// NamespaceSelector picks namespaces by their labels; it is a metav1.LabelSelector with the bounds and rules that
// CEL needs to check it in the API server. An empty selector picks all namespaces.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.matchLabels) || !self.matchLabels.exists(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))`,message=`a key of matchLabels is not a label key: write name or domain/name, at most 253 characters`,messageExpression=`self.matchLabels.map(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'), '"' + k + '" in matchLabels is not a label key: write name or domain/name, at most 253 characters')[0]`
type NamespaceSelector struct {
	// matchLabels are labels that a namespace must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are terms on the labels of a namespace, all of which must match.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelExpression `json:"matchExpressions,omitempty"`
}

// LabelExpression is one term of a NamespaceSelector.
//
// +kubebuilder:validation:XValidation:rule=`self.key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')`,message=`key is not a label key: write name or domain/name`,messageExpression=`'key "' + self.key + '" is not a label key: write name or domain/name'`
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['In', 'NotIn']) || has(self.values) && self.values.size() > 0`,message=`operators In and NotIn need values`,messageExpression=`'operator ' + self.operator + ' needs values'`
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0`,message=`operators Exists and DoesNotExist take no values`,messageExpression=`'operator ' + self.operator + ' takes no values, but has "' + self.values[0] + '"'`
type LabelExpression struct {
	// key is the label that the term is about.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`

	// operator relates the label to the values: In, NotIn, Exists or DoesNotExist.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// values are what In and NotIn compare with; empty for the other operators.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Values []LabelValue `json:"values,omitempty"`
}

// LabelSelector returns the selector in the form that client libraries take.
func (s NamespaceSelector) LabelSelector() *metav1.LabelSelector {
	out := &metav1.LabelSelector{}
	for key, value := range s.MatchLabels {
		metav1.AddLabelToSelector(out, key, string(value))
	}
	for _, e := range s.MatchExpressions {
		term := metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator}
		for _, value := range e.Values {
			term.Values = append(term.Values, string(value))
		}
		out.MatchExpressions = append(out.MatchExpressions, term)
	}
	return out
}
