// SPDX-License-Identifier: Apache-2.0

extension ChildSpecification {
    /// A child that is one process and has a name: it registers itself before it counts as started, so that whoever is
    /// started after it finds it. (OTP: `gen_server:start_link({via, …}, …)`.)
    ///
    /// A name that somebody else has is a failed start: the report says who has it. A restarted child finds the name of
    /// its predecessor free. `value` lies beside the name.
    public static func registered<Key, Message>(
        _ id: String, as name: Name<Key, Message>, value: (any Sendable)? = nil, restart: Restart = .permanent,
        significant: Bool = false, shutdown: Shutdown = .timeout(.seconds(5)),
        options: ProcessOptions = ProcessOptions(),
        _ body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void
    ) -> ChildSpecification {
        .initializing(
            id, receiving: Message.self, restart: restart, significant: significant, shutdown: shutdown,
            options: options
        ) { process, acknowledgement in
            try name.registry.register(name.key, process, value: value)
            acknowledgement.ready()
            try body(process)
        }
    }
}
