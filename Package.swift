// swift-tools-version: 6.2
import PackageDescription

// Set where a warning must fail the build.
let strict = Context.environment["MARTLET_WARNINGS_AS_ERRORS"] == "1"

let swiftSettings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])
let cSettings: [CSetting] = strict ? [.treatAllWarnings(as: .error)] : []
let cxxSettings: [CXXSetting] = strict ? [.treatAllWarnings(as: .error)] : []

let package = Package(
    name: "martlet",
    products: [
        .executable(name: "martlet", targets: ["MartletCLI"]),
        .library(name: "Martlet", targets: ["Martlet"]),
        .library(name: "MartletNN", targets: ["MartletNN"]),
        .library(name: "MartletData", targets: ["MartletData"]),
        .library(name: "MartletModels", targets: ["MartletModels"]),
        .library(name: "MartletTraining", targets: ["MartletTraining"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        // Thin C; nothing above the ops layer knows that these exist.
        .target(
            name: "CMartletKernels", cSettings: cSettings,
            linkerSettings: [.linkedLibrary("gomp"), .linkedLibrary("m")]),
        .target(
            name: "COneDNN", dependencies: ["CMartletKernels"], cSettings: cSettings,
            linkerSettings: [.linkedLibrary("dnnl")]),
        .target(
            name: "CSentencePiece", cxxSettings: cxxSettings,
            linkerSettings: [.linkedLibrary("sentencepiece"), .linkedLibrary("sentencepiece_train")]),

        .target(name: "Martlet", dependencies: ["CMartletKernels", "COneDNN"], swiftSettings: swiftSettings),
        .target(name: "MartletNN", dependencies: ["Martlet"], swiftSettings: swiftSettings),
        .target(name: "MartletData", dependencies: ["Martlet", "CSentencePiece"], swiftSettings: swiftSettings),
        .target(
            name: "MartletModels", dependencies: ["Martlet", "MartletNN", "MartletData"],
            swiftSettings: swiftSettings),
        .target(
            name: "MartletTraining",
            dependencies: [
                "Martlet", "MartletNN", "MartletData", "MartletModels", .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "MartletCLI",
            dependencies: [
                "Martlet", "MartletNN", "MartletData", "MartletModels", "MartletTraining",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings),

        .testTarget(name: "MartletTests", dependencies: ["Martlet"], swiftSettings: swiftSettings),
        .testTarget(name: "MartletNNTests", dependencies: ["MartletNN"], swiftSettings: swiftSettings),
        .testTarget(name: "MartletDataTests", dependencies: ["MartletData"], swiftSettings: swiftSettings),
        .testTarget(name: "MartletModelsTests", dependencies: ["MartletModels"], swiftSettings: swiftSettings),
        .testTarget(name: "MartletTrainingTests", dependencies: ["MartletTraining"], swiftSettings: swiftSettings),
    ]
)
