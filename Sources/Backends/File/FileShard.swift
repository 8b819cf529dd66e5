import KVProtocols
import Synchronization

/// The index of one partition under a lock of its own: readers of different partitions don't wait for each other.
final class FileShard: Sendable {
    struct State {
        /// `nil` once closed. The same for all shards; here, so that a reader needs one lock.
        var folders: FileFolders?
        var index: KeyIndex
    }

    let state: Mutex<State>

    init(folders: FileFolders, index: KeyIndex) { state = Mutex(State(folders: folders, index: index)) }
}
