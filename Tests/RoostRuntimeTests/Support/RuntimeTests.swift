// SPDX-License-Identifier: Apache-2.0

import Testing

/// All tests of the runtime, one after the other: each keeps the machine's cores busy by itself.
@Suite(.serialized) enum RuntimeTests {}
