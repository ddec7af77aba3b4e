package import RoostHTTP

/// Subprotocol names (RFC 6455 §1.9, §11.3.4).
package enum Subprotocols {
    /// True if `name` is a token, as every subprotocol name must be.
    package static func isValid(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy(\.isTokenCharacter)
    }

    /// The names a client offers, in its order of preference; nil if one is not a token or comes twice.
    package static func offered(in headers: HeaderFields) -> [String]? {
        var names: [String] = []
        for element in headers.listElements(of: "sec-websocket-protocol") {
            guard headers.isToken(element) else { return nil }
            let name = headers.string(in: element)
            guard !names.contains(name) else { return nil }
            names.append(name)
        }
        return names
    }

    /// The first of `supported` that is offered, or nil. Names are compared by case (RFC 6455 §4.2.2).
    package static func choose(from offered: [String], supported: [String]) -> String? {
        supported.first(where: offered.contains)
    }
}
