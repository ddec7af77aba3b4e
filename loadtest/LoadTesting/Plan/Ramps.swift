// SPDX-License-Identifier: Apache-2.0

extension LoadPlan {
    /// `plan` as a ramp: its clients begin at a rate, and are measured from the first on.
    package static func ramp(_ plan: LoadPlan, _ connectionsPerSecond: Double, hold: Double) -> LoadPlan {
        var plan = plan
        for index in plan.groups.indices { plan.groups[index].arrivalsPerSecond = connectionsPerSecond }
        plan.connectsFirst = false
        plan.warmupSeconds = 0
        plan.durationSeconds = nil
        plan.holdSeconds = hold
        return plan
    }
}
