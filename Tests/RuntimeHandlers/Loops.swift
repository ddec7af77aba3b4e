// SPDX-License-Identifier: Apache-2.0

/// Loops that never end, in every shape that a loop has: each must be preempted, optimised or not.
public enum LoopShape: String, CaseIterable, Sendable {
    case whileTrue, hugeRange, stride, repeatWhile, nested, labelled, switchInLoop, closure, higherOrder, twoFunctions,
        sequence
    case stringBuilding, dictionaryGrowth, arithmetic, pointers, throwing, generic, existential

    public func spin() {
        switch self {
        case .whileTrue: spinWhileTrue()
        case .hugeRange: spinHugeRange()
        case .stride: spinStride()
        case .repeatWhile: spinRepeatWhile()
        case .nested: spinNested()
        case .labelled: spinLabelled()
        case .switchInLoop: spinSwitch()
        case .closure: spinClosure()
        case .higherOrder: spinHigherOrder()
        case .twoFunctions: spinTwoFunctions()
        case .sequence: spinSequence()
        case .stringBuilding: spinStringBuilding()
        case .dictionaryGrowth: spinDictionaryGrowth()
        case .arithmetic: spinArithmetic()
        case .pointers: spinPointers()
        case .throwing: spinThrowing()
        case .generic: spinGeneric(0 as UInt32)
        case .existential: spinExistential(Step(by: 1))
        }
    }
}

/// A value that the optimiser knows nothing of.
@inline(never) @_optimize(none)
public func opaque<Value>(_ value: Value) -> Value { value }

@inline(never) @_optimize(none)
func use<Value>(_ value: Value) {}

@inline(never) func spinWhileTrue() { while true {} }

@inline(never) func spinHugeRange() {
    var sum = 0
    for number in 0..<Int.max { sum &+= number }
    use(sum)
}

@inline(never) func spinStride() {
    var sum = 0
    for number in stride(from: Int.min, to: Int.max, by: opaque(1)) { sum ^= number }
    use(sum)
}

@inline(never) func spinRepeatWhile() {
    var number: UInt64 = opaque(1)
    repeat { number = number &* 6_364_136_223_846_793_005 &+ 1 | 1 } while number != 0
    use(number)
}

@inline(never) func spinNested() {
    var sum = 0
    for a in 0..<Int.max { for b in 0..<3 { for c in 0..<opaque(2) { sum &+= a &* b &+ c } } }
    use(sum)
}

@inline(never) func spinLabelled() {
    var count = 0
    outer: while true {
        for number in 0..<10 {
            count &+= number
            if number == opaque(5) { continue outer }
        }
    }
}

@inline(never) func spinSwitch() {
    enum State { case one, two, three }
    var state = State.one
    while true {
        switch state {
        case .one: state = .two
        case .two: state = .three
        case .three: state = .one
        }
    }
}

@inline(never) func spinClosure() {
    var count = 0
    let step = { count &+= 1 }
    while true { step() }
}

@inline(never) func spinHigherOrder() {
    while true { use([1, 2, 3].map { $0 &* 2 }.filter { $0 > 2 }.reduce(0, &+)) }
}

@inline(never) func spinTwoFunctions() { use(isEven(opaque(200), 0)) }

// A tree of calls, 2^200 of them and at most 200 deep.
@inline(never) func isEven(_ depth: Int, _ seed: Int) -> Int {
    depth == 0 ? seed : isOdd(depth - 1, seed &+ 1) ^ isOdd(depth - 1, seed)
}
@inline(never) func isOdd(_ depth: Int, _ seed: Int) -> Int {
    depth == 0 ? ~seed : isEven(depth - 1, seed &+ 1) &+ isEven(depth - 1, seed)
}

@inline(never) func spinSequence() {
    for number in Swift.sequence(first: 1 as UInt64, next: { $0 &* 3 | 1 }) where number == 0 { use(number) }
}

@inline(never) func spinStringBuilding() {
    while true {
        var text = ""
        for number in 0..<opaque(100) { text += "\(number), " }
        use(text)
    }
}

@inline(never) func spinDictionaryGrowth() {
    while true {
        var counts: [String: Int] = [:]
        for number in 0..<opaque(500) { counts["key \(number % 300)", default: 0] += number }
        use(counts.values.max())
    }
}

@inline(never) func spinArithmetic() {
    var value = opaque(1.5)
    while value != 0 { value = value * 1.000001 > 1e300 ? 1.5 : value * 1.000001 }
}

@inline(never) func spinPointers() {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 64) { buffer in
        buffer.initialize(repeating: 1)
        while buffer[opaque(3)] != 0 { for index in buffer.indices { buffer[index] = buffer[index] &* 3 | 1 } }
    }
}

struct Refusal: Error {}
@inline(never) func refuse(_ number: Int) throws { if number % 2 == 0 { throw Refusal() } }

@inline(never) func spinThrowing() {
    var caught = 0
    for number in 0..<Int.max {
        do { try refuse(number) } catch { caught &+= 1 }
    }
    use(caught)
}

@inline(never) func spinGeneric<Number: FixedWidthInteger>(_ start: Number) {
    var number = start
    while true { number = number &+ 1 }
}

protocol Stepping { func step(_ number: Int) -> Int }
struct Step: Stepping {
    let by: Int
    func step(_ number: Int) -> Int { number &+ by }
}

@inline(never) func spinExistential(_ stepper: any Stepping) {
    var number = 0
    while true { number = stepper.step(number) }
}

/// A loop of `count` rounds, each a reduction or more.
@inline(never) public func work(_ count: Int) {
    var sum = 0
    for number in 0..<count { sum = opaque(sum &+ number) }
    use(sum)
}
