// SPDX-License-Identifier: Apache-2.0

/// Markup of a page. Text becomes markup only through `text`, which takes every meaning out of it.
package struct HTML: Sendable, Equatable {
    package private(set) var markup: String

    /// Markup that this program has written.
    init(markup: StaticString) { self.markup = "\(markup)" }

    private init(trusted markup: String) { self.markup = markup }

    static let empty = HTML(trusted: "")

    /// What anyone may have written, as text.
    package static func text(_ text: String) -> HTML { HTML(trusted: escaped(text)) }

    /// Elements that have no end tag (HTML §13.1.2).
    private static let voidNames: Set<String> = ["br", "col", "hr", "img", "input", "link", "meta"]

    package static func element(
        _ name: StaticString, _ attributes: KeyValuePairs<String, String> = [:], _ content: HTML...
    ) -> HTML {
        element(name, attributes, content)
    }

    static func element(
        _ name: StaticString, _ attributes: KeyValuePairs<String, String> = [:], _ content: [HTML]
    ) -> HTML {
        let name = "\(name)"
        let list = attributes.map { " \($0.key)=\"\(escaped($0.value))\"" }.joined()
        if voidNames.contains(name) { return HTML(trusted: "<\(name)\(list)>") }
        return HTML(trusted: "<\(name)\(list)>\(content.map(\.markup).joined())</\(name)>")
    }

    /// A style sheet or a script, whose text has no escapes; one of this program's own.
    static func raw(_ name: StaticString, _ content: StaticString) -> HTML {
        HTML(trusted: "<\(name)>\(content)</\(name)>")
    }

    /// Data for the page's script: JSON in which nothing can end the element.
    static func data(id: StaticString, _ json: String) -> HTML {
        var safe = ""
        for scalar in json.unicodeScalars {
            switch scalar {
            case "<": safe += "\\u003c"
            case ">": safe += "\\u003e"
            case "&": safe += "\\u0026"
            case _: safe.unicodeScalars.append(scalar)
            }
        }
        return HTML(trusted: "<script type=\"application/json\" id=\"\(id)\">\(safe)</script>")
    }

    package static func + (a: HTML, b: HTML) -> HTML { HTML(trusted: a.markup + b.markup) }
    package static func += (a: inout HTML, b: HTML) { a.markup += b.markup }

    static func joined(_ parts: [HTML]) -> HTML { HTML(trusted: parts.map(\.markup).joined()) }

    /// For text and for attributes in double quotes. Characters that a page must not have are replaced (HTML §13.1.4).
    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n": result.unicodeScalars.append(scalar)
            case _ where isForbidden(scalar): result += "\u{FFFD}"
            case _: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Controls, and the marks that turn the direction of writing.
    private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control || (0x202A...0x202E).contains(scalar.value)
            || (0x2066...0x2069).contains(scalar.value)
    }
}
