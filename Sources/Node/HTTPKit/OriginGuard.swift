internal import HTTPTypes
internal import HummingbirdCore

/// Refuses what a page of another site could make a browser send: such requests carry a foreign `Origin`, or a body
/// type that a form can have (CVE-2018-1098), or reach this server under a name of that site, which the site made point
/// here (CVE-2018-1099).
enum OriginGuard {
    /// - Throws: 403 or 415.
    static func check(_ exchange: Exchange, _ hosts: AcceptedHosts) throws(Problem) {
        if let host = exchange.request.head.authority, !hosts.accepts(host) {
            throw Problem(
                .forbidden, "foreign_host",
                "this server does not go by the name \(host.prefix(100)); use its address, or add the name to "
                    + "cluster.hosts in the configuration",
                outcome: .notApplied)
        }
        switch exchange.method {
        case .get, .head: return
        default: break
        }
        if let origin = exchange.headers[.origin], !isSame(origin, host: exchange.request.head.authority) {
            throw Problem(.forbidden, "foreign_origin", "requests from pages of another site are refused")
        }
        guard exchange.method == .post, let type = exchange.mediaType else { return }
        switch type {
        case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
            throw Problem(
                .unsupportedMediaType, "form_body", "forms are refused; send Content-Type: application/json")
        default: return
        }
    }

    private static func isSame(_ origin: String, host: String?) -> Bool {
        guard let host else { return false }
        return origin.lowercased() == "http://\(host.lowercased())"
            || origin.lowercased() == "https://\(host.lowercased())"
    }
}
