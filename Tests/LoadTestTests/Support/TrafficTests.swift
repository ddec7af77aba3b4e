// SPDX-License-Identifier: Apache-2.0

import Testing

/// Tests that make traffic run one after the other: side by side they would starve each other of the two or three
/// cores that a machine may have, and find nothing but that.
@Suite(.serialized) enum TrafficTests {}
