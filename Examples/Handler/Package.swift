// swift-tools-version: 6.2
import PackageDescription

let preemptible = [
    "-Xfrontend", "-sanitize=fuzzer", "-Xfrontend", "-sanitize-coverage=edge,trace-pc-guard",
    "-Xllvm", "-sanitizer-coverage-prune-blocks=0", "-enforce-exclusivity=unchecked",
]
let roost = Target.Dependency.product(name: "Roost", package: "roost")
let package = Package(
    name: "counter",
    dependencies: [.package(name: "roost", path: "../..")],  // or .package(url: "https://…/roost.git", from: "0.1.0")
    targets: [.executableTarget(name: "counter", dependencies: [roost], swiftSettings: [.unsafeFlags(preemptible)])])
