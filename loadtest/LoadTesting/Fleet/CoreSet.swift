// SPDX-License-Identifier: Apache-2.0

internal import RoostIO

/// Cores of this machine as users write them.
package enum CoreSet {
    /// Reads `1`, `1-3` or `0,2,4-6`: in that order, each once.
    package static func parse(_ text: String) throws(LoadTestError) -> [Int] {
        var cores: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                (0..<CoreAffinity.coreCountMax).contains(first), (first..<CoreAffinity.coreCountMax).contains(last)
            else { throw LoadTestError("--cores is '\(text)'; write it as 1, 1-3 or 0,2,4-6") }
            cores += (first...last).filter { !cores.contains($0) }
        }
        return cores
    }

    /// Lets this program's threads run on no other cores. Empty: changes nothing.
    package static func pin(_ cores: [Int]) throws(LoadTestError) {
        try check(cores)
        guard !cores.isEmpty, CoreAffinity.pin(cores) != 0 else { return }
        throw unusable(cores)
    }

    /// Throws where this program may not use one of them.
    static func check(_ cores: [Int]) throws(LoadTestError) {
        let available = CoreAffinity.available
        let others = cores.filter { !available.contains($0) }
        guard others.isEmpty else { throw unusable(others) }
    }

    private static func unusable(_ cores: [Int]) -> LoadTestError {
        let text = { (cores: [Int]) in cores.map(String.init).joined(separator: ",") }
        return LoadTestError(
            "--cores has \(text(cores)), which this program may not use; use some of \(text(CoreAffinity.available))")
    }

    /// Which of `cores` are for worker `index` of `count`: each core has one worker where there are enough, else each
    /// worker one core.
    package static func share(_ cores: [Int], _ index: Int, of count: Int) -> [Int] {
        guard cores.count > count else { return cores.isEmpty ? [] : [cores[index % cores.count]] }
        return cores.enumerated().filter { $0.offset % count == index }.map(\.element)
    }
}
