// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is held to the same rules.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// The runtime calls handlers across stack switches; dynamic exclusivity records would be torn by them (ARCHITECTURE.md, R7).
let switching: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"])]

/// What makes a target's code preemptible: every edge of its control flow counts one reduction (ARCHITECTURE.md, "Reductions").
let preemptible: [SwiftSetting] = [
    .unsafeFlags([
        "-Xfrontend", "-sanitize=fuzzer", "-Xfrontend", "-sanitize-coverage=edge,trace-pc-guard",
        "-Xllvm", "-sanitizer-coverage-prune-blocks=0", "-enforce-exclusivity=unchecked",
    ])
]

// Lower layers first: a target may depend only on targets listed above it.
let package = Package(
    name: "roost",
    products: [
        .library(name: "RoostRuntime", targets: ["RoostRuntime"]),
    ],
    targets: [
        .target(name: "CRoost"),
        .target(name: "RoostRuntime", dependencies: ["CRoost"], swiftSettings: strict + switching),
    ]
)
