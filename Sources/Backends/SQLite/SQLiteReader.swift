#if SQLite
import Synchronization

/// A connection for reading with the lock that guards it.
final class SQLiteReader: Sendable {
    /// `nil` before opening and once closed.
    let connection = Mutex<SQLiteConnection?>(nil)

    func open(_ file: String) throws(SQLiteError) {
        let opened = try SQLiteConnection(file, .reading)
        connection.withLock { $0 = opened }
    }

    func close() {
        connection.withLock { connection in
            connection?.close()
            connection = nil
        }
    }
}
#endif
