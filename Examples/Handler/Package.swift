// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "counter",  // elsewhere: .package(url: "https://…/roost.git", from: "0.1.0")
    dependencies: [.package(name: "roost", path: "../..")],
    targets: [
        .executableTarget(
            name: "counter", dependencies: [.product(name: "Roost", package: "roost")],
            swiftSettings: [
                .unsafeFlags([
                    "-Xfrontend", "-sanitize=fuzzer", "-Xfrontend", "-sanitize-coverage=edge,trace-pc-guard",
                    "-Xllvm", "-sanitizer-coverage-prune-blocks=0", "-enforce-exclusivity=unchecked",
                ])
            ])
    ])
