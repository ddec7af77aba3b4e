// SPDX-License-Identifier: Apache-2.0
// An echo server on ws (Debian's node-ws), as its own documentation has it: one process, one event loop.
// Run: node ws_echo.js PORT [--tls CHAIN KEY] [--deflate lean|default]
// lean: no context takeover, zlib level 1, every message of 256 bytes or more, as Roost's defaults; default: ws's own.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const [port, ...options] = process.argv.slice(2);
const tlsAt = options.indexOf('--tls');
const deflateAt = options.indexOf('--deflate');
const lean = {
  serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 256, zlibDeflateOptions: { level: 1 },
};

const server = tlsAt < 0
  ? http.createServer()
  : https.createServer({ cert: fs.readFileSync(options[tlsAt + 1]), key: fs.readFileSync(options[tlsAt + 2]) });
const perMessageDeflate = deflateAt < 0 ? false : options[deflateAt + 1] === 'lean' ? lean : true;
const sockets = new WebSocketServer({ server, perMessageDeflate });

sockets.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on('error', () => socket.terminate());
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening on 127.0.0.1:${port}`);
});
