// SPDX-License-Identifier: Apache-2.0

/// Runs `body` for all elements at the same time. What each came to, in their order; every one is run to its end,
/// whatever becomes of the others.
func concurrently<Element: Sendable, Value: Sendable>(
    _ elements: [Element], _ body: @escaping @Sendable (Element) async throws(LoadTestError) -> Value
) async -> [Result<Value, LoadTestError>] {
    await withTaskGroup(of: (Int, Result<Value, LoadTestError>).self) { tasks in
        for (index, element) in elements.enumerated() {
            tasks.addTask {
                do throws(LoadTestError) {
                    return (index, .success(try await body(element)))
                } catch {
                    return (index, .failure(error))
                }
            }
        }
        var results: [(Int, Result<Value, LoadTestError>)] = []
        for await result in tasks { results.append(result) }
        return results.sorted { $0.0 < $1.0 }.map(\.1)
    }
}
