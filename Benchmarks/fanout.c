// SPDX-License-Identifier: Apache-2.0
// Fan-out: publishers send to a room, and every subscriber must get every message once and in order.
//
// Closed loop: a publisher has K messages in flight and sends the next when one has reached all subscribers. The first
// connections are the subscribers, the last ones the publishers; whether these get their own messages does not matter.
// A message's sequence number has its publisher in the upper 8 bits and counts that publisher's messages in the others.
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { numberBits = 24 };
static const uint32_t numberMask = (1u << numberBits) - 1;
static const uint64_t joinLimit = 1000000000 / 4, joinTriesMax = 40, drainLimit = 5 * 1000000000ull;

struct message { uint64_t sentAt; size_t missing; };  // how many subscribers have yet to get it

static size_t subscriberCount;
static uint32_t *expected;         // for each subscriber, each publisher's next message
static struct message *inFlight;   // each publisher's, the number of a message modulo their count
static size_t unflushedCount;
static bool isJoining;

void prepareFanout(void) {
    subscriberCount = options.connections - options.publishers;
    expected = calloc(subscriberCount * options.publishers, sizeof *expected);
    inFlight = calloc(options.publishers * options.inFlight, sizeof *inFlight);
    if (!expected || !inFlight) fail("out of memory");
}

static struct connection *publisherAt(size_t index) { return &connections[subscriberCount + index]; }

static struct message *messageAt(size_t publisher, uint32_t number) {
    return &inFlight[publisher * options.inFlight + number % options.inFlight];
}

static void publish(size_t publisher, uint64_t now) {
    struct connection *c = publisherAt(publisher);
    uint32_t number = c->sentCount & numberMask;
    if (number == numberMask) fail("no sequence numbers are left; make --seconds shorter");
    *messageAt(publisher, number) = (struct message){.sentAt = now, .missing = subscriberCount};
    if (c->outputEnd == 0) unflushedCount++;
    queueMessage(c, now);
}

void flushPublishers(void) {
    if (!unflushedCount) return;
    unflushedCount = 0;
    for (size_t i = 0; i < options.publishers; i++) {
        struct connection *c = publisherAt(i);
        if (c->state == stateOpen && c->outputEnd && !c->wantsWrite) flush(c);
    }
}

/// -1 when they are not the digits that a sequence number is written in.
static int64_t readSequence(const uint8_t *digits) {
    uint32_t sequence = 0;
    for (int i = 0; i < sequenceByteCount; i++) {
        uint8_t digit = digits[i], value = digit <= '9' ? digit - '0' : digit - 'a' + 10;
        if (value > 15 || (digit > '9' && digit < 'a')) return -1;
        sequence = sequence << 4 | value;
    }
    return sequence;
}

void receiveDelivery(struct connection *c, const uint8_t *payload, size_t byteCount, uint64_t now) {
    size_t subscriber = c - connections;
    if (subscriber >= subscriberCount) return;  // a publisher's own message, or what the server answers it
    if (byteCount != options.size || memcmp(payload + sequenceByteCount, plainBody + sequenceByteCount,
                                            byteCount - sequenceByteCount))
        return failConnection(c, "a delivery differs from what was published");
    int64_t sequence = readSequence(payload);
    size_t publisher = sequence >> numberBits;
    if (sequence < 0 || publisher >= options.publishers) return failConnection(c, "a delivery that nobody published");
    uint32_t number = sequence & numberMask, *next = &expected[subscriber * options.publishers + publisher];
    if (isJoining ? number < *next : number != *next)
        return failConnection(c, "a delivery is missing, comes twice or out of order");
    if (number >= (publisherAt(publisher)->sentCount & numberMask))
        return failConnection(c, "a delivery before its message");
    *next = number + 1;
    if (isJoining && number + 1 != (publisherAt(publisher)->sentCount & numberMask)) return;  // one that was given up
    struct message *message = messageAt(publisher, number);
    recordLatency(now - message->sentAt);
    statistics.received++;
    if (--message->missing) return;
    statistics.messages++;
    if (isSending) publish(publisher, now);
}

static size_t missingCount(void) {
    size_t sum = 0;
    for (size_t i = 0; i < options.publishers * options.inFlight; i++) sum += inFlight[i].missing;
    return sum;
}

/// A server may have answered the upgrade before it has the subscriber in the room: publishes one message at a time
/// until one has reached all, each in the place of the one before.
static void join(void) {
    isJoining = true;
    for (uint64_t tries = 0; tries < joinTriesMax && !statistics.messages; tries++) {
        publish(0, monotonicNow());
        flushPublishers();
        uint64_t end = monotonicNow() + joinLimit;
        while (!statistics.messages && !statistics.errors && monotonicNow() < end) turn(joinLimit / 10);
    }
    if (!statistics.messages) fail("no message reached all of %zu subscribers", subscriberCount);
    isJoining = false;
    memset(inFlight, 0, options.publishers * options.inFlight * sizeof *inFlight);
}

void runFanout(void) {
    for (size_t i = 0; i < subscriberCount; i++) watchEdges(&connections[i]);
    for (size_t i = 0; i < options.publishers; i++) publisherAt(i)->sentCount = i << numberBits;
    join();
    isSending = true;
    for (size_t i = 0; i < options.publishers; i++)
        for (size_t k = 0; k < options.inFlight; k++) publish(i, monotonicNow());
    flushPublishers();
    runFor(options.warmUp);
    beginMeasuring();
    runFor(options.seconds);
    endMeasuring();
    isSending = false;
    uint64_t end = monotonicNow() + drainLimit;
    while (missingCount() && !statistics.errors && monotonicNow() < end) turn(second / 100);
    if (missingCount() && !statistics.errors) {
        statistics.errors++;
        fprintf(stderr, "loadgen: %zu deliveries did not come\n", missingCount());
    }
}
