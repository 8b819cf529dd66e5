// swift-tools-version: 6.2
import PackageDescription

/// The house in one list: every target is one room, arrows point towards KVProtocols.
/// See ARCHITECTURE.md for what each room is for.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func room(
    _ name: String, _ path: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [],
    resources: [Resource] = [], settings: [SwiftSetting] = []
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(path)", exclude: exclude, resources: resources,
        swiftSettings: strict + settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "kvstore",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "kv", targets: ["kv"]),
        .executable(name: "kv-sim", targets: ["kv-sim"]),
        .library(name: "KVProtocols", targets: ["KVProtocols"]),
        .library(name: "KVConformance", targets: ["KVConformance"]),
        .library(name: "KVBackends", targets: ["KVBackends"]),
    ],
    traits: [
        .trait(name: "SQLite", description: "The sqlite backend (needs libsqlite3)"),
        .trait(name: "LMDB", description: "The lmdb backend (needs liblmdb)"),
        .default(enabledTraits: ["SQLite", "LMDB"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.100.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // Contracts
        .systemLibrary(name: "CChecksum", path: "Sources/KVProtocols/CChecksum"),
        room("KVProtocols", "KVProtocols/Contracts", ["CChecksum"]),
        room("KVConfiguration", "KVProtocols/Configuration", ["KVProtocols"]),
        .systemLibrary(name: "CTrace", path: "Sources/KVProtocols/CTrace"),
        room("KVConformance", "KVProtocols/Conformance", ["KVProtocols", "CTrace"]),

        // Backends
        .systemLibrary(
            name: "CSQLite", path: "Sources/Backends/CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]),
        .systemLibrary(
            name: "CLMDB", path: "Sources/Backends/CLMDB", pkgConfig: "lmdb",
            providers: [.apt(["liblmdb-dev"]), .brew(["lmdb"])]),
        room("KVMemoryBackend", "Backends/Memory", ["KVProtocols"]),
        .systemLibrary(name: "CFileSystem", path: "Sources/Backends/CFileSystem"),
        room("KVFileBackend", "Backends/File", ["KVProtocols", "CFileSystem"]),
        room(
            "KVSQLiteBackend", "Backends/SQLite",
            ["KVProtocols", .target(name: "CSQLite", condition: .when(traits: ["SQLite"]))]),
        room(
            "KVLMDBBackend", "Backends/LMDB",
            ["KVProtocols", .target(name: "CLMDB", condition: .when(traits: ["LMDB"]))]),
        // Seen by the plugin backend here, and by whoever writes an engine elsewhere.
        .systemLibrary(name: "CPlugin", path: "Sources/Backends/CPlugin"),
        room("KVPluginBackend", "Backends/Plugin", ["KVProtocols", "CPlugin"]),
        room(
            "KVBackends", "Backends/Registry",
            [
                "KVProtocols", "KVMemoryBackend", "KVFileBackend", "KVPluginBackend",
                .target(name: "KVSQLiteBackend", condition: .when(traits: ["SQLite"])),
                .target(name: "KVLMDBBackend", condition: .when(traits: ["LMDB"])),
            ]),
        room("KVBackendBench", "Backends/Bench", ["KVProtocols", "KVConformance"]),
        room(
            "KVBackendBaselines", "Backends/Baselines",
            [
                "KVProtocols", "KVBackendBench", "CFileSystem",
                .target(name: "CSQLite", condition: .when(traits: ["SQLite"])),
                .target(name: "CLMDB", condition: .when(traits: ["LMDB"])),
            ]),

        // Node
        room("KVReplication", "Node/Replication", ["KVProtocols"]),
        room("KVStorage", "Node/Storage", ["KVProtocols"]),
        room("KVSnapshot", "Node/Snapshot", ["KVProtocols"]),
        room("KVTransport", "Node/Transport", ["KVProtocols", "KVReplication", nioCore, nioPosix, logging]),
        room("KVNode", "Node/Core", ["KVProtocols", "KVReplication", "KVStorage", "KVTransport", logging, nioCore]),
        room(
            "KVHTTP", "Node/HTTPKit",
            ["KVProtocols", hummingbird, hummingbirdCore, httpTypes, lifecycle, logging, nioCore, nioHTTP1]),
        room(
            "KVNodeHTTP", "Node/HTTP",
            ["KVProtocols", "KVNode", "KVReplication", "KVHTTP", hummingbird, httpTypes, lifecycle, logging, nioCore]),

        // Controller
        room("KVPlacement", "Controller/Placement", ["KVProtocols"]),
        room("KVController", "Controller/Core", ["KVProtocols", "KVPlacement", logging]),
        room("KVWebUI", "Controller/WebUI", resources: [.embedInCode("Assets")]),
        room(
            "KVControllerHTTP", "Controller/HTTP",
            [
                "KVProtocols", "KVController", "KVHTTP", "KVWebUI", hummingbird, httpTypes, lifecycle,
                asyncHTTPClient, logging, nioCore, nioHTTP1, nioPosix,
            ]),

        // The command
        room("KVLoad", "kv/Load", ["KVProtocols", "KVBackendBench", nioCore, nioPosix]),
        .executableTarget(
            name: "kv",
            dependencies: [
                "KVProtocols", "KVConfiguration", "KVConformance", "KVBackends", "KVBackendBench", "KVBackendBaselines",
                "KVLoad",
                "KVReplication", "KVStorage", "KVSnapshot", "KVTransport", "KVNode", "KVHTTP", "KVNodeHTTP",
                "KVController", "KVControllerHTTP",
                argumentParser, asyncHTTPClient, lifecycle,
                unixSignals, logging, nioCore, nioHTTP1, nioPosix,
            ],
            path: "Sources/kv", exclude: ["Load"], swiftSettings: strict),

        // Tests
        .target(
            name: "KVSimulator", dependencies: ["KVProtocols", "KVReplication", "KVPlacement"],
            path: "Tests/Simulator", swiftSettings: strict),
        .executableTarget(
            name: "kv-sim", dependencies: ["KVSimulator", "KVReplication"], path: "Tests/SimulatorCommand",
            swiftSettings: strict),
        .target(
            name: "KVBrokenEngine", dependencies: ["KVProtocols"], path: "Tests/BrokenEngine", swiftSettings: strict),
        .executableTarget(
            name: "kv-conformance-worker",
            dependencies: ["KVConformance", "KVBackends", "KVBrokenEngine", "KVProtocols"],
            path: "Tests/ConformanceWorker", swiftSettings: strict),
        tests("KVProtocolsTests", ["KVProtocols"]),
        tests("KVConfigurationTests", ["KVConfiguration", "KVProtocols"]),
        tests(
            "KVBackendsTests",
            [
                "KVProtocols", "KVConformance", "KVBackends", "KVFileBackend", "KVPluginBackend", "KVStorage",
                "KVBrokenEngine", "kv-conformance-worker",
                .target(name: "KVSQLiteBackend", condition: .when(traits: ["SQLite"])),
                .target(name: "KVLMDBBackend", condition: .when(traits: ["LMDB"])),
            ], resources: [.copy("Fixtures")]),
        tests("KVLoadTests", ["KVLoad", "KVBackendBench", "KVProtocols", nioCore, nioPosix]),
        tests(
            "KVBackendBenchTests",
            ["KVProtocols", "KVConformance", "KVBackends", "KVBackendBench", "KVBackendBaselines"]),
        tests("KVReplicationTests", ["KVReplication", "KVSimulator", "KVProtocols"]),
        tests("KVStorageTests", ["KVStorage", "KVProtocols"]),
        tests("KVSnapshotTests", ["KVSnapshot", "KVProtocols"]),
        tests("KVTransportTests", ["KVTransport", "KVProtocols", "KVReplication", nioCore, nioPosix, logging]),
        tests(
            "KVNodeTests",
            [
                "KVNode", "KVController", "KVMemoryBackend", "KVFileBackend", "KVProtocols", "KVReplication",
                "KVStorage", "KVTransport", logging, nioCore, nioPosix,
            ]),
        tests(
            "KVNodeHTTPTests",
            [
                "KVNodeHTTP", "KVHTTP", "KVNode", "KVReplication", "KVProtocols", httpTypes, lifecycle, logging,
                nioCore, nioEmbedded, nioHTTP1, nioPosix,
            ]),
        tests("KVPlacementTests", ["KVPlacement", "KVProtocols"]),
        tests("KVControllerTests", ["KVController", "KVPlacement", "KVProtocols", logging]),
        tests("KVWebUITests", ["KVWebUI"]),
        tests(
            "KVControllerHTTPTests",
            [
                "KVControllerHTTP", "KVController", "KVHTTP", "KVProtocols", hummingbird, httpTypes, asyncHTTPClient,
                lifecycle, logging, nioCore, nioHTTP1, nioPosix,
            ]),
        tests(
            "KVCommandTests",
            [
                "kv", "KVBackends", "KVConfiguration", "KVProtocols", argumentParser, asyncHTTPClient, logging, nioCore,
            ]),
        tests("KVClusterTests", ["kv"]),
    ],
    swiftLanguageModes: [.v6]
)
