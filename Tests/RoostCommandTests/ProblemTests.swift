// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostDaemon

/// What people read who got something wrong.
@Suite struct ProblemTests {
    @Test(
        "a problem names line, key, value and what is allowed",
        arguments: [
            ("schedulers: 65", "schedulers is 65; use 0 to 64"),
            ("schedulers: many", "schedulers is 'many'; use a whole number, 0 to 64"),
            ("max-message-bytes: 0", "max-message-bytes is 0; use 1 to 1GiB"),
            ("max-message-bytes: big", "max-message-bytes is 'big'; use bytes as in 65536, 64KiB or 1MiB, 1 to 1GiB"),
            ("max-heap-bytes: 1", "max-heap-bytes is 1; use 64KiB to 1TiB, or 0 for no limit"),
            (
                "drain-timeout: soon",
                "drain-timeout is 'soon'; use a duration as in 250ms, 30s, 5m or 1h (a plain number is seconds), "
                    + "0 to 1d"
            ),
            ("ping-interval: 1ms", "ping-interval is 1ms; use 100ms to 1d, or 0 for none"),
            ("slow-consumer: drop", "slow-consumer is 'drop'; use close or drop-oldest"),
            ("log-level: loud", "log-level is 'loud'; use one of trace, debug, info, notice, warning, error, critical"),
            ("restart: {on-crash: panic}", "restart.on-crash is 'panic'; use restart or close"),
            ("idle-timeout:", "idle-timeout has no value; give it one or remove the key"),
            ("close-timeout: [1, 2]", "close-timeout is a list or a section; give it a single value"),
            ("listen: {a: 1}", "listen holds a section or a list; give it a list of single values"),
            ("listen: []", "listen is empty; give at least one address, as in 127.0.0.1:9001"),
            ("listen: [127.0.0.1:1, 127.0.0.1:1]", "listen names 127.0.0.1:1 twice; remove one"),
            ("listen: nowhere", "listen: 'nowhere' has no port; write host:port, for example 127.0.0.1:9001"),
            (
                "allowed-origins: [example.com]",
                "allowed-origins has 'example.com'; write an origin as browsers send it, as in https://example.com or "
                    + "http://localhost:8080, or the single word any"
            ),
            ("routes: []", "routes is empty; name at least one route, or remove it to have /echo"),
            ("routes: /echo", "routes is no list; write `- path: /echo` and `kind: echo` under it"),
            ("routes: [{kind: echo}]", "route 1: path is missing; add one, as in `path: /echo`"),
            ("routes: [{path: /a}]", "route /a: kind is missing; add one, as in `kind: echo`"),
            ("routes: [{path: a, kind: echo}]", "route a: path is 'a'; it must begin with /"),
            (
                "routes: [{path: '/a?b', kind: echo}]",
                "route /a?b: path is '/a?b'; it is matched with the path alone: leave out ?, # and blanks"
            ),
            (
                "routes: [{path: '/a*', kind: echo}]",
                "route /a*: path is '/a*'; * stands for the rest of a path, only at its end and after /, as in /chat/*"
            ),
            ("routes: [{path: /a, kind: echo}, {path: /a, kind: echo}]", "route /a: path is given twice; remove one"),
            ("routes: [text]", "route 1 is no section; write `path: /…` and `kind: echo`"),
            ("routes: [{path: /a, kind: echo, pong-timeout: 0}]", "route /a: pong-timeout is 0; use 100ms to 1d"),
        ])
    func namesWhatIsWrong(yaml: String, message: String) { #expect(problems(yaml) == ["test.yaml:1: \(message)"]) }

    @Test(
        "an unknown key is named with the nearest",
        arguments: [
            ("max-connection: 1", "max-connection is no known key; did you mean max-connections?"),
            ("reductions_per_turn: 1", "reductions_per_turn is no known key; did you mean reductions-per-turn?"),
            ("x: 1", "x is no known key; the nearest is listen, and config/roost.yaml has every key"),
            ("intensity: 1", "intensity is no key here; it belongs under restart, as restart.intensity"),
            ("restart: {intensty: 1}", "restart.intensty is no known key; did you mean restart.intensity?"),
            ("restart: close", "restart is no section; write `on-crash: restart` or `on-crash: close` under it"),
            (
                "routes: [{path: /a, kind: echo, schedulers: 1}]",
                "route 1: schedulers is no key here; it is a setting of the whole server: move it to the top level"
            ),
            ("routes: [{path: /a, kind: echo, pah: 1}]", "route 1: pah is no known key; did you mean path?"),
        ])
    func namesUnknownKeys(yaml: String, message: String) { #expect(problems(yaml) == ["test.yaml:1: \(message)"]) }

    @Test("an unknown kind is named with the nearest and all there are") func namesUnknownKinds() {
        let found = problems("routes: [{path: /a, kind: demo/spni}]")
        #expect(found.count == 1)
        #expect(
            found.first?.hasPrefix(
                "test.yaml:1: route /a: kind is 'demo/spni'; did you mean demo/spin? There are echo,") == true)
    }

    @Test("all problems are told at once, from the top of the file to its end") func tellsAllAtOnce() {
        let found = problems(
            """
            schedulers: 99
            bogus: 1
            routes:
              - path: /a
                kind: echo
                max-message-bytes: lots
              - path: b
            log-level: loud
            """, environment: ["ROOST_DRAIN_TIMEOUT": "x"])
        let places = found.map { $0.prefix { $0 != " " } }
        #expect(
            places == [
                "ROOST_DRAIN_TIMEOUT", "test.yaml:1:", "test.yaml:2:", "test.yaml:6:", "test.yaml:7:", "test.yaml:7:",
                "test.yaml:8:",
            ])
    }

    @Test("options and variables are called by their own names") func namesTheSource() {
        #expect(problems { $0.schedulers = "99" } == ["--schedulers is 99; use 0 to 64"])
        #expect(problems { $0.maxMessageBytes = "0" } == ["--max-message is 0; use 1 to 1GiB"])
        #expect(
            problems { $0.listen = ["x"] } == ["--listen: 'x' has no port; write host:port, for example 127.0.0.1:9001"]
        )
        #expect(problems(environment: ["ROOST_SCHEDULERS": "99"]) == ["ROOST_SCHEDULERS is 99; use 0 to 64"])
        #expect(
            problems(environment: ["ROOST_RESTART_INTENSITY": "-1"]) == ["ROOST_RESTART_INTENSITY is -1; use 0 to 1000"]
        )
    }

    @Test("a misspelt variable is a problem; somebody else's is not") func namesUnknownVariables() {
        let misspelt = problems(environment: ["ROOST_MAX_CONECTIONS": "5"])
        #expect(misspelt == ["ROOST_MAX_CONECTIONS is no setting; did you mean ROOST_MAX_CONNECTIONS?"])
        let foreign = [
            "ROOST_SERVICE_HOST": "10.0.0.1", "ROOST_PORT": "tcp://10.0.0.1:9001", "LISTEN": "x", "ROOST_CONFIG": "x",
        ]
        #expect(problems(environment: foreign) == [])
    }

    @Test("the command line's faults are EX_USAGE, all others EX_CONFIG") func choosesTheExitCode() {
        func status(_ yaml: String?, _ schedulers: String?) -> RoostDaemon.ExitStatus? {
            do throws(ConfigurationError) {
                _ = try read(yaml) { $0.schedulers = schedulers }
                return nil
            } catch {
                return error.exitStatus
            }
        }
        #expect(status(nil, "99") == .usage)
        #expect(status("bogus: 1", nil) == .configuration)
        #expect(status("bogus: 1", "99") == .configuration)
        #expect(RoostDaemon.ExitStatus.usage.rawValue == 64 && RoostDaemon.ExitStatus.configuration.rawValue == 78)
    }

    @Test(
        "a file that is no YAML says where",
        arguments: [
            (
                "a: 1\nb: c: d",
                "test.yaml:2: is not YAML here: mapping values are not allowed in this context (column 5)"
            ),
            ("a: 1\nb: 2\na: 3", "test.yaml:1: a is given more than once in this section; remove all but one"),
            ("- x", "test.yaml:1: the file is no list of `key: value` lines; see config/roost.yaml"),
            ("just text", "test.yaml:1: the file is no list of `key: value` lines; see config/roost.yaml"),
            ("a: 1\n---\nb: 2", "test.yaml:2: is not YAML here: but found another document (column 1)"),
        ])
    func namesBrokenYAML(yaml: String, message: String) { #expect(problems(yaml) == [message]) }

    @Test("a file that cannot be read says why") func namesUnreadableFiles() throws {
        func message(_ path: String) -> String? {
            do throws(ConfigurationError) {
                _ = try DaemonConfiguration.read(file: path, commandLine: CommandLineSettings(), environment: [:])
                return nil
            } catch {
                return error.description
            }
        }
        #expect(message("/nonexistent/x.yaml") == "/nonexistent/x.yaml: cannot be opened: No such file or directory")
        #expect(message("/proc/self") == "/proc/self: cannot be read: Is a directory")
        #expect(message("/dev/zero") == "/dev/zero: is larger than 16MiB: it is no configuration file")
    }
}
