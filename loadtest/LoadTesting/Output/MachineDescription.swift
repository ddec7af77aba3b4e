// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The machine that a test ran on, as a report names it.
package struct MachineDescription: Codable, Sendable, Equatable {
    /// As proc_cpuinfo(5) names it; nil where it does not, as on some 64-bit ARM machines.
    package var processor: String?
    /// Cores that this program may use.
    package var coreCount: Int
    /// System, release and architecture.
    package var kernel: String
    package var memoryByteCount: Int?

    package init(processor: String?, coreCount: Int, kernel: String, memoryByteCount: Int?) {
        self.processor = processor
        self.coreCount = coreCount
        self.kernel = kernel
        self.memoryByteCount = memoryByteCount
    }

    package static func ofThisMachine() -> MachineDescription {
        MachineDescription(
            processor: ProcessMeter.read("/proc/cpuinfo").flatMap(processor(inCPUInfo:)), coreCount: usableCoreCount(),
            kernel: kernelName(),
            memoryByteCount: ProcessMeter.read("/proc/meminfo").flatMap(memoryByteCount(inMemInfo:)))
    }

    /// The first core's: the file is long on large machines and only its beginning is needed.
    package static func processor(inCPUInfo text: String) -> String? {
        for key in ["model name", "Model", "cpu model", "Hardware", "uarch"] {
            if let value = value(of: key, in: text), !value.isEmpty {
                return value.split(separator: " ").joined(separator: " ")
            }
        }
        return nil
    }

    package static func memoryByteCount(inMemInfo text: String) -> Int? {
        value(of: "MemTotal", in: text)?.split(separator: " ").first.flatMap { Int($0) }.map { $0 << 10 }
    }

    private static func value(of key: String, in text: String) -> String? {
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            guard trimmed(line[..<colon]) == key else { continue }
            return trimmed(line[line.index(after: colon)...])
        }
        return nil
    }

    private static func trimmed(_ text: Substring) -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let start = text.drop(while: isBlank)
        guard let end = start.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(start[...end])
    }

    /// Of the mask in proc_pid_status(5), in hexadecimal digits and commas.
    package static func usableCoreCount(inStatus text: String) -> Int? {
        guard let mask = value(of: "Cpus_allowed", in: text) else { return nil }
        let count = mask.reduce(0) { $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0) }
        return count > 0 ? count : nil
    }

    private static func usableCoreCount() -> Int {
        ProcessMeter.read("/proc/self/status").flatMap(usableCoreCount(inStatus:))
            ?? max(sysconf(CInt(_SC_NPROCESSORS_ONLN)), 1)
    }

    private static func kernelName() -> String {
        func read(_ name: String) -> String? {
            ProcessMeter.read("/proc/sys/kernel/\(name)").map { String($0.prefix { $0 != "\n" }) }
        }
        return [read("ostype") ?? "Linux", read("osrelease"), read("arch")].compactMap { $0 }.joined(separator: " ")
    }
}
