// SPDX-License-Identifier: Apache-2.0
// The load generator's options, clocks, latency histogram and report.
#define _GNU_SOURCE
#include "loadgen.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Powers of two, each cut into 64 steps: within 1.6 % of the value.
enum { stepBits = 6, bucketCount = 64 << stepBits };
static uint64_t buckets[bucketCount];
static uint64_t latencyCount, latencyMax;

static bool isMeasuring;
static struct statistics atBegin, atEnd;
static uint64_t beginTime, endTime;
static double beginCPU, endCPU, beginOwnCPU, endOwnCPU;

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

uint64_t monotonicNow(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/// CPU seconds of a process, all threads, to the nanosecond where the kernel tells, else from /proc/PID/stat.
static double processCPU(int pid) {
    clockid_t clock;
    struct timespec used;
    if (!clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &used))
        return used.tv_sec + used.tv_nsec / 1e9;
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) fail("the server, process %d, is gone", pid);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unsigned long user = 0, kernel = 0;
    char *fields = strrchr(text, ')');
    if (fields) sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    return (double)(user + kernel) / sysconf(_SC_CLK_TCK);
}

static double serverCPU(void) {
    double sum = 0;
    for (int i = 0; i < options.serverPidCount; i++) sum += processCPU(options.serverPids[i]);
    return sum;
}

/// How much of its core the generator used: near 1, it and not the server may have been the limit.
static double ownCPU(void) { return processCPU(getpid()); }

void beginMeasuring(void) {
    isMeasuring = true;
    atBegin = statistics;
    beginCPU = serverCPU();
    beginOwnCPU = ownCPU();
    beginTime = monotonicNow();
}

void endMeasuring(void) {
    endTime = monotonicNow();
    endCPU = serverCPU();
    endOwnCPU = ownCPU();
    atEnd = statistics;
    isMeasuring = options.mode == modeRate;  // what is still under way there counts
}

static unsigned bucketIndex(uint64_t value) {
    if (value < 1 << stepBits) return value;
    unsigned exponent = 63 - __builtin_clzll(value) - stepBits;
    return ((exponent + 1) << stepBits) + ((value >> exponent) & ((1 << stepBits) - 1));
}

static uint64_t bucketValue(unsigned index) {
    if (index < 1 << stepBits) return index;
    unsigned exponent = (index >> stepBits) - 1;
    return ((1ull << stepBits) + (index & ((1 << stepBits) - 1))) << exponent;
}

void recordLatency(uint64_t nanoseconds) {
    if (!isMeasuring) return;
    buckets[bucketIndex(nanoseconds)]++;
    latencyCount++;
    if (nanoseconds > latencyMax) latencyMax = nanoseconds;
}

static double percentileMicroseconds(double fraction) {
    uint64_t rank = fraction * latencyCount, seen = 0;
    for (unsigned i = 0; i < bucketCount; i++) {
        seen += buckets[i];
        if (seen > rank) return bucketValue(i) / 1e3;
    }
    return latencyMax / 1e3;
}

void printReport(size_t openCount) {
    double seconds = (endTime - beginTime) / 1e9, cpu = endCPU - beginCPU;
    bool countsCycles = options.mode == modeConnect;
    uint64_t count = countsCycles ? atEnd.cycles - atBegin.cycles : atEnd.received - atBegin.received;
    if (options.mode == modeTrap) count = atEnd.traps - atBegin.traps;
    printf("{\"mode\":\"%s\",\"connections\":%zu,\"open\":%zu,\"size\":%zu,", options.modeName, options.connections,
           openCount, options.size);
    printf("\"seconds\":%.3f,\"count\":%lu,\"per_second\":%.1f,", seconds, count, seconds > 0 ? count / seconds : 0);
    if (seconds > 0) printf("\"generator_cpu_share\":%.3f,", (endOwnCPU - beginOwnCPU) / seconds);
    if (*negotiatedTLS()) printf("\"tls\":\"%s\",\"resumed\":%lu,", negotiatedTLS(), statistics.resumed);
    if (options.compression && atEnd.received > atBegin.received)
        printf("\"wire_bytes_each\":%.1f,\"compressed\":%lu,",
               (double)(atEnd.bytesReceived - atBegin.bytesReceived) / (atEnd.received - atBegin.received),
               statistics.compressed);
    if (options.serverPidCount)
        printf("\"server_cpu_seconds\":%.4f,\"per_cpu_second\":%.1f,", cpu, cpu > 0 ? count / cpu : 0);
    if (latencyCount)
        printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,", percentileMicroseconds(0.5),
               percentileMicroseconds(0.99), percentileMicroseconds(0.999), latencyMax / 1e3);
    if (options.mode == modeRate) printf("\"unsent\":%lu,\"lost\":%lu,", statistics.unsent,
                                         statistics.sent - statistics.received);
    if (options.mode == modeTrap) printf("\"traps\":%lu,\"restarts\":%lu,\"stalls\":%lu,", statistics.traps,
                                         statistics.restarts, statistics.stalls);
    if (options.mode == modeFanout) printf("\"publishers\":%zu,\"in_flight\":%zu,\"messages\":%lu,", options.publishers,
                                           options.inFlight, atEnd.messages - atBegin.messages);
    printf("\"sent\":%lu,\"received\":%lu,\"bytes_sent\":%lu,\"closes\":%lu,\"last_close_code\":%u,\"errors\":%lu}\n",
           statistics.sent, statistics.received, statistics.bytesSent, statistics.closes, statistics.lastCloseCode,
           statistics.errors);
}

static const char *const modeNames[] = {"echo", "rate", "connect", "idle", "trap", "neverread", "fanout"};

static const struct option longOptions[] = {
    {"connections", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 'b'},
    {"in-flight", required_argument, NULL, 'k'},   {"seconds", required_argument, NULL, 's'},
    {"warm-up", required_argument, NULL, 'w'},     {"rate", required_argument, NULL, 'r'},
    {"count", required_argument, NULL, 'n'},       {"server-pid", required_argument, NULL, 'p'},
    {"say", required_argument, NULL, 'y'},         {"text", no_argument, NULL, 't'},
    {"until-eof", no_argument, NULL, 'e'},         {"no-echo", no_argument, NULL, 'q'},
    {"tls", required_argument, NULL, 'a'},         {"resume", no_argument, NULL, 'u'},
    {"compress", required_argument, NULL, 'z'},   {"publishers", required_argument, NULL, 'P'},
    {NULL, 0, NULL, 0},
};

static void setOption(int letter) {
    switch (letter) {
    case 'c': options.connections = strtoul(optarg, NULL, 10); break;
    case 'b': options.size = strtoul(optarg, NULL, 10); break;
    case 'k': options.inFlight = strtoul(optarg, NULL, 10); break;
    case 's': options.seconds = strtod(optarg, NULL); break;
    case 'w': options.warmUp = strtod(optarg, NULL); break;
    case 'r': options.rate = strtoul(optarg, NULL, 10); break;
    case 'P': options.publishers = strtoul(optarg, NULL, 10); break;
    case 'n': options.count = strtoul(optarg, NULL, 10); break;
    case 'p':
        if (options.serverPidCount == serverPidCountMax) fail("too many processes");
        options.serverPids[options.serverPidCount++] = strtol(optarg, NULL, 10);
        break;
    case 'a': options.authority = optarg; break;
    case 'u': options.resumes = true; break;
    case 'z':
        if (strcmp(optarg, "takeover") && strcmp(optarg, "no-takeover")) fail("--compress no-takeover or takeover");
        options.compression = *optarg == 't' ? compressionTakeover : compressionNoTakeover;
        break;
    case 'y': options.say = optarg; break;
    case 't': options.isText = true; break;
    case 'e': options.untilEof = true; break;
    case 'q': options.noEcho = true; break;
    default: exit(2);
    }
}

void parseOptions(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "fanout")) options.connections = 5000, options.size = 100;
    for (int letter; (letter = getopt_long(argc, argv, "", longOptions, NULL)) != -1;) setOption(letter);
    if (argc - optind != 4) fail("usage: loadgen MODE HOST PORT PATH [options]; the head of loadgen.c tells them");
    options.modeName = argv[optind], options.host = argv[optind + 1], options.path = argv[optind + 3];
    options.port = strtol(argv[optind + 2], NULL, 10);
    size_t mode = 0;
    while (mode < sizeof modeNames / sizeof *modeNames && strcmp(modeNames[mode], options.modeName)) mode++;
    if (mode == sizeof modeNames / sizeof *modeNames) fail("no mode %s", options.modeName);
    options.mode = mode;
    if (!options.connections || !options.inFlight || !options.rate) fail("connections, in-flight and rate start at 1");
    if (options.size > 1000000) fail("--size is at most 1000000 bytes");
    if (options.mode != modeFanout) return;
    if (options.compression) fail("fanout knows no --compress");
    if (options.size < sequenceByteCount) fail("--size is at least %d bytes for fanout", sequenceByteCount);
    if (!options.publishers || options.publishers > publisherCountMax)
        fail("--publishers is 1 to %d", publisherCountMax);
    options.connections += options.publishers;
}
