import KVBackendBench
import NIOCore

/// One client: at most one operation under way. For its event loop only.
final class LoadConnection<Dialect: LoadDialect>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Pending {
        var question: LoadQuestion
        var number: Int
        /// When it was to be sent, in nanoseconds.
        var due: UInt64
        var sent: UInt64
    }

    let server: Int
    private let dialect: Dialect
    private unowned let worker: LoadWorker<Dialect>
    private var context: ChannelHandlerContext?
    private var output = ByteBuffer()
    private var input = ByteBuffer()
    private(set) var pending: Pending?

    init(server: Int, dialect: Dialect, worker: LoadWorker<Dialect>) {
        self.server = server
        self.dialect = dialect
        self.worker = worker
    }

    var isFree: Bool { context != nil && pending == nil }

    /// Sends an operation; the worker is told how it ended. Only while free.
    func send(_ operation: LoadOperation, _ number: Int, due: UInt64, isChecked: Bool) {
        pending = Pending(
            question: LoadQuestion(operation: operation, isChecked: isChecked), number: number, due: due,
            sent: Machine.now())
        output.clear()
        dialect.write(operation, number, into: &output, random: &worker.random)
        context?.writeAndFlush(wrapOutboundOut(output), promise: nil)
    }

    /// Gives up on what takes too long. The connection is of no more use: the answer may still come.
    func expire(before time: UInt64) {
        guard let pending, pending.sent < time else { return }
        abandon(.failed("no answer in time"))
    }

    /// Ends what is under way and the connection; nothing more is sent over it.
    private func abandon(_ outcome: LoadAnswer.Outcome) {
        let channel = context
        context = nil
        end(outcome)
        channel?.close(promise: nil)
    }

    /// For the end of the run.
    func close() { context?.close(promise: nil) }

    // MARK: - From the channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        input.clear()
        worker.opened(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        end(.failed("connection closed"))
        worker.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        abandon(.failed("connection failed"))
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var arrived = unwrapInboundIn(data)
        if input.readableBytes == 0 {
            take(from: &arrived)
            if arrived.readableBytes > 0 { input = arrived }
        } else {
            input.writeBuffer(&arrived)
            take(from: &input)
            if input.readableBytes == 0 { input.clear() }
        }
    }

    private func take(from buffer: inout ByteBuffer) {
        do throws(LoadProtocolError) {
            guard buffer.readableBytes > 0 else { return }
            guard let question = pending?.question else {
                throw LoadProtocolError("something arrived that nobody asked for")
            }
            guard let answer = try dialect.answer(from: &buffer, to: question) else {
                guard buffer.readableBytes <= LoadLimits.longestAnswer else {
                    throw LoadProtocolError("an answer has no end")
                }
                return
            }
            // Before the next question is asked: what is left could not be its answer, and would be taken for it.
            guard buffer.readableBytes == 0 else { throw LoadProtocolError("more than one answer to a question") }
            goOn(answer)
        } catch {
            buffer.clear()
            if pending == nil { worker.failed(LoadTally.wrong + error.description) }
            abandon(.wrong(error.description))
        }
    }

    private func goOn(_ answer: LoadAnswer) {
        guard var waiting = pending, waiting.question.operation == .modify, !waiting.question.isConditional,
            answer.outcome == .done
        else { return end(answer.outcome) }
        waiting.question.isConditional = true
        waiting.sent = Machine.now()
        pending = waiting
        output.clear()
        dialect.writeConditionally(waiting.number, version: answer.version, into: &output, random: &worker.random)
        context?.writeAndFlush(wrapOutboundOut(output), promise: nil)
    }

    private func end(_ outcome: LoadAnswer.Outcome) {
        guard let ended = pending else { return }
        pending = nil
        worker.ended(self, ended, outcome)
    }
}
