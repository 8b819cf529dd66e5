public import KVProtocols

extension NodeStorage {
    /// Stops cleanly: makes what is staged durable, puts everything into the backend, empties the journal, ends the
    /// threads, closes the backend and lets go of the folder. Blocks meanwhile; afterwards nothing but `failure` and the
    /// positions may be asked. Calling it again does nothing.
    /// - Throws: the first error, after releasing everything nevertheless. Then the journal keeps what the backend lacks,
    ///   and what was never acknowledged (`durable`) may be lost.
    public func stop() throws(StorageError) {
        guard !isStopped else { return }
        scrub?.finish()
        var first = failure
        if first == nil { first = attempt { () throws(StorageError) in try flushEverything() } }
        isStopped = true
        let error = attempt { () throws(StorageError) in
            _ = try flusher.finish(abandoning: first != nil)
        }
        first = first ?? error
        let applied = first == nil ? flushed : nil
        let journalError = attempt { () throws(StorageError) in try journal.finish(applied: applied) }
        first = first ?? journalError
        let backendError = attempt { () throws(StorageError) in try backend.close() }
        first = first ?? backendError
        folder.release()
        if let first { throw first }
    }

    /// Ends the threads and keeps everything as a crash would: what is durable stays so. For tests, and for a storage that
    /// nobody stopped.
    func abandon() {
        guard !isStopped else { return }
        isStopped = true
        scrub?.finish()
        // Whatever fails from here on fails as it would in a crash.
        _ = attempt { () throws(StorageError) in _ = try flusher.finish(abandoning: true) }
        _ = attempt { () throws(StorageError) in try journal.finish(applied: nil) }
        folder.release()
    }

    private func flushEverything() throws(StorageError) {
        commit()
        try journal.drain()
        durable = appended
        // Two rounds at most: the flush under way, then the rest.
        if view.isFlushing {
            if let job = pendingJob.take() { flusher.start(job) }
            flushed = try flusher.finish(abandoning: false)
            _ = view.endFlush()
        }
        guard !view.active.isEmpty else { return }
        let job = makeJob()
        try job.run(backend)
        flushed = job.checkpoint.position
        _ = view.endFlush()
    }

    private func attempt(_ body: () throws(StorageError) -> Void) -> StorageError? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }
}
