// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The command as a program: what it prints and how it ends.
@Suite struct CommandTests {
    @Test(
        "--version, --help and roost alone end well", arguments: [["--version"], ["--help"], ["serve", "--help"], []])
    func informs(arguments: [String]) throws {
        let run = try Command(arguments).finish()
        #expect(run.status == 0)
        #expect(run.output.contains("roost"))
    }

    @Test(
        "a wrong command line is EX_USAGE",
        arguments: [
            ["bogus"], ["serve", "extra"], ["serve", "--bogus"], ["serve", "--listen"],
            ["serve", "--schedulers", "many"],
            ["serve", "--max-message", "0"], ["serve", "--log-level", "loud"], ["serve", "--listen", "nowhere"],
        ])
    func refusesUsage(arguments: [String]) throws {
        let run = try Command(arguments).finish()
        #expect(run.status == 64)
        #expect(run.output.isEmpty && !run.errors.isEmpty)
    }

    @Test("a wrong file is EX_CONFIG, before any socket opens", arguments: ["serve", "check"])
    func refusesFiles(subcommand: String) throws {
        let file = try TemporaryFile("schedulers: 99\nbogus: 1\n")
        let run = try Command([subcommand, "--config", file.path]).finish()
        #expect(run.status == 78)
        #expect(run.output.isEmpty)
        #expect(run.errors.split(separator: "\n").count == 2)
    }

    @Test("check says ok, also to the file that ROOST_CONFIG names") func checks() throws {
        let file = try TemporaryFile("routes: [{path: /mine, kind: echo}]\n")
        let run = try Command(["check"], environment: ["ROOST_CONFIG": file.path]).finish()
        #expect(run.status == 0)
        #expect(run.output.hasPrefix("ok\n") && run.output.contains("/mine (echo)"))
    }

    @Test("a port that is taken is said in one sentence") func namesTakenPorts() throws {
        let first = try Command(["serve", "--listen", "127.0.0.1:0"])
        let address = try first.address()
        let run = try Command(["serve", "--listen", address]).finish()
        #expect(run.status == 1)
        #expect(run.output.isEmpty)
        #expect(run.errors.hasPrefix("roost: cannot listen on \(address): Address already in use"))
        #expect(run.errors.split(separator: "\n").count == 1)
        first.signal(SIGTERM)
        #expect(first.finish().status == 0)
    }

    @Test("SIGTERM and SIGINT drain: 1001, exit code 0", arguments: [SIGTERM, SIGINT])
    func drains(number: CInt) throws {
        let command = try Command(["serve", "--listen", "127.0.0.1:0"])
        let client = try Client(try command.address())
        command.signal(number)
        #expect(client.readAll().starts(with: [0x88]))  // a close frame
        client.answerClose()
        let run = command.finish()
        #expect(run.status == 0)
        #expect(run.output.contains("routes: ws://"))
        #expect(run.errors.contains("message=draining") && run.errors.contains("drain.connections=1"))
        #expect(run.errors.contains("message=stopped drain.cut-off=0"))
    }

    @Test("SIGHUP has pages read again and never ends the daemon; what fails is logged") func reloads() throws {
        let page = try TemporaryFile("one")
        let file = try TemporaryFile("routes: [{path: /, kind: page, file: \(page.path)}]\n")
        let command = try Command(["serve", "--listen", "127.0.0.1:0", "--config", file.path])
        _ = try command.address()
        command.signal(SIGHUP)
        #expect(command.log(through: "reloaded").contains("level=notice message=\"pages reloaded\" reload.count=1"))
        try FileManager.default.removeItem(atPath: page.path)
        command.signal(SIGHUP)
        let log = command.log(through: "reload.problem")
        #expect(log.contains("level=error message=\"reload failed: the old pages stay\""))
        #expect(log.contains("\(file.path):1: file: \(page.path) cannot be opened: No such file or directory"))
        command.signal(SIGTERM)
        #expect(command.finish().status == 0)
    }

    @Test("a page that cannot be read is EX_CONFIG, with its line", arguments: ["serve", "check"])
    func namesMissingPages(subcommand: String) throws {
        let file = try TemporaryFile("routes:\n  - path: /\n    kind: page\n    file: /nonexistent/x.html\n")
        let run = try Command([subcommand, "--config", file.path]).finish()
        #expect(run.status == 78)
        #expect(
            run.errors
                == "roost: \(file.path):4: file: /nonexistent/x.html cannot be opened: No such file or directory\n")
    }

    @Test("half a certificate on the command line is EX_USAGE", arguments: ["--tls-chain", "--tls-key"])
    func refusesHalfCertificates(option: String) throws {
        let run = try Command(["serve", "--listen", "127.0.0.1:0", option, "x.pem"]).finish()
        #expect(run.status == 64)
        #expect(run.errors.hasPrefix("roost: \(option) needs --tls-\(option == "--tls-key" ? "chain" : "key"): "))
    }

    @Test("listeners have routes and numbers of their own") func servesListeners() throws {
        let file = try TemporaryFile(
            """
            listeners:
              - {address: "127.0.0.1:0", max-connections: 10, routes: [{path: /own, kind: echo}]}
              - {address: "127.0.0.1:0", max-connections: 20}
            """)
        let command = try Command(["serve", "--config", file.path])
        let client = try Client(try command.addresses()[1])
        command.signal(SIGTERM)
        #expect(client.readAll().starts(with: [0x88]))
        client.answerClose()
        let run = command.finish()
        #expect(run.status == 0)
        #expect(run.output.contains("/own\nroutes: ws://") && run.output.contains("/broadcast/ROOM http://"))
        #expect(run.errors.contains("connections.max=30"))
    }

    @Test("who does not answer is cut off after drain-timeout, and counted") func cutsOff() throws {
        let file = try TemporaryFile("drain-timeout: 200ms\nclose-timeout: 1h\n")
        let command = try Command(["serve", "--listen", "127.0.0.1:0", "--config", file.path])
        let client = try Client(try command.address())
        command.signal(SIGTERM)
        let run = command.finish()
        #expect(run.status == 0)
        #expect(run.errors.contains("drain.cut-off=1"))
        client.close()
    }

    @Test("a second signal stops at once: exit code 1") func stopsAtOnce() throws {
        let file = try TemporaryFile("close-timeout: 1h\ndrain-timeout: 1h\n")
        let command = try Command(["serve", "--listen", "127.0.0.1:0", "--config", file.path])
        let client = try Client(try command.address())
        command.signal(SIGTERM)
        #expect(client.readAll().starts(with: [0x88]))
        command.signal(SIGTERM)
        let run = command.finish()
        #expect(run.status == 1)
        #expect(run.errors.contains("roost: second signal (SIGTERM): stopped at once"))
        client.close()
    }

    @Test("a limit on open files that is too low is refused with a remedy") func namesLowLimits() throws {
        let low = try Command(["serve", "--listen", "127.0.0.1:0"], descriptorLimit: 60).finish()
        #expect(low.status == 1)
        #expect(low.errors.contains("ulimit -n"))
        let environment = ["ROOST_MAX_CONNECTIONS": "5000"]
        let few = try Command(["serve", "--listen", "127.0.0.1:0"], environment: environment, descriptorLimit: 1_000)
            .finish()
        #expect(few.status == 1)
        #expect(few.errors.hasPrefix("roost: max-connections is 5000, but the limit on open files is 1000;"))
    }

    @Test("the default of max-connections is lowered to what fits, with a notice") func lowersTheDefault() throws {
        let command = try Command(["serve", "--listen", "127.0.0.1:0"], descriptorLimit: 1_000)
        _ = try command.address()
        command.signal(SIGTERM)
        let run = command.finish()
        #expect(run.status == 0)
        #expect(run.errors.contains("descriptors.limit=1000"))
    }
}
