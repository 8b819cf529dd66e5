/// A JSON value that remembers where it came from, so that every problem can say its place.
struct JSONNode: Hashable, Sendable {
    var value: Value
    var origin: Origin

    enum Value: Hashable, Sendable {
        case null
        case boolean(Bool)
        /// A number without fraction and exponent that fits.
        case integer(Int64)
        case number(Double)
        case string(String)
        case array([JSONNode])
        /// In the order of the text; a name that is given twice appears twice.
        case object([Member])
    }

    struct Member: Hashable, Sendable {
        var name: String
        /// Where the name stands.
        var origin: Origin
        var node: JSONNode

        init(name: String, origin: Origin, node: JSONNode) {
            self.name = name
            self.origin = origin
            self.node = node
        }
    }

    /// The word for the kind of value that a person expects in a message.
    var kind: String {
        switch value {
        case .null: "null"
        case .boolean: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// The first member of that name; `nil` also when this is no object.
    func member(_ name: String) -> JSONNode? {
        guard case .object(let members) = value else { return nil }
        return members.first { $0.name == name }?.node
    }

    /// Puts `node` at the end of the path of names, making the objects on the way that are missing. Something that is
    /// no object on the way stays as it is: checking it reports that.
    mutating func set(_ path: ArraySlice<String>, to node: JSONNode) {
        guard let name = path.first else {
            self = node
            return
        }
        guard case .object(var members) = value else { return }
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index].node.set(path.dropFirst(), to: node)
        } else {
            var child = JSONNode(value: .object([]), origin: node.origin)
            child.set(path.dropFirst(), to: node)
            members.append(Member(name: name, origin: node.origin, node: child))
        }
        value = .object(members)
    }
}

/// Where a value of the configuration came from.
public enum Origin: Hashable, Sendable {
    /// A place in the text, both counted from 1; columns count characters (Unicode scalars).
    case text(line: Int, column: Int)
    /// A flag such as `--listen` or a variable such as `KV_NODE_LISTEN`.
    case override(String)
}
