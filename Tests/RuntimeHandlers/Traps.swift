// SPDX-License-Identifier: Apache-2.0

@preconcurrency private import Glibc

/// Every way in which Swift code traps.
public enum TrapCause: String, CaseIterable, Sendable {
    case index, none, overflow, division, fatal, precondition, cast, negativeCount, duplicateKey, invertedRange,
        conversion, forcedTry
    case emptyFirst, characterIndex, released

    /// What the function that traps is called: the backtrace must name it.
    public var functionName: String {
        switch self {
        case .index: "trapByIndex"
        case .none: "trapByNone"
        case .overflow: "trapByOverflow"
        case .division: "trapByDivision"
        case .fatal: "trapByFatalError"
        case .precondition: "trapByPrecondition"
        case .cast: "trapByCast"
        case .negativeCount: "trapByNegativeCount"
        case .duplicateKey: "trapByDuplicateKey"
        case .invertedRange: "trapByInvertedRange"
        case .conversion: "trapByConversion"
        case .forcedTry: "trapByForcedTry"
        case .emptyFirst: "trapByRemovingFromEmpty"
        case .characterIndex: "trapByCharacterIndex"
        case .released: "trapByUnowned"
        }
    }

    public func trap() {
        switch self {
        case .index: trapByIndex(opaque([1, 2, 3]))
        case .none: trapByNone(opaque(nil))
        case .overflow: trapByOverflow(opaque(Int.max))
        case .division: trapByDivision(opaque(0))
        case .fatal: trapByFatalError(opaque("the cause of it"))
        case .precondition: trapByPrecondition(opaque(1))
        case .cast: trapByCast(opaque("text" as Any))
        case .negativeCount: trapByNegativeCount(opaque(-1))
        case .duplicateKey: trapByDuplicateKey(opaque(1))
        case .invertedRange: trapByInvertedRange(opaque(2), opaque(1))
        case .conversion: trapByConversion(opaque(-1))
        case .forcedTry: trapByForcedTry(opaque(2))
        case .emptyFirst: trapByRemovingFromEmpty()
        case .characterIndex: trapByCharacterIndex(opaque("abc"))
        case .released: trapByUnowned()
        }
    }
}

@inline(never) func trapByIndex(_ numbers: [Int]) { use(numbers[opaque(7)]) }
@inline(never) func trapByNone(_ number: Int?) { use(number!) }
@inline(never) func trapByOverflow(_ number: Int) { use(number + opaque(1)) }
@inline(never) func trapByDivision(_ divisor: Int) { use(100 / divisor) }
@inline(never) func trapByFatalError(_ text: String) { fatalError(text) }
@inline(never) func trapByPrecondition(_ number: Int) { precondition(number == 2, "number must be 2") }
@inline(never) func trapByCast(_ value: Any) { use(value as! Int) }
@inline(never) func trapByNegativeCount(_ count: Int) { use(Array(repeating: 0, count: count)) }
@inline(never) func trapByDuplicateKey(_ key: Int) { use(Dictionary(uniqueKeysWithValues: [(key, 1), (key, 2)])) }
@inline(never) func trapByInvertedRange(_ low: Int, _ high: Int) { use(low..<high) }
@inline(never) func trapByConversion(_ number: Int) { use(UInt8(number)) }
@inline(never) func trapByForcedTry(_ number: Int) { try! refuse(number) }
@inline(never) func trapByRemovingFromEmpty() {
    var numbers: [Int] = opaque([])
    use(numbers.removeFirst())
}
@inline(never) func trapByCharacterIndex(_ text: String) { use(text[text.index(after: text.endIndex)]) }
@inline(never) func trapByUnowned() {
    final class Owner { var number = 1 }
    var owner: Owner? = Owner()
    unowned let reference = owner!
    use(owner)
    owner = nil
    use(owner)
    use(reference.number)
}

/// Traps `depth` calls below.
@inline(never) public func trapNested(_ depth: Int, _ cause: TrapCause) {
    if depth > 0 { trapNested(depth - 1, cause) } else { cause.trap() }
    use(depth)
}

/// Reads through a pointer that points nowhere.
@inline(never) public func readWildPointer() {
    use(UnsafePointer<Int>(bitPattern: opaque(0x10))!.pointee)
}

// MARK: - Destructors

/// Traps when it is destroyed.
public final class TrapsInDeinit: Sendable {
    let cause: TrapCause
    public init(_ cause: TrapCause) { self.cause = cause }
    deinit { cause.trap() }
}

/// Loops when it is destroyed.
public final class SpinsInDeinit: Sendable {
    public init() {}
    deinit { spinWhileTrue() }
}

/// Works for a while when it is destroyed, then says so.
public final class WorksInDeinit: Sendable {
    let rounds: Int
    let done: @Sendable () -> Void
    public init(rounds: Int, done: @escaping @Sendable () -> Void) {
        self.rounds = rounds
        self.done = done
    }
    deinit {
        work(rounds)
        done()
    }
}

// MARK: - Recursion

@inline(never) public func recurseForEver(_ depth: Int) -> Int {
    depth < 0 ? 0 : depth &+ opaque(recurseForEver(depth &+ 1))
}

@inline(never) public func recurseThere(_ depth: Int) -> Int { depth < 0 ? 0 : opaque(recurseBack(depth &+ 1)) ^ depth }
@inline(never) func recurseBack(_ depth: Int) -> Int { opaque(recurseThere(depth &+ 1)) &+ 1 }

@inline(never) public func recurseAllocating(_ text: String) -> Int {
    if text.utf8.count == opaque(1) { return 0 }
    let longer = text + String(repeating: "x", count: opaque(40))
    return opaque(recurseAllocating(String(longer.suffix(40)))) + longer.count
}

@inline(never) public func recurseWithBigFrames(_ depth: Int) -> Int {
    if depth < 0 { return 0 }
    return withUnsafeTemporaryAllocation(byteCount: 900, alignment: 8) { buffer in
        buffer[0] = UInt8(truncatingIfNeeded: depth)
        return opaque(recurseWithBigFrames(depth &+ 1)) &+ Int(buffer[0])
    }
}

/// Goes `depth` calls deep, works there, and comes back with a sum that only intact frames give.
@inline(never) public func recurse(to depth: Int, rounds: Int) -> Int {
    if depth == 0 {
        work(rounds)
        return 0
    }
    return opaque(recurse(to: depth - 1, rounds: rounds)) &+ depth
}

/// A list whose destruction recurses once per element. Through an array: the compiler destroys a plain list in a loop.
public final class Chain: @unchecked Sendable {
    var rest: [Chain] = []
    public init(length: Int) {
        var rest: [Chain] = []
        for _ in 1..<max(1, length) { rest = [Chain(rest)] }
        self.rest = rest
    }
    private init(_ rest: [Chain]) { self.rest = rest }
    deinit { use(1) }
}

// MARK: - Memory

/// Appends to an array without end.
@inline(never) public func hogByAppending() {
    var numbers: [Int] = []
    while true { numbers.append(numbers.count) }
}

/// Keeps small objects without end.
@inline(never) public func hogBySmallObjects() {
    final class Small { var next: Small? }
    var objects: [Small] = []
    while true { objects.append(Small()) }
}

/// Asks for `byteCount` bytes in one piece.
@inline(never) public func hogAtOnce(_ byteCount: Int) { use(Array<UInt8>(repeating: 1, count: opaque(byteCount))) }

// MARK: - Globals

let slowGlobal: Int = {
    work(300_000)
    return 42
}()
@inline(never) public func readSlowGlobal() -> Int { slowGlobal }

nonisolated(unsafe) public var isTrappingInGlobal = true
let trappingGlobal: Int = {
    if isTrappingInGlobal { trapByIndex(opaque([])) }
    return 7
}()
@inline(never) public func readTrappingGlobal() -> Int { trappingGlobal }

let outerGlobal: Int = {
    work(50_000)
    return innerGlobal + 1
}()
let innerGlobal: Int = {
    work(50_000)
    return 1
}()
@inline(never) public func readOuterGlobal() -> Int { outerGlobal }

let recursingGlobal: Int = {
    if isTrappingInGlobal { return recurseForEver(0) }
    return 8
}()
@inline(never) public func readRecursingGlobal() -> Int { recursingGlobal }

// MARK: - Output

/// Works or traps while it is printed: under the lock of `stdout`.
public struct PrintsSlowly: CustomStringConvertible, Sendable {
    let rounds: Int
    let cause: TrapCause?
    public init(rounds: Int, cause: TrapCause? = nil) {
        self.rounds = rounds
        self.cause = cause
    }
    public var description: String {
        work(rounds)
        cause?.trap()
        return "."
    }
}

@inline(never) public func printSlowly(_ value: PrintsSlowly) { print(value, terminator: "") }

@inline(never) public func report(_ text: String) {
    fputs(text, stderr)
}
