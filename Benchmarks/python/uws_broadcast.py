# SPDX-License-Identifier: Apache-2.0
"""Rooms on uWebSockets (PyPI's socketify), natively published: Python runs once for each message, not each delivery.

uws_broadcast.py PORT
"""
import sys

from socketify import App, AppListenOptions, CompressOptions


def upgraded(response, request, context):
    response.upgrade(request.get_header("sec-websocket-key"), request.get_header("sec-websocket-protocol"),
                     request.get_header("sec-websocket-extensions"), context, request.get_url())


app = App()
app.ws("/broadcast/*", {
    "compression": CompressOptions.DISABLED,
    "max_payload_length": 16 * 1024 * 1024,
    "max_backpressure": 64 * 1024 * 1024,
    "idle_timeout": 120,
    "upgrade": upgraded,
    "open": lambda socket: socket.subscribe(socket.get_user_data()),
    "message": lambda socket, message, opcode: socket.publish(socket.get_user_data(), message, opcode),
})
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda config: print("listening", flush=True))
app.run()
