internal import HTTPTypes
package import Hummingbird
internal import NIOCore

/// Prometheus' text exposition format, version 0.0.4, written by hand.
package struct PrometheusText {
    private var text = ""

    package init() {}

    package mutating func family(_ name: String, _ help: String, _ type: String) {
        let help = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    package mutating func sample(_ name: String, _ labels: String = "", _ value: some CustomStringConvertible) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    package mutating func gauge(_ name: String, _ help: String, _ value: some CustomStringConvertible) {
        family(name, help, "gauge")
        sample(name, value)
    }

    package mutating func counter(_ name: String, _ help: String, _ value: some CustomStringConvertible) {
        family(name, help, "counter")
        sample(name, value)
    }

    package mutating func sample(_ name: String, _ value: some CustomStringConvertible) {
        text += "\(name) \(value)\n"
    }

    /// `text` as the value of a label.
    package static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    package var response: Response {
        Response(
            status: .ok, headers: [.contentType: HTTPField.prometheus.value],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
