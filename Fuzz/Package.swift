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

func fuzzer(_ name: String) -> Target {
    .executableTarget(
        name: name, dependencies: ["CFuzzer", "RoostHTTP", "RoostWebSocket"], swiftSettings: settings,
        linkerSettings: [.unsafeFlags(sanitizers + ["-use-ld=lld"])])
}

let package = Package(
    name: "Fuzz",
    targets: [
        .systemLibrary(name: "CFuzzer"),
        .systemLibrary(name: "CSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "RoostHTTP", swiftSettings: settings),
        .target(name: "RoostWebSocket", dependencies: ["CSSL", "CZlib", "RoostHTTP"], swiftSettings: settings),
        fuzzer("FuzzDeflate"), fuzzer("FuzzFrames"), fuzzer("FuzzHeads"), fuzzer("FuzzMessages"), fuzzer("FuzzProxy"),
        fuzzer("FuzzText"),
    ]
)
