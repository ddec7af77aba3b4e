// SPDX-License-Identifier: Apache-2.0

/// What a user of the load tester is told when a test cannot begin.
package struct LoadTestError: Error, CustomStringConvertible, Equatable {
    package let description: String
    package init(_ description: String) { self.description = description }
}
