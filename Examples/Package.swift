// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [.swiftLanguageMode(.v6)]

func example(_ name: String, _ libraries: [String]) -> Target {
    .executableTarget(
        name: name, dependencies: libraries.map { .product(name: $0, package: "martlet") }, path: name,
        swiftSettings: swiftSettings)
}

let package = Package(
    name: "martlet-examples",
    dependencies: [.package(name: "martlet", path: "..")],
    targets: [
        example("digits", ["Martlet", "MartletNN"]),
        example("gan", ["Martlet", "MartletNN"]),
        example("shakespeare", ["Martlet", "MartletNN", "MartletData"]),
    ]
)
