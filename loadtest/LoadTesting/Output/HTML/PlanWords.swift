// SPDX-License-Identifier: Apache-2.0

/// A plan in sentences, for those who were not there.
enum PlanWords {
    static func sentences(_ plan: LoadPlan) -> [String] {
        // A group without clients holds what a flow measures under a name.
        var result = plan.groups.filter { $0.clientCount > 0 }.map(sentence)
        var times: [String] = []
        if plan.warmupSeconds > 0 { times.append("\(seconds(plan.warmupSeconds)) of warm-up") }
        times.append(plan.durationSeconds.map { "\(seconds($0)) measured" } ?? "measured until interrupted")
        let start = plan.connectsFirst ? "Once every client has connected: " : "From the first connection on: "
        result.append(start + times.joined(separator: ", then ") + ".")
        return result
    }

    private static func sentence(_ group: ClientGroup) -> String {
        var text =
            "\(Format.grouped(group.clientCount)) clients \u{201c}\(group.name)\u{201d} \(words(group.behaviour))"
        if let rate = group.arrivalsPerSecond {
            text += "; \(PlotUnit.significant(rate)) connections begun in each second"
        }
        if let backoff = group.backoff { text += "; those that lose a connection come back \(words(backoff))" }
        if group.target.isCompressed { text += "; compression offered" }
        return text + "."
    }

    static func words(_ behaviour: Behaviour) -> String {
        switch behaviour {
        case .idle: "hold their connections and send nothing"
        case .echo(let plan):
            "send \(plan.isText ? "text" : "binary") messages of \(words(plan.size)), each client with "
                + "\(Format.grouped(plan.inFlight)) in flight, and wait for every answer"
        case .paced(let plan):
            "send \(plan.isText ? "text" : "binary") messages of \(words(plan.size)), "
                + "\(PlotUnit.significant(plan.ratePerSecond)) in each second together (\(plan.pacing.rawValue))"
                + (plan.awaitsAnswers ? ", whether or not answers come" : ", and expect no answers")
        case .script(let plan):
            plan.hasExpectations ? "play a flow of steps and check what comes" : "play a flow of steps"
        case .publish(let plan):
            "publish \(plan.isText ? "text" : "binary") messages of \(Format.bytes(plan.byteCount)), "
                + words(plan.pace)
        case .subscribe(let plan):
            plan.readByteRate.map { "subscribe, and read \(Format.bytes($0)) of messages in a second" }
                ?? "subscribe, and are to get every message once, in order"
        case .heartbeat(let plan):
            "send a \(plan.isText ? "text" : "binary") message of \(words(plan.size)) when they have connected and "
                + "then each \(seconds(plan.periodSeconds)), and expect it back"
        case .churn(let plan):
            "connect, exchange \(Format.grouped(plan.messageCount)) messages of \(words(plan.size)), go, and come back"
        }
    }

    private static func words(_ pace: FanOutPlan.Pace) -> String {
        switch pace {
        case .rate(let rate): "\(PlotUnit.significant(rate)) in each second together"
        case .inFlight(let count): "\(Format.grouped(count)) of each on their way to all subscribers"
        }
    }

    private static func words(_ size: SizeDistribution) -> String {
        switch size {
        case .fixed(let count): Format.bytes(count)
        case .uniform(let least, let most): "\(Format.bytes(least)) to \(Format.bytes(most))"
        case .exponential(let mean, let most):
            "\(Format.bytes(Int(mean))) on average (exponential, at most \(Format.bytes(most)))"
        case .lognormal(let median, _, let most):
            "\(Format.bytes(Int(median))) in the median (lognormal, at most \(Format.bytes(most)))"
        case .choice(let sizes): "one of \(sizes.count) sizes up to \(Format.bytes(sizes.map(\.byteCount).max() ?? 0))"
        }
    }

    static func words(_ backoff: Backoff) -> String {
        switch backoff {
        case .constant(let seconds): "after \(self.seconds(seconds))"
        case .pause(let seconds): seconds > 0 ? "after \(self.seconds(seconds))" : "at once"
        case .phoenix: "as Phoenix's clients do"
        case .socketio: "as Socket.IO's clients do"
        case .centrifuge: "as Centrifugo's clients do"
        }
    }

    private static func seconds(_ value: Double) -> String {
        value < 120 ? PlotUnit.significant(value) + " s" : Format.elapsed(value)
    }
}

/// A moment in UTC, as RFC 3339 has it but with a blank.
enum CalendarDate {
    /// `seconds` since 1970.
    static func text(_ seconds: Double) -> String {
        guard seconds.isFinite, abs(seconds) < 1e11 else { return "at an unknown time" }
        let whole = Int(seconds.rounded(.down))
        let day = (whole - modulo(whole, 86_400)) / 86_400
        let (year, month, dayOfMonth) = civil(day)
        let second = modulo(whole, 86_400)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(year)-\(two(month))-\(two(dayOfMonth)) "
            + "\(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)) UTC"
    }

    /// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that a leap day is a year's last.
    private static func civil(_ day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = (shifted - modulo(shifted, 146_097)) / 146_097
        let dayOfEra = modulo(shifted, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        )
    }

    private static func modulo(_ value: Int, _ divisor: Int) -> Int { (value % divisor + divisor) % divisor }
}
