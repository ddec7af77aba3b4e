// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// The function that an address of code lies in, by the executable's symbol table.
struct Symbol {
    let name: String
    /// Bytes from the start of the function.
    let offset: UInt

    init(at address: UInt) {
        var offset: UInt = 0
        let name = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
            // Safe: the callee writes at most the capacity, terminator included.
            _ = unsafe roost_symbol_name(address, buffer.baseAddress!, buffer.count, &offset)
            return unsafe String(cString: buffer.baseAddress!)
        }
        self.name = name
        self.offset = offset
    }

    /// Whether it is a function of the Swift runtime, of its standard library or of an allocator.
    static func isLibrary(_ address: UInt) -> Bool { roost_symbol_is_library(address) }
}
