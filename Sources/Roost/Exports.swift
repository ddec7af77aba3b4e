// SPDX-License-Identifier: Apache-2.0

// A handler package imports Roost alone.
@_exported public import RoostHTTP
@_exported public import RoostIO
@_exported public import RoostRuntime
@_exported public import RoostWebSocket
