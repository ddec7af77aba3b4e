// SPDX-License-Identifier: Apache-2.0
// A WebSocket load generator on one thread and one epoll, so that a figure does not depend on Roost's own load tester.
//
//   loadgen MODE HOST PORT PATH [options]
//
//   echo       --connections N --size B --in-flight K --seconds S
//   rate       --connections N --size B --rate R --seconds S     latency counts from the intended send time
//   connect    --connections C --size B --seconds S              connect, one echo, close; C at a time
//   idle       --connections N [--say TEXT] [--no-echo]          prints "ready N", then holds them
//   trap       --connections C --count T --seconds S             sends "go" until T handlers trapped
//   neverread  --connections N --size B --seconds S              sends and never reads
//   fanout     --connections N --publishers P --size B --in-flight K --seconds S     N subscribers; see fanout.c
//
// Common: --server-pid PID (CPU time of the server; of several, given several times), --warm-up S, --text (text frames;
// binary otherwise), --until-eof (end when stdin ends), --tls CA (TLS, whose certificate CA has signed), --resume (the
// TLS session of an earlier connection), --compress no-takeover|takeover (JSON-like text with permessage-deflate, and
// how the server is asked to compress). Every echo is checked: order, length and content. One JSON object on stdout.

#define _GNU_SOURCE
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { readBufferByteCount = 1 << 20, eventCountMax = 512, openingCountMax = 256 };
enum { compressedBit = 0x40 };           // RSV1 (RFC 7692 §6)
enum { reopeningErrorCountMax = 1000 };  // a server that is gone refuses for ever
static const uint64_t stallLimit = 5 * 1000000000ull;
static const uint8_t maskKey[4] = {0x5a, 0xc3, 0x17, 0x99};
static const char handshakeKey[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char handshakeAccept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  // RFC 6455 §1.3's own example

struct options options = {.connections = 100, .size = 64, .inFlight = 1, .seconds = 2, .warmUp = 0.5, .rate = 10000,
                          .count = 10000, .publishers = 1};
struct statistics statistics;

struct connection *connections;
static int poller;
static uint8_t readBuffer[readBufferByteCount];
static uint8_t *maskedBody;  // one message's payload, masked; its sequence number is patched in for each message
uint8_t *plainBody;
static uint64_t startTime;   // of the paced schedule
static size_t openCount, openingCount, nextToOpen;
bool isSending;
static bool isReopening, inputEnded;

// MARK: - Output

static void watch(struct connection *c, bool wantsWrite) {
    if (c->wantsWrite == wantsWrite) return;
    c->wantsWrite = wantsWrite;
    uint32_t readable = options.mode == modeNeverRead && c->state == stateOpen ? 0 : EPOLLIN;
    struct epoll_event event = {.events = readable | (wantsWrite ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->descriptor, &event);
}

void watchEdges(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->descriptor, &event)) fail("epoll_ctl: %s", strerror(errno));
}

static uint8_t *reserve(struct connection *c, size_t byteCount) {
    if (c->outputEnd + byteCount > c->outputCapacity) {
        c->outputCapacity = (c->outputEnd + byteCount) * 2;
        c->output = realloc(c->output, c->outputCapacity);
        if (!c->output) fail("out of memory for %zu bytes of output", c->outputCapacity);
    }
    uint8_t *place = c->output + c->outputEnd;
    c->outputEnd += byteCount;
    return place;
}

static size_t writeHeader(uint8_t *place, uint8_t opcode, size_t payloadByteCount) {
    size_t count = 2;
    place[0] = 0x80 | opcode;
    if (payloadByteCount < 126) {
        place[1] = 0x80 | payloadByteCount;
    } else if (payloadByteCount < 65536) {
        place[1] = 0x80 | 126, place[2] = payloadByteCount >> 8, place[3] = payloadByteCount;
        count = 4;
    } else {
        place[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++) place[2 + i] = (uint64_t)payloadByteCount >> (56 - 8 * i);
        count = 10;
    }
    memcpy(place + count, maskKey, 4);
    return count + 4;
}

static size_t headerByteCount(size_t payloadByteCount) {
    return payloadByteCount < 126 ? 6 : payloadByteCount < 65536 ? 8 : 14;
}

/// Queues a small frame (control, or a word said to a handler).
static void queueFrame(struct connection *c, uint8_t opcode, const void *payload, size_t byteCount) {
    uint8_t *place = reserve(c, headerByteCount(byteCount) + byteCount);
    place += writeHeader(place, opcode, byteCount);
    for (size_t i = 0; i < byteCount; i++) place[i] = ((const uint8_t *)payload)[i] ^ maskKey[i & 3];
}

static void writeSequence(uint8_t *place, uint32_t sequence) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < sequenceByteCount; i++) place[i] = digits[(sequence >> (28 - 4 * i)) & 15];
}

static void queuePlain(struct connection *c) {
    uint8_t *place = reserve(c, headerByteCount(options.size) + options.size);
    place += writeHeader(place, options.isText ? opcodeText : opcodeBinary, options.size);
    memcpy(place, maskedBody, options.size);
    if (options.size >= sequenceByteCount) {
        writeSequence(place, c->sentCount);
        for (int i = 0; i < sequenceByteCount; i++) place[i] ^= maskKey[i & 3];
    }
}

static void queueCompressed(struct connection *c) {
    const struct body *body = bodyOf(c->sentCount);
    uint8_t *place = reserve(c, headerByteCount(body->sentByteCount) + body->sentByteCount);
    size_t header = writeHeader(place, opcodeText, body->sentByteCount);
    place[0] |= compressedBit;
    for (size_t i = 0; i < body->sentByteCount; i++) place[header + i] = body->sent[i] ^ maskKey[i & 3];
}

void queueMessage(struct connection *c, uint64_t now) {
    if (options.compression) queueCompressed(c);
    else queuePlain(c);
    if (c->sendTimes) c->sendTimes[c->sentCount % options.inFlight] = now;
    c->sentCount++;
    statistics.sent++;
}

void flush(struct connection *c) {
    while (c->outputStart < c->outputEnd) {
        ssize_t n = sendBytes(c, c->output + c->outputStart, c->outputEnd - c->outputStart);
        if (n < 0) {
            if (errno == EINTR) continue;
            watch(c, errno == EAGAIN);
            return;  // a broken connection is reported by the next read
        }
        c->outputStart += n;
        statistics.bytesSent += n;
    }
    c->outputStart = c->outputEnd = 0;
    watch(c, false);
}

// MARK: - Lifecycle

static void openConnection(struct connection *c) {
    c->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->descriptor < 0) fail("cannot open a socket: %s; raise the descriptor limit", strerror(errno));
    int yes = 1, small = 4096;
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (options.mode == modeNeverRead) setsockopt(c->descriptor, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (isReopening) {  // many short connections: spread them over loopback addresses, or the ports run out
        static uint32_t turn;
        uint32_t address = 0x7f000101 + (turn++ % 200 << 8);
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
        setsockopt(c->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(c->descriptor, (struct sockaddr *)&from, sizeof from)) fail("cannot bind: %s", strerror(errno));
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    if (inet_pton(AF_INET, options.host, &to.sin_addr) != 1) fail("%s is not an IPv4 address", options.host);
    if (connect(c->descriptor, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("cannot connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->descriptor, &event)) fail("epoll_ctl: %s", strerror(errno));
    c->state = stateConnecting, c->wantsWrite = true, c->sentCopyDone = false;
    c->sentCount = c->receivedCount = 0;
    c->outputStart = c->outputEnd = c->partialCount = 0;
    c->touched = monotonicNow();
    openingCount++;
}

static void fillOpenings(void) {
    while (nextToOpen < options.connections && openingCount < openingCountMax)
        openConnection(&connections[nextToOpen++]);
}

static void closeConnection(struct connection *c) {
    if (c->state == stateClosed) return;
    if (c->state == stateConnecting || c->state == stateSecuring || c->state == stateUpgrading) openingCount--;
    if (c->state == stateOpen || c->state == stateClosing) openCount--;
    c->state = stateClosed;
    endTLS(c);
    endDeflate(c);
    close(c->descriptor);
    if (isReopening) openConnection(c);
}

void failConnection(struct connection *c, const char *what) {
    if (statistics.errors++ < 3) fprintf(stderr, "loadgen: connection %zu: %s\n", c - connections, what);
    closeConnection(c);
}

static void startUpgrade(struct connection *c) {
    static const char *const offers[] = {
        "", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"};
    char head[1024];
    int count = snprintf(head, sizeof head,
                         "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                         options.path, options.host, options.port, handshakeKey, offers[options.compression]);
    if (count >= (int)sizeof head) fail("PATH is too long: a request has %zu bytes at most", sizeof head - 1);
    memcpy(reserve(c, count), head, count);
    c->state = stateUpgrading;
    flush(c);
}

static void continueHandshake(struct connection *c) {
    switch (continueTLS(c)) {
    case handshakeDone: startUpgrade(c); break;
    case handshakeReads: watch(c, false); break;
    case handshakeWrites: watch(c, true); break;
    case handshakeFailed: failConnection(c, "the TLS handshake failed"); break;
    }
}

static void connected(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) return failConnection(c, strerror(error));
    if (!options.authority) return startUpgrade(c);
    c->state = stateSecuring;
    beginTLS(c);
    continueHandshake(c);
}

static void sendTrapPair(struct connection *c) {
    queueFrame(c, opcodeText, "go", 2);
    queueMessage(c, 0);  // answered by the fresh handler, or by a close frame past the restart intensity
    flush(c);
}

static void opened(struct connection *c) {
    c->state = stateOpen;
    openingCount--;
    openCount++;
    if (options.mode == modeConnect || (options.mode == modeIdle && !options.noEcho)) {
        queueMessage(c, c->touched);
        flush(c);
    } else if (options.mode == modeTrap) {
        sendTrapPair(c);
    }
    fillOpenings();
}

/// The head is complete at `head`; returns its length, 0 when more is needed, -1 when the upgrade was refused.
static ssize_t upgradeHeadByteCount(const uint8_t *head, size_t count) {
    const uint8_t *end = memmem(head, count, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t headCount = end + 4 - head;
    bool accepted = headCount > 12 && !memcmp(head, "HTTP/1.1 101", 12);
    return accepted && memmem(head, headCount, handshakeAccept, sizeof handshakeAccept - 1) ? (ssize_t)headCount : -1;
}

// MARK: - Input

static bool isExpected(const struct connection *c, const uint8_t *payload, size_t byteCount) {
    if (byteCount != options.size) return false;
    if (options.compression) return !memcmp(payload, bodyOf(c->receivedCount)->plain, byteCount);
    if (byteCount < sequenceByteCount) return !memcmp(payload, plainBody, byteCount);
    uint8_t sequence[sequenceByteCount];
    writeSequence(sequence, c->receivedCount);
    return !memcmp(payload, sequence, sequenceByteCount) &&
           !memcmp(payload + sequenceByteCount, plainBody + sequenceByteCount, byteCount - sequenceByteCount);
}

static void receiveMessage(struct connection *c, const uint8_t *payload, size_t byteCount, bool isCompressed,
                           uint64_t now) {
    if (options.mode == modeFanout) return receiveDelivery(c, payload, byteCount, now);
    bool isRight = isCompressed ? isCompressedBody(c, c->receivedCount, payload, byteCount)
                                : isExpected(c, payload, byteCount);
    if (!isRight) return failConnection(c, "an echo differs from what was sent");
    uint32_t sequence = c->receivedCount++;
    statistics.received++;
    switch (options.mode) {
    case modeEcho:
        recordLatency(now - c->sendTimes[sequence % options.inFlight]);
        if (isSending) queueMessage(c, now);
        break;
    case modeRate: {
        uint64_t index = (uint64_t)sequence * options.connections + (c - connections);
        uint64_t due = startTime + (uint64_t)(index * (second / options.rate));
        recordLatency(now > due ? now - due : 0);
        break;
    }
    case modeConnect:
        queueFrame(c, opcodeClose, "\x03\xe8", 2);
        c->state = stateClosing;
        break;
    case modeTrap:
        statistics.traps++, statistics.restarts++;
        c->touched = now;
        if (isSending) sendTrapPair(c);
        break;
    case modeIdle:
        if (options.say) queueFrame(c, opcodeText, options.say, strlen(options.say));
        c->sentCopyDone = true;
        break;
    case modeNeverRead: case modeFanout: break;
    }
}

static void receiveClose(struct connection *c, const uint8_t *payload, size_t byteCount) {
    unsigned code = byteCount >= 2 ? payload[0] << 8 | payload[1] : 1005;
    statistics.lastCloseCode = code;
    if (c->state == stateClosing) return;  // its answer; the server closes the socket next
    statistics.closes++;
    if (options.mode == modeTrap && code == 1011) statistics.traps++;
    else if (options.mode == modeTrap || isSending) failConnection(c, "the server closed it");
    closeConnection(c);
}

/// Handles one frame at `bytes`; returns its length, or 0 when it is incomplete.
static size_t receiveFrame(struct connection *c, const uint8_t *bytes, size_t count, uint64_t now) {
    if (count < 2) return 0;
    size_t header = 2, payloadByteCount = bytes[1] & 0x7f;
    if (payloadByteCount == 126) {
        if (count < 4) return 0;
        header = 4, payloadByteCount = bytes[2] << 8 | bytes[3];
    } else if (payloadByteCount == 127) {
        if (count < 10) return 0;
        header = 10, payloadByteCount = 0;
        for (int i = 0; i < 8; i++) payloadByteCount = payloadByteCount << 8 | bytes[2 + i];
    }
    if (payloadByteCount > readBufferByteCount - header) return failConnection(c, "a frame is too large"), count;
    if (count < header + payloadByteCount) return 0;
    const uint8_t *payload = bytes + header;
    switch (bytes[0]) {
    case 0x80 | opcodeText: case 0x80 | opcodeBinary: receiveMessage(c, payload, payloadByteCount, false, now); break;
    case 0x80 | compressedBit | opcodeText: receiveMessage(c, payload, payloadByteCount, true, now); break;
    case 0x80 | opcodePing: queueFrame(c, opcodePong, payload, payloadByteCount); break;
    case 0x80 | opcodePong: break;
    case 0x80 | opcodeClose: receiveClose(c, payload, payloadByteCount); break;
    default: failConnection(c, "a frame that no echo has"); break;
    }
    return header + payloadByteCount;
}

static void keepPartial(struct connection *c, const uint8_t *bytes, size_t count) {
    c->partialCount = count;
    if (!count) return;
    if (count > c->partialCapacity) {
        c->partialCapacity = count;
        c->partial = realloc(c->partial, count);
        if (!c->partial) fail("out of memory for %zu bytes of input", count);
    }
    memcpy(c->partial, bytes, count);
}

static void endOfStream(struct connection *c, ssize_t result) {
    if (c->state == stateClosing && result == 0) {
        statistics.cycles++;
        recordLatency(monotonicNow() - c->touched);
        closeConnection(c);
    } else {
        failConnection(c, result ? strerror(errno) : "the server ended it without a close frame");
    }
}

/// Reads once and handles what came; returns true when there may be more.
static bool readable(struct connection *c) {
    memcpy(readBuffer, c->partial, c->partialCount);
    size_t room = readBufferByteCount - c->partialCount;
    ssize_t n = receiveBytes(c, readBuffer + c->partialCount, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
    if (n <= 0) return endOfStream(c, n), false;
    statistics.bytesReceived += n;
    const uint8_t *next = readBuffer, *end = readBuffer + c->partialCount + n;
    if (c->state == stateUpgrading) {
        ssize_t head = upgradeHeadByteCount(next, end - next);
        if (head < 0) return failConnection(c, "the upgrade was refused"), false;
        if (head == 0) return keepPartial(c, next, end - next), false;
        if (options.compression) negotiatedDeflate(c, next, head);
        next += head;
        opened(c);
    }
    int descriptor = c->descriptor;
    uint64_t now = monotonicNow();
    size_t used = 1;
    while (used && c->state != stateClosed && c->state != stateConnecting && c->descriptor == descriptor) {
        used = receiveFrame(c, next, end - next, now);
        next += used;
    }
    if (c->state == stateClosed || c->state == stateConnecting) return false;
    keepPartial(c, next, end - next);
    if (c->outputEnd && !c->wantsWrite) flush(c);
    return (size_t)n == room;
}

// MARK: - The loop

static void floodWhenWritable(struct connection *c) {
    if (c->outputEnd == 0) for (int i = 0; i < 16; i++) queueMessage(c, 0);
    flush(c);
    watch(c, true);
}

static void handle(const struct epoll_event *event) {
    struct connection *c = event->data.ptr;
    if (!c) {
        char discard[64];
        if (read(STDIN_FILENO, discard, sizeof discard) <= 0) inputEnded = true;
        if (inputEnded) epoll_ctl(poller, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        return;
    }
    if (c->state == stateClosed) return;
    if (c->state == stateConnecting) {
        if (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
        return;
    }
    if (c->state == stateSecuring) return continueHandshake(c);
    if (options.mode == modeNeverRead && c->state == stateOpen) {
        if (!(event->events & (EPOLLERR | EPOLLHUP))) return floodWhenWritable(c);
        statistics.closes++;
        return closeConnection(c);
    }
    if (event->events & EPOLLOUT) flush(c);
    if (!(event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))) return;
    if (options.mode != modeFanout) return (void)readable(c);
    while (readable(c)) continue;  // to the end: a subscriber's next event comes only after that
    flushPublishers();
}

void turn(uint64_t timeout) {
    struct epoll_event events[eventCountMax];
    struct timespec wait = {.tv_sec = timeout / second, .tv_nsec = timeout % second};
    int count = epoll_pwait2(poller, events, eventCountMax, &wait, NULL);
    for (int i = 0; i < count; i++) handle(&events[i]);
}

/// Without one of its subscribers nothing reaches all of them any more.
static bool isSpoiled(void) { return options.mode == modeFanout && statistics.errors; }

void runFor(double seconds) {
    uint64_t end = monotonicNow() + seconds * second;
    for (uint64_t now; (now = monotonicNow()) < end && !inputEnded && !isSpoiled();) turn(end - now);
}

void openAll(void) {
    uint64_t end = monotonicNow() + 300 * second;  // handshakes take a slow server a while
    fillOpenings();
    while (openCount < options.connections && !statistics.errors && monotonicNow() < end) turn(second / 10);
    if (openCount < options.connections) fail("only %zu of %zu connections opened", openCount, options.connections);
}

// MARK: - Modes

static void runEcho(void) {
    isSending = true;
    for (size_t i = 0; i < options.connections; i++) {
        connections[i].sendTimes = calloc(options.inFlight, sizeof(uint64_t));
        for (size_t k = 0; k < options.inFlight; k++) queueMessage(&connections[i], monotonicNow());
        flush(&connections[i]);
    }
    runFor(options.warmUp);
    beginMeasuring();
    runFor(options.seconds);
    endMeasuring();
}

static void runRate(void) {
    uint64_t interval = second / options.rate, sentCount = 0;
    isSending = true;
    startTime = monotonicNow();
    beginMeasuring();
    uint64_t end = startTime + (options.untilEof ? UINT64_MAX / 2 : (uint64_t)(options.seconds * second)), now;
    while ((now = monotonicNow()) < end && !inputEnded) {
        for (; startTime + sentCount * interval <= now; sentCount++) {
            struct connection *c = &connections[sentCount % options.connections];
            if (c->state != stateOpen) { statistics.unsent++; continue; }
            queueMessage(c, now);
            if (!c->wantsWrite) flush(c);
        }
        uint64_t due = startTime + sentCount * interval;
        now = monotonicNow();
        turn(due > now ? due - now : 0);
    }
    endMeasuring();
    uint64_t drainEnd = monotonicNow() + 5 * second;
    while (statistics.received < statistics.sent && monotonicNow() < drainEnd) turn(second / 100);
}

static void runConnect(void) {
    isReopening = true;
    nextToOpen = options.connections;
    for (size_t i = 0; i < options.connections; i++) openConnection(&connections[i]);
    runFor(options.warmUp);
    beginMeasuring();
    runFor(options.seconds);
    endMeasuring();
}

static void runIdle(void) {
    openAll();
    if (options.noEcho && options.say) {
        for (size_t i = 0; i < options.connections; i++) {
            queueFrame(&connections[i], opcodeText, options.say, strlen(options.say));
            flush(&connections[i]);
        }
    }
    uint64_t end = monotonicNow() + 10 * second;
    while (!options.noEcho && statistics.received < options.connections && monotonicNow() < end) turn(second / 100);
    printf("ready %zu\n", openCount);
    fflush(stdout);
    runFor(options.untilEof ? 86400 : options.seconds);
}

static void runTrap(void) {
    isReopening = isSending = true;
    nextToOpen = options.connections;
    beginMeasuring();
    for (size_t i = 0; i < options.connections; i++) openConnection(&connections[i]);
    uint64_t end = monotonicNow() + options.seconds * second;
    while (statistics.traps < options.count && monotonicNow() < end && !inputEnded &&
           statistics.errors < reopeningErrorCountMax) {
        turn(second / 10);
        uint64_t now = monotonicNow();
        for (size_t i = 0; i < options.connections; i++) {
            if (now - connections[i].touched < stallLimit || connections[i].touched > now) continue;
            statistics.stalls++;
            failConnection(&connections[i], "no answer after a trap");
        }
    }
    endMeasuring();
}

static void runNeverRead(void) {
    openAll();
    beginMeasuring();
    for (size_t i = 0; i < options.connections; i++) floodWhenWritable(&connections[i]);
    runFor(options.seconds);
    endMeasuring();
}

static void prepare(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    prctl(PR_SET_TIMERSLACK, 1);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.connections, sizeof *connections);
    plainBody = malloc(options.size + 1), maskedBody = malloc(options.size + 1);
    if (!connections || !plainBody || !maskedBody) fail("out of memory");
    for (size_t i = 0; i < options.size; i++) {
        plainBody[i] = 'a' + i * 7 % 26;
        maskedBody[i] = plainBody[i] ^ maskKey[i & 3];
    }
    if (options.authority) prepareTLS();
    if (options.mode == modeFanout) prepareFanout();
    if (options.compression) prepareDeflate();
    if (!options.untilEof) return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event)) fail("--until-eof needs a pipe as standard input");
}

int main(int argc, char **argv) {
    parseOptions(argc, argv);
    prepare();
    switch (options.mode) {
    case modeEcho: openAll(); runEcho(); break;
    case modeRate: openAll(); runRate(); break;
    case modeConnect: runConnect(); break;
    case modeIdle: runIdle(); break;
    case modeTrap: runTrap(); break;
    case modeNeverRead: runNeverRead(); break;
    case modeFanout: openAll(); runFanout(); break;
    }
    printReport(openCount);
    return statistics.errors ? 1 : 0;
}
