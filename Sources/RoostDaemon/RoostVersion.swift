// SPDX-License-Identifier: Apache-2.0

/// The version that `roost --version` prints (semver.org).
package enum RoostVersion {
    package static let current = "0.1.0"
}
