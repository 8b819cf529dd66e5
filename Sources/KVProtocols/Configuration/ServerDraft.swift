internal import KVProtocols

/// What the controller and a node have in common, while it is checked: what is `nil` was reported.
struct ServerDraft {
    let path: String
    let origin: Origin
    private(set) var listen: Located<NetworkAddress>?
    private(set) var advertise: Located<NetworkAddress>?
    private(set) var publicURL: Located<String>?
    private(set) var backend: BackendDraft
    private(set) var log: LogConfiguration?

    static let keys = ["listen", "advertise", "public_url", "backend", "log"]

    init(_ fields: Fields, factories: [BackendFactory], _ problems: inout ProblemLog) {
        path = fields.path
        origin = fields.origin
        listen = ServerDraft.listenAddress("listen", fields, &problems)
        advertise = ServerDraft.advertisedAddress("advertise", for: listen, "listen", fields, &problems)
        publicURL = fields.parsed("public_url", expected: "http://HOST[:PORT] or https://HOST[:PORT]", &problems) {
            ServerDraft.publicURL($0)
        }
        if publicURL == nil, fields.node("public_url") == nil {
            publicURL = advertise.map { fields.filled("public_url", "http://\($0.value)") }
        }
        backend = BackendDraft(fields, factories: factories, &problems)
        log = ServerDraft.logging(fields, &problems)
    }

    /// A required `host:port`.
    static func listenAddress(
        _ name: String, _ fields: Fields, _ problems: inout ProblemLog
    ) -> Located<NetworkAddress>? {
        guard fields.required(name, &problems) != nil else { return nil }
        return address(name, fields, &problems)
    }

    /// A `host:port` that others can connect to; the address `listen` when absent.
    static func advertisedAddress(
        _ name: String, for listen: Located<NetworkAddress>?, _ listenName: String, _ fields: Fields,
        _ problems: inout ProblemLog
    ) -> Located<NetworkAddress>? {
        guard fields.node(name) != nil else {
            guard let listen else { return nil }
            // With the place of `listen`: that is where a person corrects it.
            guard listen.value.isWildcard else { return listen }
            problems.report(
                fields.path(of: name),
                "is missing; \(listenName) is \(listen.value), which others can't connect to: "
                    + "give the HOST:PORT at which they reach this process",
                at: fields.origin)
            return nil
        }
        guard let address = address(name, fields, &problems) else { return nil }
        guard !address.value.isWildcard else {
            problems.report(address, "others can't connect to \(address.value); give the HOST:PORT that they shall use")
            return nil
        }
        return address
    }

    private static func address(
        _ name: String, _ fields: Fields, _ problems: inout ProblemLog
    ) -> Located<NetworkAddress>? {
        fields.parsed(name, expected: "HOST:PORT with a port from 1 to 65535", &problems) { NetworkAddress($0) }
    }

    /// The URL without slashes at the end; `nil` when it is more, or something else, than scheme and authority.
    private static func publicURL(_ text: String) -> String? {
        var url = Substring(text)
        while url.hasSuffix("/") { url.removeLast() }
        return NetworkAddress.host(ofURL: String(url)) == nil ? nil : String(url)
    }

    private static func logging(_ fields: Fields, _ problems: inout ProblemLog) -> LogConfiguration? {
        guard let log = fields.object("log", known: ["level", "format"], &problems) else { return nil }
        let level = log.word("level", default: LogConfiguration.Level.notice, &problems)
        let format = log.word("format", default: LogConfiguration.Format.text, &problems)
        guard let level, let format else { return nil }
        return LogConfiguration(level: level.value, format: format.value)
    }
}

/// A `backend` while it is checked.
struct BackendDraft {
    private(set) var type: Located<String>?
    private(set) var path: Located<String>?
    private(set) var library: Located<String>?
    private(set) var options: [String: OptionValue]?

    static let keys = ["type", "path", "library", "options"]

    /// The longest path that Linux takes, without its final zero.
    static let maximumPathBytes = 4095

    init(_ fields: Fields, factories: [BackendFactory], _ problems: inout ProblemLog) {
        let keys = BackendDraft.keys
        guard let fields = fields.object("backend", known: keys, required: true, &problems) else { return }
        type = BackendDraft.type(fields, factories, &problems)
        path = BackendDraft.path(fields, &problems)
        let factory = factories.first { $0.type == type?.value }
        library = BackendDraft.library(fields, factory, &problems)
        options = BackendDraft.options(fields, factory, &problems)
    }

    var value: BackendConfiguration? {
        guard let type, let path, let options else { return nil }
        return BackendConfiguration(type: type.value, path: path.value, library: library?.value, options: options)
    }

    private static func type(
        _ fields: Fields, _ factories: [BackendFactory], _ problems: inout ProblemLog
    ) -> Located<String>? {
        guard fields.required("type", &problems) != nil, let type = fields.string("type", &problems) else { return nil }
        let known = factories.map(\.type)
        guard known.contains(type.value) else {
            var message = "\(quoted(type.value)) is not among the backends of this program: "
            message += known.joined(separator: ", ")
            if let nearest = nearestName(to: type.value, among: known) {
                message += "; did you mean \(quoted(nearest))?"
            }
            problems.report(type, message)
            return nil
        }
        return type
    }

    private static func path(_ fields: Fields, _ problems: inout ProblemLog) -> Located<String>? {
        guard fields.required("path", &problems) != nil, let path = fields.string("path", &problems) else { return nil }
        guard 1...maximumPathBytes ~= path.value.utf8.count, !path.value.utf8.contains(0) else {
            problems.report(path, "expected the path of a folder, 1 to \(maximumPathBytes) bytes without NUL")
            return nil
        }
        return path
    }

    /// The library that the engine comes out of; `nil`, with a report where it is wrong, for an engine that comes with the
    /// program.
    private static func library(
        _ fields: Fields, _ factory: BackendFactory?, _ problems: inout ProblemLog
    ) -> Located<String>? {
        let name = BackendFactory.libraryOption
        guard let factory else { return nil }
        guard factory.loadsLibrary else {
            if let node = fields.node(name) {
                problems.report(
                    fields.path(of: name),
                    "a backend of type \(quoted(factory.type)) comes out of no library; remove it",
                    at: node.origin)
            }
            return nil
        }
        guard fields.required(name, &problems) != nil, let library = fields.string(name, &problems) else { return nil }
        guard 1...maximumPathBytes ~= library.value.utf8.count, !library.value.utf8.contains(0) else {
            problems.report(
                library, "expected the name or path of a shared library, 1 to \(maximumPathBytes) bytes without NUL")
            return nil
        }
        return library
    }

    /// Reports unknown names only when the factory, and with it the list of its options, is known; those of a library's
    /// engine are checked when it is opened.
    private static func options(
        _ fields: Fields, _ factory: BackendFactory?, _ problems: inout ProblemLog
    ) -> [String: OptionValue]? {
        var given: [String] = []
        if case .object(let members) = fields.node("options")?.value { given = members.map(\.name) }
        let loadsLibrary = factory?.loadsLibrary == true
        let known = loadsLibrary ? given : factory?.options ?? given
        guard let fields = fields.object("options", known: known, &problems) else { return nil }
        var options: [String: OptionValue] = [:]
        for name in fields.names {
            guard let node = fields.node(name) else { continue }
            guard !loadsLibrary || name != BackendFactory.libraryOption else {
                problems.report(fields.path(of: name), "the library stands beside options, not in it", at: node.origin)
                continue
            }
            switch node.value {
            case .string(let value): options[name] = .string(value)
            case .integer(let value): options[name] = .integer(value)
            case .number(let value): options[name] = .number(value)
            case .boolean(let value): options[name] = .boolean(value)
            case .null, .array, .object:
                problems.report(
                    fields.path(of: name), "expected a text, a number, true or false, found \(node.kind)",
                    at: node.origin)
            }
        }
        return options
    }
}
