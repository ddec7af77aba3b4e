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
                    + "http://localhost:8080, https://*.example.com for all names below one, null, same for the "
                    + "server's own, or the single word any"
            ),
            (
                "routes: []",
                "routes is empty; name at least one route, or remove it to have /echo, /broadcast, /health and /metrics"
            ),
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
            (
                "routes: [{path: /a, kind: broadcast}, {path: /a/*, kind: echo}]",
                "route /a/*: path is given twice; remove one"
            ),
            (
                "routes: [{path: /a/*, kind: broadcast}]",
                "route /a/*: path is '/a/*'; rooms are behind it already, one segment each: write /a"
            ),
            (
                "routes: [{path: /a/, kind: broadcast}]",
                "route /a/: path is '/a/'; rooms are behind it already, one segment each: write /a"
            ),
            (
                "routes: [{path: /a, kind: echo, max-room-bytes: 1MiB}]",
                "route /a: max-room-bytes is for the kind broadcast alone; remove it, or write `kind: broadcast`"
            ),
            (
                "routes: [{path: /a, kind: broadcast, max-room-bytes: 1}]",
                "route /a: max-room-bytes is 1; use 1KiB to 1GiB"
            ),
            ("routes: [text]", "route 1 is no section; write `path: /…` and `kind: echo`"),
            ("routes: [{path: /a, kind: echo, pong-timeout: 0}]", "route /a: pong-timeout is 0; use 100ms to 1d"),
        ])
    func namesWhatIsWrong(yaml: String, message: String) { #expect(problems(yaml) == ["test.yaml:1: \(message)"]) }

    @Test(
        "an unknown key is named with the nearest",
        arguments: [
            ("max-connection: 1", "max-connection is no known key; did you mean max-connections?"),
            ("reductions_per_turn: 1", "reductions_per_turn is no known key; did you mean reductions-per-turn?"),
            ("x: 1", "x is no known key; the nearest is tls, and config/roost.yaml has every key"),
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

    @Test(
        "what listeners lack, or have too much of, is said",
        arguments: [
            ("proxy-protocol: maybe", "proxy-protocol is 'maybe'; use yes or no"),
            (
                "proxy-protocol: yes",
                "proxy-protocol needs trusted-proxies: name the addresses whose word is taken, as in "
                    + "[127.0.0.1, 10.0.0.0/8]"
            ),
            (
                "forwarded-header: forwarded",
                "forwarded-header needs trusted-proxies: name the addresses whose word is taken, as in "
                    + "[127.0.0.1, 10.0.0.0/8]"
            ),
            ("forwarded-header: via", "forwarded-header is 'via'; use none, forwarded or x-forwarded-for"),
            ("max-body-bytes: 2GiB", "max-body-bytes is 2GiB; use 0 to 1GiB"),
            (
                "compression: fast",
                "compression is 'fast'; write off, no-takeover or takeover behind it, or "
                    + "`mode: no-takeover` under it"
            ),
            ("compression: takover", "compression is 'takover'; did you mean takeover?"),
            (
                "compression:",
                "compression is no section; write off, no-takeover or takeover behind it, or "
                    + "`mode: no-takeover` under it"
            ),
            ("compression: {mode: on}", "compression.mode is 'on'; use off, no-takeover or takeover"),
            ("compression: {level: 0}", "compression.level is 0; use 1 to 9"),
            ("compression: {levl: 1}", "compression.levl is no known key; did you mean compression.level?"),
            ("window-bits: 9", "window-bits is no key here; it belongs under compression, as compression.window-bits"),
            ("tls: on", "tls is 'on'; did you mean off?"),
            ("tls: please", "tls is 'please'; write `chain: FILE` and `key: FILE` under it, or off behind it"),
            ("tls: [a]", "tls is no section; write `chain: FILE` and `key: FILE` under it, or off behind it"),
            ("tls: {min-version: 1.3}", "tls has no certificate; add chain and key, or write `tls: off`"),
            ("tls: {chain: a}", "tls.chain needs tls.key: name the file with the private key"),
            (
                "tls: {key: a}",
                "tls.key needs tls.chain: name the file with the certificate and those that it is signed with"
            ),
            ("tls: {chain: a, key: b, min-version: 1.1}", "tls.min-version is '1.1'; use 1.2 or 1.3"),
            (
                "tls: {chain: a, key: b, client-certificates: required}",
                "tls.client-certificates is required and needs tls.client-ca: name the file with the certificates that "
                    + "clients' are signed with"
            ),
            (
                "tls: {chain: a, key: b, client-ca: c}",
                "tls.client-ca is for clients that show certificates; set tls.client-certificates to optional or "
                    + "required, or remove it"
            ),
            ("tls: {certificates: []}", "tls.certificates is empty; name a certificate, or write `tls: off`"),
            (
                "tls: {certificates: a.pem}",
                "tls.certificates is no list; write `- chain: FILE` and `key: FILE` under it"
            ),
            ("tls: {certificates: [{chain: a}]}", "tls.certificates 1 has no key; add one, as in `key: example.key`"),
            ("tls: {certificates: [a.pem]}", "tls.certificates 1 is no section; write `chain: FILE` and `key: FILE`"),
            (
                "tls: {certificates: [{chain: a, key: b, cain: c}]}",
                "tls.certificates 1: cain is no known key; did you mean chain?"
            ),
            (
                "tls: {chain: a, key: b, certificates: [{chain: a, key: b}]}",
                "tls has certificates and a chain besides; move it there"
            ),
            ("chain: a", "chain is no key here; it belongs under tls, as tls.chain"),
            ("listeners: x", "listeners is no list; write `- address: 127.0.0.1:9001` under it"),
            ("listeners: []", "listeners is empty; name at least one, or remove it to listen on 127.0.0.1:9001"),
            ("listeners: [x]", "listener 1 is no section; write `address: 127.0.0.1:9001`"),
            (
                "listeners: [{max-connections: 1}]",
                "listener 1: address is missing; add one, as in `address: 127.0.0.1:9001`"
            ),
            (
                "listeners: [{address: nowhere}]",
                "listener nowhere: address: 'nowhere' has no port; write host:port, for example 127.0.0.1:9001"
            ),
            (
                "listeners: [{address: 'unix:/x'}, {address: 'unix:/x'}]",
                "listener unix:/x: address names unix:/x twice; remove one"
            ),
            (
                "listeners: [{address: 'unix:/x', max-connections: 0}]",
                "listener unix:/x: max-connections is 0; use 1 to 10000000"
            ),
            (
                "listeners: [{address: 'unix:/x', max-message-bytes: 1}]",
                "listener 1: max-message-bytes is no key here; it is a setting of routes: move it into one of them, or "
                    + "to the top level for all"
            ),
            (
                "listeners: [{address: 'unix:/x', schedulers: 1}]",
                "listener 1: schedulers is no key here; it is a setting of the whole server: move it to the top level"
            ),
            (
                "listeners: [{address: 'unix:/x', routes: []}]",
                "listener unix:/x: routes is empty; name at least one route, or remove it to have those of the top "
                    + "level"
            ),
            (
                "listeners: [{address: 'unix:/x', routes: [{path: /a}]}]",
                "listener unix:/x: route /a: kind is missing; add one, as in `kind: echo`"
            ),
            (
                "listeners: [{address: 'unix:/x', routes: [{path: /a, kind: echo, tls: off}]}]",
                "listener 1: route 1: tls is no key here; it is a setting of listeners: move it to the top level, or "
                    + "into one of listeners"
            ),
            (
                "listeners: [{address: 'unix:/x', proxy-protocol: yes}]",
                "listener unix:/x: proxy-protocol needs trusted-proxies: name the addresses whose word is taken, as in "
                    + "[127.0.0.1, 10.0.0.0/8]"
            ),
            (
                "{listen: 'unix:/y', listeners: [{address: 'unix:/x'}]}",
                "listen and listeners are both set; move each address of listen into listeners, as in "
                    + "`- address: 127.0.0.1:9001`, and remove listen"
            ),
            (
                "address: 127.0.0.1:1",
                "address is no key here; it belongs into an element of listeners; or write "
                    + "`listen: ADDRESS`"
            ),
            ("kind: echo", "kind is no key here; it belongs into an element of routes"),
            (
                "routes: [{path: /a, kind: page}]",
                "route /a: file is missing; name what the page is read from, as in `file: index.html`"
            ),
            (
                "routes: [{path: /a, kind: echo, file: x}]",
                "route /a: file is for the kind page alone; remove it, or write `kind: page`"
            ),
            (
                "routes: [{path: /a, kind: health, compression: off}]",
                "route /a: compression is for WebSockets, and health answers plain HTTP requests; remove it"
            ),
        ])
    func namesWhatListenersLack(yaml: String, message: String) {
        #expect(problems(yaml) == ["test.yaml:1: \(message)"])
    }

    @Test("a fault that listeners inherit is named where it is") func namesInheritedFaults() {
        #expect(
            problems("# 1\nproxy-protocol: on\nlisteners:\n  - address: unix:/x\n") == [
                "test.yaml:2: listener unix:/x: proxy-protocol needs trusted-proxies: name the addresses whose word is "
                    + "taken, as in [127.0.0.1, 10.0.0.0/8]"
            ])
        #expect(
            problems("listeners:\n  - address: unix:/x\n    tls:\n      ciphers: x\n") == [
                "test.yaml:3: listener unix:/x: tls has no certificate; add chain and key, or write `tls: off`"
            ])
    }

    @Test("what the command line and variables cannot do is said with what can") func namesRivals() {
        let yaml = "listeners: [{address: 'unix:/x'}]"
        let remedy =
            " does not go with listeners in the file: change the addresses there, or write listen there instead of "
            + "listeners"
        #expect(problems(yaml) { $0.listen = ["unix:/y"] } == ["--listen" + remedy])
        #expect(problems(yaml, environment: ["ROOST_LISTEN": "unix:/y"]) == ["ROOST_LISTEN" + remedy])
        #expect(
            problems(yaml) { ($0.tlsChain, $0.tlsKey) = ("c", "k") }
                == ["chain", "key"].map {
                    "--tls-\($0) does not go with listeners in the file: write `tls: {chain: FILE, key: FILE}` into "
                        + "one of them"
                })
        #expect(problems { $0.tlsChain = "c" } == ["--tls-chain needs --tls-key: name the file with the private key"])
        #expect(
            problems("tls: {chain: a, key: b}") { $0.tlsKey = "k" } == [
                "--tls-key needs --tls-chain: name the file with the certificate and those that it is signed with"
            ])
        #expect(
            problems(environment: ["ROOST_TLS": "on"]) == [
                "ROOST_TLS is 'on'; use off, or set ROOST_TLS_CHAIN and ROOST_TLS_KEY"
            ])
        #expect(
            problems(environment: ["ROOST_COMPRESSION": "x"]) == [
                "ROOST_COMPRESSION is 'x'; use off, no-takeover or takeover"
            ])
        #expect(
            problems(environment: ["ROOST_COMPRESSION": "off", "ROOST_COMPRESSION_MODE": "off"]) == [
                "ROOST_COMPRESSION_MODE and ROOST_COMPRESSION are both set; remove one"
            ])
        #expect(
            problems(environment: ["ROOST_LISTENERS": "x"]) == [
                "ROOST_LISTENERS is no setting: listeners does not fit a variable; write it into a file"
            ])
        #expect(
            problems(environment: ["ROOST_PROXY_PROTOCOL": "yes"]) == [
                "ROOST_PROXY_PROTOCOL needs trusted-proxies: name the addresses whose word is taken, as in "
                    + "[127.0.0.1, 10.0.0.0/8]"
            ])
    }

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
            ("a: 1\nb", "test.yaml:2: is not YAML here: could not find expected ':' (column 1)"),
            ("a: 1\n---\nb: 2", "test.yaml:2: is not YAML here: but found another document (column 1)"),
        ])
    func namesBrokenYAML(yaml: String, message: String) { #expect(problems(yaml) == [message]) }

    @Test("values are bounded in number and depth: anchors could make a few lines of them more than memory holds")
    func boundsValues() {
        var lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        for level in 1...9 {
            let values = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            lines.append("a\(level): &a\(level) [\(values)]")
        }
        let many = problems(lines.joined(separator: "\n"))
        #expect(many.count == 1)
        #expect(many.first?.hasSuffix("has more than 100000 values: it is no configuration file") == true)
        func nested(_ depth: Int) -> [String] {
            problems("listen: " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        #expect(nested(33) == ["test.yaml:1: is nested more than 32 levels deep: it is no configuration file"])
        #expect(nested(31) == ["test.yaml:1: listen holds a section or a list; give it a list of single values"])
        // So deep that its parser gives up before.
        #expect(nested(5_000).first?.hasPrefix("test.yaml:1: is not YAML here: Maximum nesting level reached") == true)
    }

    @Test("a problem is one line, whatever the value has in it") func staysOnItsLine() {
        #expect(
            problems("log-level: \"a\\nb\\e[31m\"").first?.hasPrefix(
                #"test.yaml:1: log-level is 'a\x0ab\x1b[31m'; use one of"#) == true)
        #expect(problems("a: 1\nb: \u{1}").first?.hasPrefix("test.yaml:2: is not YAML: ") == true)
    }

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
