// SPDX-License-Identifier: Apache-2.0
// Rooms on ws (Debian's node-ws), as its own documentation broadcasts: a message goes to every client of its path's room.
// Run: node ws_broadcast.js PORT
'use strict';
const http = require('http');
const { WebSocket, WebSocketServer } = require('ws');

const [port] = process.argv.slice(2);
const rooms = new Map();
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on('connection', (socket, request) => {
  const clients = rooms.get(request.url) ?? new Set();
  rooms.set(request.url, clients.add(socket));
  socket.on('message', (data, isBinary) => {
    for (const client of clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
  socket.on('close', () => clients.delete(socket));
  socket.on('error', () => socket.terminate());
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${port}`);
});
