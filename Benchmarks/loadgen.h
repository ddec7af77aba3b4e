// SPDX-License-Identifier: Apache-2.0
// What the load generator's event loop (loadgen.c) and its bookkeeping (report.c) share.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode { modeEcho, modeRate, modeConnect, modeIdle, modeTrap, modeNeverRead };
enum state { stateClosed, stateConnecting, stateUpgrading, stateOpen, stateClosing };
enum opcode { opcodeText = 1, opcodeBinary = 2, opcodeClose = 8, opcodePing = 9, opcodePong = 10 };

struct options {
    enum mode mode;
    const char *modeName, *host, *path, *say;
    int port, serverPid;
    size_t connections, size, inFlight, count;
    double seconds, warmUp;
    uint64_t rate;  // messages a second over all connections
    bool isText, untilEof, noEcho;
};

struct statistics {
    uint64_t sent, received, unsent;  // whole run
    uint64_t cycles;                  // connect, echo, close: completed
    uint64_t traps, restarts, closes, stalls, errors, bytesSent;
    unsigned lastCloseCode;
};

struct connection {
    int descriptor;
    enum state state;
    bool wantsWrite, sentCopyDone;
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
