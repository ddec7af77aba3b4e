/// The parameters of one permessage-deflate element, an offer or an answer, as they were sent (RFC 7692 §7.1).
struct DeflateTerms: Equatable {
    static let extensionName = "permessage-deflate"

    private(set) var serverNoContextTakeover = false
    private(set) var clientNoContextTakeover = false
    private(set) var serverMaxWindowBits: UInt8?
    private(set) var clientMaxWindowBits: UInt8?
    /// `client_max_window_bits` is there, with or without a value.
    private(set) var mentionsClientWindow = false
    /// No parameter is unknown, comes twice or has a value that it may not have (RFC 7692 §5.1, §7.1).
    private(set) var isValid = true

    /// Reads what follows the name of the extension in `list`.
    init(_ list: inout ExtensionList) throws(ExtensionList.Malformed) {
        while let parameter = try list.nextParameter() {
            if !take(parameter) { isValid = false }
        }
    }

    private mutating func take(_ parameter: ExtensionList.Parameter) -> Bool {
        switch String(decoding: parameter.name, as: UTF8.self) {
        case "server_no_context_takeover": return Self.setFlag(&serverNoContextTakeover, parameter)
        case "client_no_context_takeover": return Self.setFlag(&clientNoContextTakeover, parameter)
        case "server_max_window_bits":
            guard serverMaxWindowBits == nil, let value = parameter.value else { return false }
            serverMaxWindowBits = Self.windowBits(value)
            return serverMaxWindowBits != nil
        case "client_max_window_bits":
            guard !mentionsClientWindow else { return false }
            mentionsClientWindow = true
            guard let value = parameter.value else { return true }
            clientMaxWindowBits = Self.windowBits(value)
            return clientMaxWindowBits != nil
        default: return false
        }
    }

    /// A parameter without a value.
    private static func setFlag(_ flag: inout Bool, _ parameter: ExtensionList.Parameter) -> Bool {
        guard !flag, parameter.value == nil else { return false }
        flag = true
        return true
    }

    /// A decimal number of 8...15 without leading zeros (RFC 7692 §7.1.2).
    private static func windowBits(_ digits: ArraySlice<UInt8>) -> UInt8? {
        guard let first = digits.first, digits.count <= 2, first != UInt8(ascii: "0"),
            digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        else { return nil }
        let value = digits.reduce(UInt8(0)) { $0 * 10 + ($1 - 0x30) }
        return DeflateParameters.windowBitsRange.contains(value) ? value : nil
    }
}
