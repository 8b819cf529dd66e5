internal import KVHTTP
internal import KVNode
internal import KVProtocols
internal import NIOCore

/// `/kv/{key}` as it is mostly asked for: get, head, put or delete without parameters and with a short body. The hot path:
/// from the connection's bytes to the engine and back without a task.
struct KeyShortcut: RequestShortcut {
    let service: any NodeService
    let bounds: BodyBounds

    /// Longer bodies are the general path's, which holds no more of them than it must.
    let maximumBodyLength = 64 << 10
    var route: Int { NodeRoute.kv.index }

    func takes(_ head: PlainHead) -> Bool {
        head.query == nil && head.path.utf8.starts(with: "/kv/".utf8)
    }

    func answer(
        _ head: PlainHead, body: ByteBuffer, requestID: String, completion: @escaping @Sendable (Document) -> Void
    ) {
        do throws(Problem) {
            let request = try KeyRequest(head, service: service)
            if let limit = request.bodyLimit(bounds), body.readableBytes > limit {
                throw .bodyTooLarge(limit: limit)
            }
            let operation = try request.operation(body, bounds)
            service.submit(operation, timeoutMilliseconds: request.timeout) { answer in
                do throws(Problem) {
                    completion(served(try request.document(of: answer, to: operation)))
                } catch {
                    completion(served(error.document(requestID: requestID)))
                }
            }
        } catch {
            completion(served(error.document(requestID: requestID)))
        }
    }

    private func served(_ document: Document) -> Document {
        var document = document
        document.server = service.name
        return document
    }
}
