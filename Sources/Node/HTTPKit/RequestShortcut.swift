package import NIOCore

/// Answers some requests as soon as their bytes have come: no general parser, no task. For what can
/// be decided from one look at the head, has a short body, and is answered as a whole.
package protocol RequestShortcut: Sendable {
    /// The longest body taken, in bytes.
    var maximumBodyLength: Int { get }
    /// The class of these requests for the metrics.
    var route: Int { get }

    /// Whether this request is answered here; the general path has the others.
    func takes(_ head: PlainHead) -> Bool

    /// Answers a request that was taken. `completion` is called once, on any thread, perhaps before this returns.
    func answer(
        _ head: PlainHead, body: ByteBuffer, requestID: String, completion: @escaping @Sendable (Document) -> Void)
}
