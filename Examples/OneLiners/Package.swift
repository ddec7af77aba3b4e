// swift-tools-version: 6.2
import PackageDescription

/// Makes the code of a target preemptible, wherever it loops.
let preemptible: [SwiftSetting] = [
    .unsafeFlags([
        "-Xfrontend", "-sanitize=fuzzer", "-Xfrontend", "-sanitize-coverage=edge,trace-pc-guard",
        "-Xllvm", "-sanitizer-coverage-prune-blocks=0", "-enforce-exclusivity=unchecked",
    ])
]

let package = Package(
    name: "one-liners",
    dependencies: [.package(name: "roost", path: "../..")],
    targets: ["sleepers", "spinner", "catchall", "restarts"].map { name in
        .executableTarget(
            name: name, dependencies: [.product(name: "RoostRuntime", package: "roost")], swiftSettings: preemptible)
    })
