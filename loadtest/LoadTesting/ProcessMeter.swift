// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the kernel says about a process (proc(5)): the server's, given its pid, or this program's own.
package struct ProcessMeter: Sendable {
    private let pid: String

    /// Throws where there is no such process.
    package init(pid: Int32) throws(LoadTestError) {
        self.pid = "\(pid)"
        guard cpuSeconds != nil else {
            throw LoadTestError(
                "no process has the pid \(pid); give --server-pid the one of the server on this machine")
        }
    }

    private init() { pid = "self" }
    package static let ofThisProgram = ProcessMeter()

    /// Bytes of user-space memory: anonymous pages in RAM.
    package var anonymousByteCount: Int? {
        guard let status = ProcessMeter.read("/proc/\(pid)/status") else { return nil }
        for line in status.split(separator: "\n") where line.hasPrefix("RssAnon:") {
            return line.dropFirst(8).split { $0 == " " || $0 == "\t" }.first.flatMap { Int($0) }.map { $0 << 10 }
        }
        return nil
    }

    /// All that a report says of the server; nil where it has ended.
    var sample: ServerSample? {
        guard let cpuSeconds else { return nil }
        var sample = ServerSample(cpuSeconds: cpuSeconds)
        let status = ProcessMeter.fields("/proc/\(pid)/status")
        sample.anonymousByteCount = status["RssAnon"]
        sample.residentByteCount = status["VmRSS"]
        sample.proportionalByteCount = ProcessMeter.fields("/proc/\(pid)/smaps_rollup")["Pss"]
        sample.slabByteCount = ProcessMeter.fields("/proc/meminfo")["Slab"]
        sample.socketByteCount = ProcessMeter.read("/proc/net/sockstat").flatMap {
            ProcessMeter.socketPageCount($0).map { $0 * sysconf(CInt(_SC_PAGESIZE)) }
        }
        sample.descriptorCount = descriptorCount
        return sample
    }

    /// Pages that TCP's sockets of both families hold in their buffers (proc_net_sockstat(5)).
    package static func socketPageCount(_ text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix("TCP:") {
            let words = line.split(separator: " ")
            guard let name = words.firstIndex(of: "mem"), name + 1 < words.count else { return nil }
            return Int(words[name + 1])
        }
        return nil
    }

    /// Since Linux 6.2 the directory's size; nil before it, where many descriptors would take long to count.
    private var descriptorCount: Int? {
        var status = stat()
        // Safe: the call fills the structure that it is given.
        guard unsafe stat("/proc/\(pid)/fd", &status) == 0, status.st_size > 0 else { return nil }
        return status.st_size
    }

    /// Lines of `Name: value kB`, in bytes.
    private static func fields(_ path: String) -> [String: Int] {
        guard let text = read(path) else { return [:] }
        var fields: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let words = line[line.index(after: colon)...].split { $0 == " " || $0 == "\t" }
            guard words.count == 2, words[1] == "kB", let value = words.first.flatMap({ Int($0) }) else { continue }
            fields[String(line[..<colon])] = value << 10
        }
        return fields
    }

    /// CPU time of all threads, in user space and in the kernel.
    package var cpuSeconds: Double? {
        guard let stat = ProcessMeter.read("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        // Behind the name in parentheses come the fields from the third on; utime and stime are the 14th and 15th.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return nil }
        return Double(user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// A small file as text; nil where it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16_384)
        // Safe: the array's own bytes, with their count.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress!, $0.count) }
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
