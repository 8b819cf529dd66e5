import Foundation
import Testing

@testable import KVWebUI

@Suite struct WebUITests {
    private static let contentTypes = [
        "html": "text/html; charset=utf-8", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml",
    ]

    private func text(_ path: String) throws -> String {
        let asset = try #require(WebUI.asset(path: path))
        return try #require(String(bytes: asset.bytes, encoding: .utf8))
    }

    /// Group 1 of every match.
    private func matches(_ pattern: String, in text: String) throws -> [String] {
        let expression = try NSRegularExpression(pattern: pattern, options: [.caseInsensitive])
        return expression.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap {
            Range($0.range(at: 1), in: text).map { String(text[$0]) }
        }
    }

    @Test func `every file of the folder is served, and nothing else`() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Controller/WebUI/Assets").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(files.map { "/" + $0 }) == Set(WebUI.assets.map(\.path)))
        for file in files {
            let content = try Data(contentsOf: folder.appending(path: file))
            #expect(WebUI.asset(path: "/" + file).map { Data($0.bytes) } == content, "\(file)")
        }
    }

    @Test func `every asset has content, a fitting type and a tag of its own`() throws {
        for asset in WebUI.assets {
            #expect(!asset.bytes.isEmpty, "\(asset.path)")
            let kind = try #require(asset.path.split(separator: ".").last)
            #expect(asset.contentType == Self.contentTypes[String(kind)], "\(asset.path)")
            #expect(asset.etag.wholeMatch(of: /"[0-9a-f]{16}"/) != nil, "\(asset.etag)")
        }
        #expect(Set(WebUI.assets.map(\.path)).count == WebUI.assets.count)
        #expect(Set(WebUI.assets.map(\.etag)).count == WebUI.assets.count)
    }

    @Test func `the root is the index`() throws {
        let root = try #require(WebUI.asset(path: "/"))
        #expect(root.path == "/index.html")
        #expect(root.etag == WebUI.asset(path: "/index.html")?.etag)
    }

    @Test(arguments: [
        "", "//", "/nothing", "/../main.js", "/./main.js", "main.js", "/main.js/", "/MAIN.JS", "/main%2ejs",
    ])
    func `other paths have no asset`(path: String) {
        #expect(WebUI.asset(path: path) == nil)
    }

    @Test func `the tag is FNV-1a of the content`() {
        #expect(WebUI.etag([]) == "\"cbf29ce484222325\"")
        #expect(WebUI.etag(Array("a".utf8)) == "\"af63dc4c8601ec8c\"")
        #expect(WebUI.etag(Array("foobar".utf8)) == "\"85944171f73967e8\"")
    }

    @Test func `the index refers only to existing assets`() throws {
        let index = try text("/")
        let references = try matches(#"\s(?:src|href)\s*=\s*"([^"]*)""#, in: index)
        #expect(references.count >= 4)
        for reference in references where !reference.hasPrefix("#") {
            #expect(WebUI.asset(path: "/" + reference) != nil, "\(reference)")
        }
    }

    @Test func `anchors and label targets of the index exist`() throws {
        let index = try text("/")
        let ids = try matches(#"\sid="([^"]*)""#, in: index)
        #expect(Set(ids).count == ids.count, "an id is used twice")
        let targets =
            try matches(##"\shref="#([^"]*)""##, in: index) + matches(#"\sfor="([^"]*)""#, in: index)
            + matches(#"\saria-(?:labelledby|describedby)="([^"]*)""#, in: index)
        #expect(targets.filter { !ids.contains($0) } == [])
    }

    @Test func `every field has a label`() throws {
        let index = try text("/")
        let labelled = Set(try matches(#"\sfor="([^"]*)""#, in: index))
        let wrapped = Set(try matches(#"<label class="check"><input id="([^"]*)""#, in: index))
        let fields = try matches(#"<(?:input|select|textarea)\s[^>]*?id="([^"]*)""#, in: index)
        #expect(fields.count >= 9)
        #expect(fields.filter { !labelled.contains($0) && !wrapped.contains($0) } == [])
    }

    @Test func `scripts import only existing assets`() throws {
        for asset in WebUI.assets where asset.contentType == "text/javascript" {
            let imports = try matches(#"(?:from|import)\s+"\./([^"]*)""#, in: text(asset.path))
            for name in imports {
                #expect(WebUI.asset(path: "/" + name) != nil, "\(asset.path) imports \(name)")
            }
        }
    }

    @Test func `scripts use only ids that the index or a script makes`() throws {
        let scripts = try WebUI.assets.filter { $0.contentType == "text/javascript" }.map { try text($0.path) }
        let ids = Set(try matches(#"\sid="([^"]*)""#, in: text("/")))
        for script in scripts {
            for id in try matches(#"byId\("([^"]*)"\)"#, in: script) {
                #expect(ids.contains(id), "\(id)")
            }
        }
    }

    @Test func `there is no inline script, style or event handler`() throws {
        let index = try text("/")
        #expect(try matches(#"<script(?![^>]*\ssrc=)([^>]*)>"#, in: index) == [])
        #expect(try matches(#"<script[^>]*>([^<]+)</script>"#, in: index) == [])
        #expect(try matches(#"(<style)"#, in: index) == [])
        #expect(try matches(#"\s(style|on[a-z]+)\s*="#, in: index) == [])
        #expect(try matches(#"(javascript:)"#, in: index) == [])
    }

    @Test func `no script turns text into markup or code`() throws {
        let forbidden =
            #"(innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc)"#
        for asset in WebUI.assets where asset.contentType == "text/javascript" {
            #expect(try matches(forbidden, in: text(asset.path)) == [], "\(asset.path)")
        }
    }

    @Test func `nothing is loaded from elsewhere`() throws {
        for asset in WebUI.assets {
            var content = try text(asset.path)
            // The one address that is a name, never fetched.
            content = content.replacingOccurrences(of: "xmlns=\"http://www.w3.org/2000/svg\"", with: "")
            #expect(try matches(#"(https?://|["'(]//)"#, in: content) == [], "\(asset.path)")
            #expect(try matches(#"(@import|url\()"#, in: content) == [], "\(asset.path)")
        }
    }
}
