// SPDX-License-Identifier: Apache-2.0

public import Roost

/// Answers the path `/spin` when the probe's gate is open, computing until then, and any other at once.
public func spinningResponder(_ probe: Probe) -> HTTPResponder {
    { request in
        if request.path == "/spin" {
            probe.note("spinning")
            while !probe.isOpen {}
        }
        return HTTPResponse(text: "\(request.path) \(request.peer?.host ?? "-")")
    }
}
