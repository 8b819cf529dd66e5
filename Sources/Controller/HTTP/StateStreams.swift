internal import HTTPTypes
internal import Hummingbird
internal import KVController
internal import KVHTTP
internal import KVProtocols
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization

/// `/stream` and `/events`: what happens in the cluster, as server-sent events. Every stream asks the controller at
/// its own pace, so a slow reader costs no memory and loses no event; it ends when the server shuts down.
final class StateStreams: Sendable {
    static let maximumStreams = 128
    private static let interval = Duration.milliseconds(500)
    /// A state is sent at least this often, in intervals.
    private static let statePeriod = 4
    /// A comment keeps an idle stream of events alive this often, in intervals.
    private static let heartbeatPeriod = 20

    private let service: any ControllerService
    private let open = Atomic<Int>(0)

    init(service: any ControllerService) {
        self.service = service
    }

    // MARK: State

    func state() throws -> Response {
        try stream { [service] writer in
            var sent: [UInt8] = []
            var age = StateStreams.statePeriod
            while !Task.isShuttingDownGracefully, !Task.isCancelled {
                let (state, fingerprint) = try await StateStreams.snapshot(of: service)
                age += 1
                if age >= StateStreams.statePeriod || fingerprint != sent {
                    try await writer.write(StateStreams.message(event: "state", data: state))
                    sent = fingerprint
                    age = 0
                }
                try await Task.sleep(for: StateStreams.interval)
            }
        }
    }

    /// The state as JSON, and what must differ to be news: all of it but the ages of heartbeats.
    private static func snapshot(
        of service: any ControllerService
    ) async throws -> (state: [UInt8], fingerprint: [UInt8]) {
        let health = try JSON.encode(await service.healthAnswer())
        let nodes = member("nodes", of: try JSON.encode(await service.nodesAnswer()))
        let answer = try JSON.encode(await service.partitionsAnswer())
        let (partitions, work) = (member("partitions", of: answer), member("work", of: answer))
        let state =
            Array("{\"health\":".utf8) + health + Array(",\"nodes\":".utf8) + nodes
            + Array(",\"partitions\":".utf8) + partitions + Array(",\"work\":".utf8) + work + Array("}".utf8)
        return (state, agesAndTimes.reduce(state) { without($1, $0) })
    }

    /// The array `name` of a JSON object that our own encoder wrote, with sorted keys and the array first or last;
    /// an empty one when there is none.
    static func member(_ name: String, of object: [UInt8]) -> [UInt8] {
        object.withUnsafeBytes { bytes in
            var json = JSONScanner(bytes)
            var found: Range<Int>?
            do throws(JSONError) {
                try json.object { (member, json) throws(JSONError) in
                    let range = try json.skipValue()
                    if member == name { found = range }
                }
            } catch {
                return Array("[]".utf8)
            }
            return found.map { [UInt8](bytes[$0]) } ?? Array("[]".utf8)
        }
    }

    /// Members whose values change with the time and nothing else.
    private static let agesAndTimes = ["last_heartbeat_ms_ago", "running_ms", "ms_left"]

    /// The bytes without the numbers behind `member`.
    static func without(_ member: String, _ json: [UInt8]) -> [UInt8] {
        let name = Array("\"\(member)\":".utf8)
        var result: [UInt8] = []
        result.reserveCapacity(json.count)
        var index = 0
        while index < json.count {
            if json[index] == name[0], json[index...].starts(with: name) {
                index += name.count
                while index < json.count, json[index] != UInt8(ascii: ","), json[index] != UInt8(ascii: "}") {
                    index += 1
                }
            } else {
                result.append(json[index])
                index += 1
            }
        }
        return result
    }

    // MARK: Events

    func events(_ exchange: Exchange) async throws -> Response {
        let query = try QueryParameters(exchange.query, known: ["after", "limit"])
        let limit = try query.integer("limit", in: 1...1_000)
        let after = try query.integer("after", in: 0...Int.max).map(UInt64.init)
        guard exchange.headers[.accept]?.contains("text/event-stream") == true else {
            let events = await service.recentEvents(after: after, limit: limit ?? 100)
            return try JSON.response(["events": events])
        }
        guard limit == nil else { throw Problem.badRequest("bad_parameter", "a stream of events has no limit") }
        var start = after
        if let text = exchange.headers[.lastEventID] {
            guard let number = UInt64(text) else {
                throw Problem.badRequest("bad_event_id", "Last-Event-ID is the number of an event")
            }
            start = number
        }
        return try await follow(from: start)
    }

    /// New events after number `start`; without, from now on.
    private func follow(from start: UInt64?) async throws -> Response {
        let newest = start == nil ? await service.recentEvents(after: nil, limit: 1).last?.id : nil
        return try stream { [service] writer in
            var last = start ?? newest ?? 0
            var silence = 0
            try await writer.write(ByteBuffer(string: ": events of the cluster\n\n"))
            while !Task.isShuttingDownGracefully, !Task.isCancelled {
                let events = await service.recentEvents(after: last, limit: 1_000)
                for event in events {
                    try await writer.write(
                        StateStreams.message(
                            id: event.id, event: event.kind.rawValue, data: try JSON.encode(event)))
                    last = event.id
                }
                silence = events.isEmpty ? silence + 1 : 0
                if silence >= StateStreams.heartbeatPeriod {
                    try await writer.write(ByteBuffer(string: ": still here\n\n"))
                    silence = 0
                }
                try await Task.sleep(for: StateStreams.interval)
            }
        }
    }

    // MARK: Streams

    /// One message; `data` is JSON, which our encoder writes without line ends.
    private static func message(id: UInt64? = nil, event: String, data: [UInt8]) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: data.count + 64)
        if let id { buffer.writeString("id: \(id)\n") }
        buffer.writeString("event: \(event)\ndata: ")
        buffer.writeBytes(data)
        buffer.writeStaticString("\n\n")
        return buffer
    }

    private func stream(
        _ body: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void
    ) throws -> Response {
        let place = try takePlace()
        return Response(
            status: .ok, headers: [.contentType: HTTPField.eventStream.value],
            body: ResponseBody { writer in
                defer { withExtendedLifetime(place) {} }
                try await body(&writer)
                try await writer.finish(nil)
            })
    }

    /// Counts first and looks then: of requests that come at once no more than the limit find a place.
    private func takePlace() throws(Problem) -> Place {
        let place = Place(self)
        guard place.number <= StateStreams.maximumStreams else {
            throw Problem.serviceUnavailable("too_many_streams", "\(StateStreams.maximumStreams) streams are open")
        }
        return place
    }

    /// One of the open streams: from when it is asked for until nobody holds its answer any more, which may also never
    /// have been written, as for `HEAD`.
    private final class Place: Sendable {
        let number: Int
        private let streams: StateStreams

        init(_ streams: StateStreams) {
            self.streams = streams
            number = streams.open.add(1, ordering: .relaxed).newValue
        }

        deinit { streams.open.subtract(1, ordering: .relaxed) }
    }
}
