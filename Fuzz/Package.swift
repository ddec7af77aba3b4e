// swift-tools-version: 6.2
import PackageDescription

// The codecs' sources are compiled here a second time, through symbolic links: their `package` interface is visible
// in their own package only, and they need the fuzzer's coverage.

/// Coverage for libFuzzer, and AddressSanitizer to see what an unsafe load or store touches.
let sanitizers = ["-sanitize=fuzzer,address"]

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"), .unsafeFlags(sanitizers),
]

/// For what is below the code under test: the settings of the product's Package.swift.
let plain: [SwiftSetting] = settings.dropLast() + [.unsafeFlags(["-enforce-exclusivity=unchecked"])]

/// CRoost counts reductions in a hook of the coverage's, which is libFuzzer's here, and leaves the heap to
/// AddressSanitizer where it is compiled for it.
let withoutHooks: [CSetting] =
    ["__sanitizer_cov_trace_pc_guard", "__sanitizer_cov_trace_pc_guard_init"].map {
        .define($0, to: "roost_unused\($0)")
    } + [.unsafeFlags(["-fsanitize=address"])]

func fuzzer(_ name: String, _ more: [Target.Dependency] = []) -> Target {
    .executableTarget(
        name: name, dependencies: ["CFuzzer", "RoostHTTP", "RoostWebSocket"] + more, swiftSettings: settings,
        linkerSettings: [.unsafeFlags(sanitizers + ["-use-ld=lld"])])
}

let package = Package(
    name: "Fuzz",
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CFuzzer"),
        .systemLibrary(name: "CSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "RoostHTTP", swiftSettings: settings),
        .target(name: "RoostWebSocket", dependencies: ["CSSL", "CZlib", "RoostHTTP"], swiftSettings: settings),
        .target(name: "CRoost", cSettings: withoutHooks),
        .target(name: "RoostRuntime", dependencies: ["CRoost"], swiftSettings: plain),
        .target(name: "CRoostTLS", dependencies: ["CSSL"], cSettings: [.unsafeFlags(["-fsanitize=address"])]),
        .target(
            name: "RoostIO", dependencies: ["CRoost", "CRoostTLS", "CSSL", "RoostRuntime"], swiftSettings: plain),
        .target(
            name: "Roost",
            dependencies: [
                "CRoost", "RoostRuntime", "RoostIO", "RoostHTTP", "RoostWebSocket",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: plain),
        .target(name: "RoostDemoChecked", swiftSettings: plain),
        .target(name: "RoostDemo", dependencies: ["Roost", "RoostDemoChecked"], swiftSettings: plain),
        .target(name: "RoostAdmin", dependencies: ["Roost"], swiftSettings: plain),
        // What reads configurations, without the service.
        .target(
            name: "RoostDaemon",
            dependencies: [
                "Roost", "RoostAdmin", "RoostDemo", "RoostHTTP",
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
            ],
            sources: ["Configuration", "Service/DaemonPages.swift", "ExitStatus.swift", "RoostVersion.swift"],
            swiftSettings: settings),
        fuzzer("FuzzConfiguration", ["Roost", "RoostDaemon"]),
        fuzzer("FuzzDeflate"), fuzzer("FuzzFrames"), fuzzer("FuzzHeads"), fuzzer("FuzzMessages"), fuzzer("FuzzProxy"),
        fuzzer("FuzzText"),
    ]
)
