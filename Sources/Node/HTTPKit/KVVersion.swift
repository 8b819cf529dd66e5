/// The version of this software and of the protocols it speaks.
public enum KVVersion {
    /// As in `kv version`, `/version` and heartbeats.
    public static let current = "0.1.0"
    /// Raised when an older client or peer could misunderstand an answer.
    public static let httpProtocol = 1
}
