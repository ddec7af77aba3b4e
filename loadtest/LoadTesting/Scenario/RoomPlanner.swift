// SPDX-License-Identifier: Apache-2.0

/// Puts the groups that publish together with those that subscribe, once it is known how many clients each has.
struct RoomPlanner {
    /// By group.
    private let readers: [SectionReader]
    private let workerCount: Int
    private let problems: ProblemList

    init(_ readers: [SectionReader], workerCount: Int, _ problems: ProblemList) {
        self.readers = readers
        self.workerCount = workerCount
        self.problems = problems
    }

    func plan(_ plan: inout LoadPlan, connectFirst: YAMLNode?) {
        // Without them the counts are not known: what is wrong has been told.
        guard readers.count == plan.groups.count else { return }
        let publishing = plan.groups.indices.filter { isPublishing(plan.groups[$0]) }
        for index in publishing { publish(&plan.groups[index], index) }
        // Subscribers of each group that publishes: of the largest group, which has one in every room or none has.
        var reach: [Int: Int] = [:]
        var areKnown = true
        for index in plan.groups.indices {
            guard case .subscribe(let wish) = plan.groups[index].behaviour else { continue }
            guard let source = source(wish, index, publishing, plan.groups) else {
                areKnown = false
                continue
            }
            reach[source] = max(reach[source] ?? 0, plan.groups[index].clientCount)
            subscribe(&plan.groups[index], index, to: plan.groups[source], readByteRate: wish.readByteRate)
        }
        for index in plan.groups.indices {
            let group = plan.groups[index]
            guard let fanOut = group.behaviour.fanOut else {
                refuseRooms(group, index)
                continue
            }
            plan.endTimeoutSeconds = max(plan.endTimeoutSeconds, fanOut.awaitSeconds + 1)
            if isPublishing(group), areKnown { checkReach(reach[index] ?? 0, group, index, fanOut) }
        }
        if !plan.connectsFirst, !publishing.isEmpty, let connectFirst {
            problems.add(
                connectFirst,
                "connect-first is \(connectFirst.shown), but subscribers must be there before the first message; "
                    + "remove it, or the groups that publish")
        }
    }

    private func isPublishing(_ group: ClientGroup) -> Bool {
        if case .publish = group.behaviour { true } else { false }
    }

    private func add(_ index: Int, _ message: String) {
        let reader = readers[index]
        problems.add(reader.value("work") ?? reader.node, reader.place + message)
    }

    // MARK: -

    private func publish(_ group: inout ClientGroup, _ index: Int) {
        guard case .publish(var plan) = group.behaviour else { return }
        plan.name = group.name
        plan.publisherCount = group.clientCount
        if plan.roomCount > plan.publisherCount {
            add(
                index,
                "publish: rooms is \(plan.roomCount), but the group has \(plan.publisherCount) clients; use at least "
                    + "one for each room")
        }
        if case .inFlight = plan.pace, !plan.roomCount.isMultiple(of: workerCount) {
            add(
                index,
                "publish: rooms is \(plan.roomCount) with \(workerCount) workers: with in-flight each room's clients "
                    + "are in one worker; use a multiple of \(workerCount), or per-second")
        }
        checkRoom(group, index, plan, plan.publishTemplate)
        group.behaviour = .publish(plan)
        group.target = group.target.inRooms(plan.roomCount)
    }

    private func subscribe(_ group: inout ClientGroup, _ index: Int, to source: ClientGroup, readByteRate: Int?) {
        guard case .publish(var plan) = source.behaviour else { return }
        plan.readByteRate = readByteRate
        checkRoom(group, index, plan, plan.subscribeMessage)
        group.behaviour = .subscribe(plan)
        group.target = group.target.inRooms(plan.roomCount)
        // A server may cut off who reads slowly: that is what such a group is there to see.
        group.expectsLosses = readByteRate != nil
    }

    private func checkReach(_ subscriberCount: Int, _ group: ClientGroup, _ index: Int, _ plan: FanOutPlan) {
        if subscriberCount == 0 {
            add(index, "nobody subscribes to it; add a group with `work: {subscribe: {to: \(group.name)}}`")
        } else if subscriberCount < plan.roomCount {
            add(
                index,
                "publish: rooms is \(plan.roomCount), but no group that subscribes has more than \(subscriberCount) "
                    + "clients; use at least one for each room")
        }
    }

    /// The group whose messages a group subscribes to.
    private func source(_ wish: FanOutPlan, _ index: Int, _ publishing: [Int], _ groups: [ClientGroup]) -> Int? {
        let names = publishing.map { groups[$0].name }
        guard !names.isEmpty else {
            add(index, "subscribe: no group publishes; add one with `work: publish`")
            return nil
        }
        if wish.name.isEmpty, publishing.count == 1 { return publishing[0] }
        guard !wish.name.isEmpty else {
            add(
                index, "subscribe: to is missing; name one of the groups that publish: \(names.joined(separator: ", "))"
            )
            return nil
        }
        if let place = names.firstIndex(of: wish.name) { return publishing[place] }
        let name = Printable.short(wish.name)
        add(
            index,
            "subscribe: to is '\(name)', which is no group that publishes\(Nearest.hint(wish.name, among: names))")
        return nil
    }

    private func checkRoom(_ group: ClientGroup, _ index: Int, _ plan: FanOutPlan, _ message: String?) {
        guard plan.roomCount > 1, !group.target.urls.isEmpty, message?.contains("{room}") != true,
            !group.target.urls.contains(where: { $0.contains("{room}") })
        else { return }
        add(
            index,
            "there are \(plan.roomCount) rooms, but nothing says which one is meant; write {room} into the url, or "
                + "into subscribe-message and publish-template")
    }

    private func refuseRooms(_ group: ClientGroup, _ index: Int) {
        guard let url = group.target.urls.first(where: { $0.contains("{room}") }) else { return }
        let reader = readers[index]
        problems.add(
            reader.value("url") ?? reader.value("urls") ?? reader.node,
            "\(reader.place)url is '\(Printable.short(url))'; {room} is for groups that publish or subscribe, write "
                + "another url here")
    }
}
