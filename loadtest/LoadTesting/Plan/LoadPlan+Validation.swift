// SPDX-License-Identifier: Apache-2.0

extension LoadPlan {
    /// Throws where a value is out of its range, with the option, the value and the range.
    package func validate() throws(LoadTestError) {
        if groups.isEmpty { throw LoadTestError("there is no group of clients; give one") }
        try Self.check("--schedulers", schedulerCount, 0...64, "; 0 is one for each core")
        try Self.check("--connecting", connectingCountMax, 1...1_000_000)
        try Self.check("--warmup", warmupSeconds, 0...86_400)
        try Self.check("--end-timeout", endTimeoutSeconds, 0...86_400)
        try Self.check("--interval", intervalSeconds, 0.01...3_600)
        try Self.check("--hold", holdSeconds, 0...31_536_000)
        if let durationSeconds { try Self.check("--duration", durationSeconds, 0.001...31_536_000) }
        for group in groups { try group.validate(groupCount: groups.count) }
        if clientCount == 0 { throw LoadTestError("--connections is 0; use 1...100000000") }
    }

    static func check<Value: Comparable>(
        _ option: String, _ value: Value, _ range: ClosedRange<Value>, _ remark: String = ""
    ) throws(LoadTestError) {
        guard range.contains(value) else {
            throw LoadTestError("\(option) is \(value); use \(range.lowerBound)...\(range.upperBound)\(remark)")
        }
    }
}

extension ClientGroup {
    fileprivate func validate(groupCount: Int) throws(LoadTestError) {
        // A group without clients holds what a flow measures under a name.
        if clientCount != 0 { try LoadPlan.check("--connections", clientCount, 1...100_000_000) }
        if target.urls.isEmpty { throw LoadTestError("the group \(name) has no URL; give one") }
        try LoadPlan.check("--connect-timeout", target.connectTimeoutSeconds, 0.001...3_600)
        if let arrivalsPerSecond { try LoadPlan.check("--rate", arrivalsPerSecond, 0.001...10_000_000) }
        switch behaviour {
        case .echo(let plan):
            try plan.size.validate()
            try LoadPlan.check("--in-flight", plan.inFlight, 1...EchoPlan.inFlightMax)
        case .paced(let plan):
            try plan.size.validate()
            try LoadPlan.check("--rate", plan.ratePerSecond, 0.000_001...1e9)
            try LoadPlan.check("--in-flight-max", plan.inFlightMax, 1...1_000_000)
        case .churn(let plan):
            try plan.size.validate()
            try LoadPlan.check("--messages", plan.messageCount, 0...1_000_000_000)
        case .heartbeat(let plan):
            try plan.size.validate()
            try LoadPlan.check("--heartbeat", plan.periodSeconds, 0.01...3_600)
        // The rest of a fan-out is looked at where the number of workers is known.
        case .publish(let plan), .subscribe(let plan):
            try LoadPlan.check("--size", plan.byteCount, 0...FanOutPlan.byteCountMax)
            if case .publish = behaviour {
                try LoadPlan.check("--publishers", plan.publisherCount, clientCount...max(clientCount, 1_000_000))
            }
        case .script(let plan):
            // Files are checked as they are read; a plan may have come over a network.
            guard plan.isConsistent(groupCount: groupCount) else {
                throw LoadTestError("the flow of the group \(name) refers to what it does not have; send another plan")
            }
        case .idle: break
        }
    }
}

extension SizeDistribution {
    /// The largest message: as `max-message-bytes` may be on a Roost server.
    static let byteCountLimit = 1 << 28
    static let sigmaMax = 10.0

    func validate() throws(LoadTestError) {
        func check(_ byteCount: Int) throws(LoadTestError) {
            try LoadPlan.check("--size", byteCount, 0...Self.byteCountLimit)
        }
        func checkPositive(_ value: Double, _ name: String) throws(LoadTestError) {
            guard value > 0, value <= Double(Self.byteCountLimit) else {
                throw LoadTestError("--size has the \(name) \(value); use more than 0, at most \(Self.byteCountLimit)")
            }
        }
        switch self {
        case .fixed(let byteCount): try check(byteCount)
        case .uniform(let least, let most):
            try check(least)
            try check(most)
            if least > most { throw LoadTestError("--size is uniform from \(least) to \(most); swap them") }
        case .exponential(let mean, let most):
            try checkPositive(mean, "mean")
            try check(most)
        case .lognormal(let median, let sigma, let most):
            try checkPositive(median, "median")
            try LoadPlan.check("--size's sigma", sigma, 0...Self.sigmaMax)
            try check(most)
        case .choice(let sizes):
            if sizes.isEmpty { throw LoadTestError("--size is a choice of nothing; name sizes and their weights") }
            for size in sizes {
                try check(size.byteCount)
                guard size.weight > 0, size.weight.isFinite else {
                    throw LoadTestError("--size gives \(size.byteCount) the weight \(size.weight); use more than 0")
                }
            }
        }
    }
}
