// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import "fmt"

// EnableDynamicCookie has a backend compute the cookies of all its servers anew. Where its configuration says "dynamic",
// 2.6 needs it for servers that were added; 3.2 does not, and does nothing.
func EnableDynamicCookie(backend string) Command {
	const what = "enable dynamic-cookie backend"
	if err := printable(backend); err != nil || backend == "" {
		return failed(what, fmt.Errorf("%w: %q is no name of a backend", ErrValue, backend))
	}
	return command(what, nil, backend)
}
