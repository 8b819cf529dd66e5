/// The web page of the controller: static files, compiled into the binary from `Assets`.
///
/// Everything is relative to the origin that serves it, loads nothing from elsewhere and contains no inline script or
/// style, so it works under `Content-Security-Policy: default-src 'self'`. The page reads the cluster's state from
/// `GET /stream` and `GET /events`, and falls back to `/health`, `/nodes` and `/partitions`.
public enum WebUI {
    /// One file of the page, as it is to be served.
    public struct Asset: Sendable {
        /// Absolute path of the URL, such as `/main.js`. Plain ASCII, nothing in it needs percent-encoding.
        public let path: String
        /// Value of `Content-Type`.
        public let contentType: String
        /// The body.
        public let bytes: [UInt8]
        /// Strong entity tag with its quotes: the value of `ETag`, to be compared with `If-None-Match`.
        /// It changes when and only when the content does, across builds and machines.
        public let etag: String
    }

    /// All files, the index first, then by path. Built once, on first use.
    public static let assets: [Asset] = [
        html("/index.html", PackageResources.index_html),
        javaScript("/api.js", PackageResources.api_js),
        css("/base.css", PackageResources.base_css),
        javaScript("/dom.js", PackageResources.dom_js),
        javaScript("/events.js", PackageResources.events_js),
        javaScript("/format.js", PackageResources.format_js),
        svg("/icon.svg", PackageResources.icon_svg),
        javaScript("/keys.js", PackageResources.keys_js),
        javaScript("/live.js", PackageResources.live_js),
        javaScript("/main.js", PackageResources.main_js),
        javaScript("/nodes.js", PackageResources.nodes_js),
        javaScript("/notice.js", PackageResources.notice_js),
        javaScript("/overview.js", PackageResources.overview_js),
        css("/panels.css", PackageResources.panels_css),
        javaScript("/partitions.js", PackageResources.partitions_js),
        javaScript("/read.js", PackageResources.read_js),
        javaScript("/record.js", PackageResources.record_js),
        javaScript("/sse.js", PackageResources.sse_js),
        javaScript("/work.js", PackageResources.work_js),
        javaScript("/write.js", PackageResources.write_js),
    ]

    /// The file to serve for the path of a URL, or nil when there is none.
    ///
    /// `/` is the index. Paths are compared exactly: no decoding, no dot segments, no directories, so no path reaches
    /// anything but these files. O(number of files).
    public static func asset(path: String) -> Asset? {
        let wanted = path == "/" ? "/index.html" : path
        return assets.first { $0.path == wanted }
    }

    private static func html(_ path: String, _ bytes: [UInt8]) -> Asset {
        Asset(path: path, contentType: "text/html; charset=utf-8", bytes: bytes, etag: etag(bytes))
    }

    private static func css(_ path: String, _ bytes: [UInt8]) -> Asset {
        Asset(path: path, contentType: "text/css", bytes: bytes, etag: etag(bytes))
    }

    private static func javaScript(_ path: String, _ bytes: [UInt8]) -> Asset {
        Asset(path: path, contentType: "text/javascript", bytes: bytes, etag: etag(bytes))
    }

    private static func svg(_ path: String, _ bytes: [UInt8]) -> Asset {
        Asset(path: path, contentType: "image/svg+xml", bytes: bytes, etag: etag(bytes))
    }

    /// FNV-1a of 64 bits. The tag tells versions of our own files apart; it does not have to resist an attacker.
    static func etag(_ bytes: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return "\"\(String(repeating: "0", count: 16 - digits.count))\(digits)\""
    }
}
