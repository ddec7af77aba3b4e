package import RoostHTTP

/// How the two ends of a connection agree on permessage-deflate (RFC 7692 §5, §7.1).
package enum DeflateNegotiation {
    /// Elements of the list that are looked at. Clients offer one or two; more work nobody may ask for.
    package static let offerCountMax = 16

    private static let headerName = "sec-websocket-extensions"

    // MARK: Server

    /// The server's side: the first offer that `policy` can accept, in the client's order of preference, and the value
    /// of the response's Sec-WebSocket-Extensions header. Nil: the connection goes uncompressed.
    ///
    /// An offer with an unknown, repeated or invalid parameter is declined and the next one looked at (RFC 7692 §5.1,
    /// §7.1); other extensions are passed over. Nothing is accepted from a list that is malformed (RFC 6455 §9.1): what
    /// its sender meant cannot be known.
    package static func accept(
        _ headers: HeaderFields, policy: DeflatePolicy
    ) -> (parameters: DeflateParameters, responseValue: String)? {
        guard headers.count(of: headerName) > 0, let offer = try? firstValidOffer(headers) else { return nil }
        let serverBits = min(offer.serverMaxWindowBits ?? 15, policy.serverMaxWindowBits)
        // A client that does not mention its window cannot be told of a smaller one (RFC 7692 §7.1.2.2).
        let clientBits =
            offer.mentionsClientWindow ? min(offer.clientMaxWindowBits ?? 15, policy.clientMaxWindowBits) : 15
        let parameters = DeflateParameters(
            serverNoContextTakeover: offer.serverNoContextTakeover || !policy.serverContextTakeover,
            clientNoContextTakeover: offer.clientNoContextTakeover || !policy.clientContextTakeover,
            serverMaxWindowBits: serverBits, clientMaxWindowBits: clientBits)
        var value = DeflateTerms.extensionName
        if parameters.serverNoContextTakeover { value += "; server_no_context_takeover" }
        if parameters.clientNoContextTakeover { value += "; client_no_context_takeover" }
        if offer.serverMaxWindowBits != nil { value += "; server_max_window_bits=\(serverBits)" }
        if clientBits < 15 { value += "; client_max_window_bits=\(clientBits)" }
        return (parameters, value)
    }

    /// Throws if the list is malformed, as far as it is looked at.
    private static func firstValidOffer(_ headers: HeaderFields) throws(ExtensionList.Malformed) -> DeflateTerms? {
        var elementCount = 0
        var found: DeflateTerms?
        for value in headers.all(headerName) {
            var list = ExtensionList(value)
            while elementCount < offerCountMax, let name = try list.nextName() {
                elementCount += 1
                let terms = try DeflateTerms(&list)
                if found == nil, terms.isValid, isDeflate(name) { found = terms }
            }
        }
        return found
    }

    // MARK: Client

    /// The value of the client's Sec-WebSocket-Extensions header.
    package static func offer(_ policy: DeflatePolicy) -> String {
        var value = DeflateTerms.extensionName
        if !policy.serverContextTakeover { value += "; server_no_context_takeover" }
        if !policy.clientContextTakeover { value += "; client_no_context_takeover" }
        if policy.serverMaxWindowBits < 15 { value += "; server_max_window_bits=\(policy.serverMaxWindowBits)" }
        value += "; client_max_window_bits"
        if policy.clientMaxWindowBits < 15 { value += "=\(policy.clientMaxWindowBits)" }
        return value
    }

    /// The client's check of the server's answer to `offer(offered)`. Nil: the server has declined.
    ///
    /// Throws if the server chose what was not offered, or left out what was asked for: both ends would no longer agree
    /// on what the frames mean (RFC 7692 §5.1, RFC 6455 §9.1).
    package static func check(
        _ headers: HeaderFields, offered: DeflatePolicy
    ) throws(ClientHandshakeError) -> DeflateParameters? {
        guard headers.count(of: headerName) > 0 else { return nil }
        let answer = try onlyAnswer(headers)
        let invalid = ClientHandshakeError.deflateAnswerInvalid(headers.all(headerName).joined(separator: ", "))
        guard answer.isValid, answer.serverNoContextTakeover || offered.serverContextTakeover else { throw invalid }
        let serverBits = answer.serverMaxWindowBits
        // A server may name its window without being asked (RFC 7692 §7.1.2.1).
        guard offered.serverMaxWindowBits == 15 || serverBits != nil, serverBits ?? 15 <= offered.serverMaxWindowBits
        else { throw invalid }
        // In an answer the client's window has a value (RFC 7692 §7.1.2.2).
        guard answer.mentionsClientWindow == (answer.clientMaxWindowBits != nil),
            answer.clientMaxWindowBits ?? 8 <= offered.clientMaxWindowBits
        else { throw invalid }
        return DeflateParameters(
            serverNoContextTakeover: answer.serverNoContextTakeover,
            clientNoContextTakeover: answer.clientNoContextTakeover || !offered.clientContextTakeover,
            serverMaxWindowBits: serverBits ?? 15,
            clientMaxWindowBits: answer.clientMaxWindowBits ?? offered.clientMaxWindowBits)
    }

    /// The answer's one element, permessage-deflate: nothing else was offered.
    private static func onlyAnswer(_ headers: HeaderFields) throws(ClientHandshakeError) -> DeflateTerms {
        var answer: DeflateTerms?
        for value in headers.all(headerName) {
            var list = ExtensionList(value)
            while let (name, terms) = try nextElement(&list) {
                guard answer == nil, isDeflate(name) else { throw .extensionNotOffered }
                answer = terms
            }
        }
        guard let answer else { throw .extensionsMalformed }
        return answer
    }

    private static func nextElement(
        _ list: inout ExtensionList
    ) throws(ClientHandshakeError) -> (ArraySlice<UInt8>, DeflateTerms)? {
        do throws(ExtensionList.Malformed) {
            guard let name = try list.nextName() else { return nil }
            return (name, try DeflateTerms(&list))
        } catch {
            throw .extensionsMalformed
        }
    }

    private static func isDeflate(_ name: ArraySlice<UInt8>) -> Bool {
        name.elementsEqual(DeflateTerms.extensionName.utf8)
    }
}
