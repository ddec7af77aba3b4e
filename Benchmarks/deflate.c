// SPDX-License-Identifier: Apache-2.0
// The load generator's permessage-deflate (RFC 7692): messages are compressed once, before the load, each by itself;
// what comes back is inflated and compared, unless it is byte for byte an answer that was right before.
#define _GNU_SOURCE
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { bodyCount = 64, windowBits = 15, level = 6, tailByteCount = 4 };
static const uint8_t tail[tailByteCount] = {0, 0, 0xff, 0xff};  // left off by the sender (RFC 7692 §7.2.1)
static struct body bodies[bodyCount];
static struct { uint8_t *bytes; size_t count; } known[bodyCount];  // answers that were found right
static z_stream sharedInflater;
static uint8_t *inflated;

/// Records of a feed, with names, numbers and words that differ, cut to `--size`.
static void writeText(uint8_t *place, size_t byteCount, uint64_t *seed) {
    static const char *const words[] = {"orders", "filled", "limit", "market", "spread", "depth", "Lisbon", "Tromso",
                                        "north", "carrier", "delayed", "on time", "gate", "boarding", "open", "closed"};
    size_t used = 0;
    while (used < byteCount) {
        uint32_t draws[6];
        for (int i = 0; i < 6; i++) {
            *seed = *seed * 6364136223846793005u + 1442695040888963407u;
            draws[i] = *seed >> 33;
        }
        char record[256];
        int count = snprintf(record, sizeof record,
                             "{\"id\":%u,\"user\":\"u%05u\",\"price\":%u.%02u,\"time\":\"2026-11-26T%02u:%02u:%02uZ\","
                             "\"text\":\"%s %s %s\",\"tags\":[\"%s\"]},",
                             draws[0] % 1000000, draws[1] % 100000, draws[2] % 1000, draws[3] % 100, draws[4] % 24,
                             draws[4] / 24 % 60, draws[5] % 60, words[draws[0] >> 8 & 15], words[draws[1] >> 8 & 15],
                             words[draws[2] >> 8 & 15], words[draws[3] >> 8 & 15]);
        size_t taken = (size_t)count < byteCount - used ? (size_t)count : byteCount - used;
        memcpy(place + used, record, taken);
        used += taken;
    }
}

static void compressBody(struct body *body) {
    z_stream deflater = {0};
    if (deflateInit2(&deflater, level, Z_DEFLATED, -windowBits, 8, Z_DEFAULT_STRATEGY)) fail("zlib: no deflater");
    size_t room = deflateBound(&deflater, options.size) + 16;
    body->sent = malloc(room);
    deflater.next_in = body->plain, deflater.avail_in = options.size;
    deflater.next_out = body->sent, deflater.avail_out = room;
    if (!body->sent || deflate(&deflater, Z_SYNC_FLUSH) != Z_OK || deflater.avail_in) fail("zlib: not compressed");
    body->sentByteCount = room - deflater.avail_out - tailByteCount;
    deflateEnd(&deflater);
}

void prepareDeflate(void) {
    uint64_t seed = 20261126;
    for (int i = 0; i < bodyCount; i++) {
        bodies[i].plain = malloc(options.size + 1);
        if (!bodies[i].plain) fail("out of memory");
        writeText(bodies[i].plain, options.size, &seed);
        compressBody(&bodies[i]);
    }
    inflated = malloc(options.size + 1);
    if (!inflated || inflateInit2(&sharedInflater, -windowBits)) fail("zlib: no inflater");
}

const struct body *bodyOf(uint32_t number) { return &bodies[number % bodyCount]; }

void negotiatedDeflate(struct connection *c, const uint8_t *head, size_t byteCount) {
    static const char name[] = "permessage-deflate", apart[] = "server_no_context_takeover";
    if (!memmem(head, byteCount, name, sizeof name - 1)) fail("the server does not compress");
    if (memmem(head, byteCount, apart, sizeof apart - 1)) return;
    c->inflater = calloc(1, sizeof *c->inflater);
    if (!c->inflater || inflateInit2(c->inflater, -windowBits)) fail("zlib: no inflater");
}

static bool inflatePiece(z_stream *stream, const uint8_t *bytes, size_t byteCount) {
    stream->next_in = (uint8_t *)bytes, stream->avail_in = byteCount;
    while (stream->avail_in && stream->avail_out) {
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR) return false;
        if (result == Z_BUF_ERROR) break;
    }
    return !stream->avail_in;
}

bool isCompressedBody(struct connection *c, uint32_t number, const uint8_t *payload, size_t byteCount) {
    size_t index = number % bodyCount;
    statistics.compressed++;
    bool isAlone = !c->inflater;
    if (isAlone && known[index].count == byteCount && !memcmp(known[index].bytes, payload, byteCount)) return true;
    z_stream *stream = isAlone ? &sharedInflater : c->inflater;
    if (isAlone) inflateReset(stream);
    stream->next_out = inflated, stream->avail_out = options.size + 1;
    if (!inflatePiece(stream, payload, byteCount) || !inflatePiece(stream, tail, tailByteCount)) return false;
    if (stream->avail_out != 1 || memcmp(inflated, bodies[index].plain, options.size)) return false;
    if (!isAlone) return true;
    uint8_t *kept = realloc(known[index].bytes, byteCount);
    if (!kept) fail("out of memory");
    known[index].bytes = kept, known[index].count = byteCount;
    memcpy(kept, payload, byteCount);
    return true;
}

void endDeflate(struct connection *c) {
    if (!c->inflater) return;
    inflateEnd(c->inflater);
    free(c->inflater);
    c->inflater = NULL;
}
