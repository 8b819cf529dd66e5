import Foundation

// The parts of the servers' answers that commands show. Members that are not listed are ignored.

/// `application/problem+json`.
struct ProblemDocument: Decodable {
    var title: String?
    var detail: String?
    var code: String?
    var outcome: String?

    /// `nil` when the bytes are no problem document.
    init?(_ body: [UInt8]) {
        do {
            self = try JSONDecoder().decode(ProblemDocument.self, from: Data(body))
        } catch {
            return nil
        }
        guard title != nil || detail != nil else { return nil }
    }

    /// `title: detail (outcome)`
    var summary: String {
        var text = [title, detail].compactMap { $0 }.joined(separator: ": ")
        switch outcome {
        case "not_applied": text += " (nothing was written)"
        case "unknown": text += " (the write may take effect now, later or never)"
        default: break
        }
        return text
    }
}

struct HealthDocument: Decodable {
    struct Nodes: Decodable {
        var up: Int
        var down: Int
        var total: Int
    }

    struct Partitions: Decodable {
        var total: Int
        var ok: Int
        var moving: Int
        var underReplicated: Int
        var leaderless: Int
    }

    var verdict: String
    var reasons: [String]
    var cluster: String
    var mapEpoch: UInt64
    var nodes: Nodes
    var partitions: Partitions
    /// The nodes that were lost at once, while nothing is moved because of it.
    var alarm: [String]?
    /// Not said by servers of older versions.
    var storable: Bool?
}

/// What `/health` of any server says.
struct ServerDocument: Decodable {
    var cluster: String
}

struct NodesDocument: Decodable {
    struct Node: Decodable {
        var name: String
        var state: String
        var reasons: [String]
        var address: String
        var backend: String
        var keys: UInt64
        var bytesOnDisk: UInt64
        var replicas: Int
        var leading: Int
        var lastHeartbeatMsAgo: Int?
    }

    var nodes: [Node]
}

struct EventDocument: Decodable {
    var id: UInt64
    var time: String
    var severity: String
    var message: String
}

struct EventsDocument: Decodable {
    var events: [EventDocument]
}

struct MapDocument: Decodable {
    struct Partition: Decodable {
        var partition: Int
        var epoch: UInt64
        var members: [String]
        var previous: [String]?
        var leader: String?
    }

    var cluster: String
    var epoch: UInt64
    var partitions: [Partition]
}

struct PartitionsDocument: Decodable {
    struct Partition: Decodable {
        var partition: Int
        var members: [String]
        var previous: [String]?
        var synced: Bool
        var lagging: [String]
    }

    var partitions: [Partition]
}

struct KeyMapDocument: Decodable {
    var key: String
    var slot: Int
    var partition: Int
    var epoch: UInt64
    var primary: String
    var leader: String?
    var replicas: [String]
    var addresses: [String: String]
}

struct ReplicasDocument: Decodable {
    struct Replica: Decodable {
        var node: String
        var role: String
        var state: String
        var agrees: Bool
        var version: String?
        var size: Int?
        var deleted: Bool?
        var hash: String?
    }

    var partition: Int
    var replicas: [Replica]
}

struct KeysDocument: Decodable {
    struct Entry: Decodable {
        var key: String
        var value: String?
        var encoding: String?
        var version: String
        var expiresAt: UInt64?
    }

    var keys: [Entry]
    var nextCursor: String?
    var incomplete: [Int]
}

struct WrittenDocument: Decodable {
    var key: String
    var value: String?
    var version: String
    var acks: Int
    var required: Int
}
