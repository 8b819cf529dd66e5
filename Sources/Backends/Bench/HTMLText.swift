/// Text in a page.
package enum HTMLText {
    package static func escape(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            // Control characters are allowed in no page.
            case _ where character.value < 0x20 || 0x7F...0x9F ~= character.value: result += " "
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// A whole page without scripts or anything from elsewhere, light or dark as the reader has it.
    /// - Parameters:
    ///   - colours: custom properties and their values in light, then in dark.
    ///   - style: what the page has beside tables and figures.
    ///   - body: below the title, escaped already.
    package static func page(
        title: String, colours: (light: String, dark: String), style: String, body: String
    ) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>\(escape(title))</title><style>
        :root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d0d7de;--good:#116329;--bad:#a40e26;\(colours.light)}
        @media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--good:#57ab5a;--bad:#ff7b72;\(colours.dark)}}
        body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);margin:2rem auto;padding:0 1rem}
        .scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0}
        th,td{padding:.15rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
        th:first-child,td:first-child{text-align:left}.facts td{text-align:left;white-space:normal}
        figcaption{font-weight:600}svg{width:100%;height:auto}svg text{fill:var(--text);font-size:12px}.grid{stroke:var(--line)}
        \(style)
        </style></head><body>
        <h1>\(escape(title))</h1>
        \(body)</body></html>

        """
    }

    /// Names and values, below each other.
    package static func facts(_ facts: [(String, String)]) -> String {
        let rows = facts.map { "<tr><th>\(escape($0.0))</th><td>\(escape($0.1))</td></tr>" }
        return "<div class=\"scroll\"><table class=\"facts\">\(rows.joined())</table></div>\n"
    }

    /// Figures below their names.
    package static func table(_ head: [String], _ rows: [[String]]) -> String {
        let head = head.map { "<th>\(escape($0))</th>" }
        let rows = rows.map { "<tr>" + $0.map { "<td>\(escape($0))</td>" }.joined() + "</tr>\n" }
        return "<div class=\"scroll\"><table><tr>\(head.joined())</tr>\n\(rows.joined())</table></div>\n"
    }
}
