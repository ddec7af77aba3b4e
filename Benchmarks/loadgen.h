// SPDX-License-Identifier: Apache-2.0
// What the load generator's event loop (loadgen.c) and its bookkeeping (report.c) share.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum mode { modeEcho, modeRate, modeConnect, modeIdle, modeTrap, modeNeverRead, modeFanout };
enum state { stateClosed, stateConnecting, stateSecuring, stateUpgrading, stateOpen, stateClosing };
enum compression { compressionOff, compressionNoTakeover, compressionTakeover };
enum opcode { opcodeText = 1, opcodeBinary = 2, opcodeClose = 8, opcodePing = 9, opcodePong = 10 };

enum { serverPidCountMax = 8, sequenceByteCount = 8, publisherCountMax = 256 };

static const uint64_t second = 1000000000;  // in nanoseconds

struct options {
    enum mode mode;
    const char *modeName, *host, *path, *say;
    const char *authority;  // PEM file; with it the connections are TLS
    enum compression compression;
    int port, serverPids[serverPidCountMax], serverPidCount;
    size_t connections, publishers, size, inFlight, count;
    double seconds, warmUp;
    uint64_t rate;  // messages a second over all connections
    bool isText, untilEof, noEcho, resumes;
};

struct statistics {
    uint64_t sent, received, unsent;  // whole run
    uint64_t cycles;                  // connect, echo, close: completed
    uint64_t resumed;                 // … of them with a TLS session of an earlier one
    uint64_t messages;                // to all subscribers, delivered to every one
    uint64_t traps, restarts, closes, stalls, errors;
    uint64_t bytesSent, bytesReceived;  // of WebSocket and HTTP, before TLS
    uint64_t compressed;                // echoes that came compressed
    unsigned lastCloseCode;
};

struct connection {
    int descriptor;
    enum state state;
    bool wantsWrite, sentCopyDone;
    struct ssl_st *tls;           // OpenSSL's
    struct z_stream_s *inflater;  // zlib's, where the server compresses with what earlier messages had in common
    uint32_t sentCount, receivedCount;
    uint64_t touched;     // when it was opened, or last answered
    uint64_t *sendTimes;  // of the messages in flight
    uint8_t *output, *partial;
    size_t outputStart, outputEnd, outputCapacity, partialCount, partialCapacity;
};

extern struct options options;
extern struct statistics statistics;

void parseOptions(int argc, char **argv);
uint64_t monotonicNow(void);
void beginMeasuring(void);
void endMeasuring(void);
void recordLatency(uint64_t nanoseconds);
void printReport(size_t openCount);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// loadgen.c
extern struct connection *connections;
extern uint8_t *plainBody;  // what each message carries behind its sequence number
extern bool isSending;
void openAll(void);
/// One wait for events, in nanoseconds at most, and their handling.
void turn(uint64_t timeout);
void runFor(double seconds);
void queueMessage(struct connection *c, uint64_t now);
void flush(struct connection *c);
void failConnection(struct connection *c, const char *what);
/// From here on an event comes only for what arrives after all was read.
void watchEdges(struct connection *c);

// fanout.c
void prepareFanout(void);
void runFanout(void);
void receiveDelivery(struct connection *c, const uint8_t *payload, size_t byteCount, uint64_t now);
void flushPublishers(void);

// tls.c
enum handshake { handshakeDone, handshakeReads, handshakeWrites, handshakeFailed };
void prepareTLS(void);
void beginTLS(struct connection *c);
enum handshake continueTLS(struct connection *c);
void endTLS(struct connection *c);
/// As `send` and `recv`, with or without TLS; `receiveBytes` reads until there is no more, or no room.
ssize_t sendBytes(struct connection *c, const void *bytes, size_t byteCount);
ssize_t receiveBytes(struct connection *c, void *bytes, size_t byteCount);
/// What was negotiated, as "TLSv1.3 TLS_AES_128_GCM_SHA256"; empty without TLS.
const char *negotiatedTLS(void);

// deflate.c
struct body { uint8_t *plain, *sent; size_t sentByteCount; };
void prepareDeflate(void);
/// The message with a number, as JSON-like text and compressed.
const struct body *bodyOf(uint32_t number);
void negotiatedDeflate(struct connection *c, const uint8_t *head, size_t byteCount);
bool isCompressedBody(struct connection *c, uint32_t number, const uint8_t *payload, size_t byteCount);
void endDeflate(struct connection *c);
