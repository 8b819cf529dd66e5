internal import HTTPTypes
package import Hummingbird
internal import NIOCore

/// Answers that both kinds of process give alike.
package enum CommonAnswers {
    /// The process runs; says nothing about the cluster.
    package static var alive: Response { status("alive") }
    package static var ready: Response { status("ready") }

    package static var version: Response {
        var json = JSONWriter()
        json.beginObject()
        json.name("version")
        json.string(KVVersion.current)
        json.name("protocol")
        json.integer(KVVersion.httpProtocol)
        json.endObject()
        return document(json)
    }

    /// 200 with a finished JSON document.
    package static func document(_ json: consuming JSONWriter) -> Response {
        var json = json
        return Response(
            status: .ok, headers: [.contentType: HTTPField.json.value], body: ResponseBody(byteBuffer: json.finish()))
    }

    private static func status(_ word: String) -> Response {
        var json = JSONWriter()
        json.beginObject()
        json.name("status")
        json.string(word)
        json.endObject()
        return document(json)
    }
}
