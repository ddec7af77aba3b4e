// SPDX-License-Identifier: Apache-2.0

extension ScriptPlan {
    /// Whether every position, slot and index is in range, and every time one that can be waited for: what the
    /// interpreter (`ScriptClient`) relies on.
    func isConsistent(groupCount: Int) -> Bool {
        guard measureGroups.count == measureNames.count, measureGroups.allSatisfy((0..<groupCount).contains),
            (0...steps.count).contains(loopDepth), lifetime?.isConsistent != false
        else { return false }
        return steps.allSatisfy(isConsistent)
            && replies.allSatisfy { $0.conditions.allSatisfy(isConsistent) && isConsistent($0.send) }
    }

    private func isConsistent(_ step: ScriptStep) -> Bool {
        switch step {
        case .send(let step): isConsistent(step)
        case .expect(let step):
            step.conditions.allSatisfy(isConsistent) && isConsistent(step.measure)
                && ThinkTime.isTime(step.timeoutSeconds)
                && step.captures.allSatisfy { captureNames.indices.contains($0.slot) }
        case .expectClose(let step):
            isConsistent(step.measure) && ThinkTime.isTime(step.timeoutSeconds)
                && step.reason.map(isConsistent) != false
        case .think(let time): time.isConsistent
        case .loop(let loop, let count, let end):
            (0..<loopDepth).contains(loop) && count ?? 0 >= 0 && (0...steps.count).contains(end)
        case .loopEnd(let loop, let start): (0..<loopDepth).contains(loop) && (0...steps.count).contains(start)
        case .close, .waitForBegin: true
        }
    }

    private func isConsistent(_ step: SendStep) -> Bool {
        switch step.payload {
        case .template(let template): isConsistent(template)
        case .generated(let size): (try? size.validate()) != nil
        }
    }

    private func isConsistent(_ condition: ExpectStep.Condition) -> Bool {
        switch condition {
        case .echo: true
        case .contains(let template), .equals(let template), .json(_, let template): isConsistent(template)
        case .matches(let index): patterns.indices.contains(index)
        }
    }

    private func isConsistent(_ measure: ExpectStep.Measure) -> Bool {
        guard case .named(let index) = measure else { return true }
        return measureNames.indices.contains(index)
    }

    private func isConsistent(_ template: ScriptTemplate) -> Bool {
        template.pieces.allSatisfy { piece in
            switch piece {
            case .captured(let slot): captureNames.indices.contains(slot)
            case .random(let least, let most): least <= most
            case .literal, .client, .attempt, .sequence, .milliseconds, .uuid: true
            }
        }
    }
}

extension ThinkTime {
    /// Its nanoseconds are a number that timers take.
    static func isTime(_ seconds: Double) -> Bool { (0...31_536_000).contains(seconds) }

    var isConsistent: Bool {
        switch self {
        case .constant(let seconds): Self.isTime(seconds)
        case .uniform(let least, let most): Self.isTime(least) && Self.isTime(most) && least <= most
        case .exponential(let mean, let most): Self.isTime(mean) && Self.isTime(most)
        case .lognormal(let median, let sigma, let most):
            Self.isTime(median) && Self.isTime(most) && (0...100).contains(sigma)
        case .choice(let times): !times.isEmpty && times.allSatisfy { Self.isTime($0.seconds) && $0.weight > 0 }
        }
    }
}
