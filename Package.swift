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

/// The runtime calls handlers across stack switches; dynamic exclusivity records would be torn by them
/// (ARCHITECTURE.md, R7).
let switching: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"])]

/// What makes a target's code preemptible: every edge of its control flow counts one reduction (ARCHITECTURE.md,
/// "Reductions").
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
        .library(name: "Roost", targets: ["Roost"]),
        .executable(name: "roost", targets: ["roost"]),
        .executable(name: "loadtest", targets: ["loadtest"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CRoost"),
        .systemLibrary(name: "CSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CRoostTLS", dependencies: ["CSSL"]),
        .target(name: "RoostRuntime", dependencies: ["CRoost"], swiftSettings: strict + switching),
        .target(
            name: "RoostIO", dependencies: ["CRoost", "CRoostTLS", "CSSL", "RoostRuntime"],
            swiftSettings: strict + switching),
        .target(name: "RoostHTTP", swiftSettings: strict),
        .target(name: "RoostWebSocket", dependencies: ["CSSL", "CZlib", "RoostHTTP"], swiftSettings: strict),
        .target(
            name: "Roost",
            dependencies: [
                "CRoost", "RoostRuntime", "RoostIO", "RoostHTTP", "RoostWebSocket",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict + switching),
        .target(name: "RoostDemoChecked", swiftSettings: strict),
        .target(name: "RoostDemo", dependencies: ["Roost", "RoostDemoChecked"], swiftSettings: strict + preemptible),
        .target(name: "RoostAdmin", dependencies: ["Roost"], swiftSettings: strict),
        .target(
            name: "RoostDaemon",
            dependencies: [
                "Roost", "RoostAdmin", "RoostDemo", "RoostHTTP", "RoostIO",
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "roost",
            dependencies: ["RoostDaemon", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .target(
            name: "LoadTesting",
            dependencies: [
                "CSSL", "CZlib", "Roost", "RoostIO", "RoostRuntime", "RoostWebSocket",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
            ],
            path: "loadtest/LoadTesting", swiftSettings: strict + switching),
        .executableTarget(
            name: "loadtest",
            dependencies: [
                "LoadTesting", "RoostIO", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "loadtest/Command", swiftSettings: strict),
        .testTarget(
            name: "LoadTestTests",
            dependencies: [
                "CZlib", "LoadTesting", "Roost", .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        // Its processes are preempted as a user's are, so that the figures are what a user gets.
        .executableTarget(
            name: "roost-simulate", dependencies: ["RoostRuntime", "RuntimeHandlers"],
            swiftSettings: strict + switching),
        .executableTarget(
            name: "roost-bench",
            dependencies: ["RoostRuntime", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict + preemptible),
        .testTarget(
            name: "RoostCommandTests",
            dependencies: [
                "RoostDaemon", "RoostAdmin", "RoostDemo", "Roost", "roost",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RoostAdminTests",
            dependencies: ["RoostAdmin", "Roost", "RoostHTTP", .product(name: "Logging", package: "swift-log")],
            swiftSettings: strict),
        // Handlers that loop and trap on purpose, built as a user's are.
        .target(
            name: "RoostTestHandlers", dependencies: ["Roost"], path: "Tests/RoostTestHandlers",
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)] + preemptible),
        // Certificates made as the tests run, and a TLS client that is OpenSSL alone.
        .target(
            name: "RoostTestTLS", dependencies: ["CSSL", "RoostIO"], path: "Tests/RoostTestTLS",
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
        .testTarget(
            name: "RoostTests",
            dependencies: [
                "Roost", "RoostHTTP", "RoostIO", "RoostRuntime", "RoostTestTLS", "RoostTestHandlers",
                "RoostWebSocket", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
        // Handlers that loop, trap, recurse and hoard on purpose, built as a user's are; and a dependency as a user may
        // have it.
        .target(
            name: "RuntimeHandlers", path: "Tests/RuntimeHandlers",
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)] + preemptible),
        .target(
            name: "RuntimeCheckedHandlers", path: "Tests/RuntimeCheckedHandlers",
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]),
        .testTarget(
            name: "RoostRuntimeTests",
            dependencies: ["RoostRuntime", "CRoost", "RuntimeHandlers", "RuntimeCheckedHandlers"],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)] + switching),
        .testTarget(
            name: "RoostIOTests",
            dependencies: ["RoostIO", "RoostRuntime", "RoostTestTLS", "CRoost", "CRoostTLS", "CSSL"],
            swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)] + switching),
        .testTarget(name: "RoostHTTPTests", dependencies: ["RoostHTTP"], swiftSettings: strict),
        .testTarget(name: "RoostWebSocketTests", dependencies: ["RoostWebSocket", "RoostHTTP"], swiftSettings: strict),
    ]
)
