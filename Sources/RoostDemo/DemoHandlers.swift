// SPDX-License-Identifier: Apache-2.0

public import Roost
internal import RoostDemoChecked

/// What a demo handler does when it is sent the text `go`; until then it echoes.
public enum Misbehaviour: String, Sendable, CaseIterable {
    case spin, deep
    case throwing = "throw"
    case hog
    case index = "trap/index"
    case none = "trap/nil"
    case overflow = "trap/overflow"
    case divide = "trap/divide"
    case fatal = "trap/fatal"
    case precondition = "trap/precondition"
    case cast = "trap/cast"
    case exclusivity = "trap/exclusivity"
    case sleep = "stuck/sleep"
    case read = "stuck/read"
    case compute = "stuck/compute"
}

/// Echoes until it is sent `go`, then misbehaves. Anyone can try with a client of their own what it costs the others:
/// nothing.
public struct DemoHandler: ConnectionHandler {
    private let misbehaviour: Misbehaviour
    private var hoard: [[UInt8]] = []

    public init(_ misbehaviour: Misbehaviour) { self.misbehaviour = misbehaviour }

    public mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) throws {
        guard text.span.count == 2, String(copying: text) == "go" else {
            connection.send(text)
            return
        }
        try misbehave()
    }

    public mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) throws {
        connection.send(binary: bytes)
    }

    private mutating func misbehave() throws {
        switch misbehaviour {
        case .spin: while true {}
        case .deep: consume(recurse(0))
        case .throwing: throw DemoError.asked
        case .hog: while true { hoard.append([UInt8](repeating: 1, count: 1 << 20)) }
        case .index: consume(numbers[numbers.count + opaque(1)])
        case .none: consume(opaqueOptional()!)
        case .overflow: consume(Int(Int8(opaque(127)) + Int8(opaque(1))))
        case .divide: consume(1 / opaque(0))
        case .fatal: fatalError("asked to fail")
        case .precondition: Swift.precondition(opaque(0) == 1, "asked to break a precondition")
        case .cast: consume((opaqueAny() as! [Int]).count)
        case .exclusivity: violateExclusivity()
        case .sleep: sleepNatively(seconds: 5)
        case .read: readNatively(seconds: 5)
        case .compute: computeNatively(seconds: 5)
        }
    }

    private let numbers = [1, 2, 3]
}

enum DemoError: Error { case asked }

/// Values that the optimiser cannot see through, since anyone might change them: the checks must be made when the
/// program runs.
nonisolated(unsafe) public var demoZero = 0

@inline(never)
func opaque(_ value: Int) -> Int { unsafe value &+ demoZero }
@inline(never)
func opaqueOptional() -> Int? { opaque(0) == 0 ? nil : 1 }
@inline(never)
func opaqueAny() -> Any { "text" }
@inline(never)
func consume(_ value: Int) { unsafe demoZero = value &* demoZero }

/// Never comes back: there is no negative depth. Each frame owns memory and is needed after the call.
@inline(never)
func recurse(_ depth: Int) -> Int {
    if opaque(depth) < 0 { return 0 }
    let held = [opaque(depth)]
    let deeper = recurse(depth + 1)
    return (deeper &* 3) ^ held[0]
}
