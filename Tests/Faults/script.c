// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const call_names[COUNTER_COUNT] = {
    "recv",      "recvmsg",   "read",       "readv",   "send",   "sendmsg", "write", "writev", "accept4",
    "epoll_add", "epoll_mod", "epoll_del", "epoll_wait", "connect", "socket", "in",      "out",   "io",
};

const error_name errors[] = {
    {"EINTR", EINTR},
    {"EAGAIN", EAGAIN},
    {"ENOBUFS", ENOBUFS},
    {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"ECONNRESET", ECONNRESET},
    {"EPIPE", EPIPE},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNREFUSED", ECONNREFUSED},
    {"EPROTO", EPROTO},
    {"EPERM", EPERM},
    {"EIO", EIO},
};
const int error_count = sizeof errors / sizeof *errors;

// The faults of the random mode: the calls that each may happen to.
#define BIT(call) (1u << (call))
#define IN (BIT(CALL_RECV) | BIT(CALL_RECVMSG) | BIT(CALL_READ) | BIT(CALL_READV))
#define OUT (BIT(CALL_SEND) | BIT(CALL_SENDMSG) | BIT(CALL_WRITE) | BIT(CALL_WRITEV))
static struct {
  const char *name;
  const char *what;
  uint32_t calls;
  double rate;  // below 0: the script's
  bool is_on;
} chances[] = {
    {"short-read", "short", IN, -1, false},
    {"short-write", "short", OUT, -1, false},
    {"eintr", "EINTR", IN | OUT | BIT(CALL_ACCEPT) | BIT(CALL_EPOLL_WAIT), -1, false},
    {"eagain", "EAGAIN", IN | OUT | BIT(CALL_ACCEPT), -1, false},
    {"eagain-read", "EAGAIN", IN | BIT(CALL_ACCEPT), -1, false},
    {"enobufs", "ENOBUFS", OUT, -1, false},
    {"few-events", "short", BIT(CALL_EPOLL_WAIT), -1, false},
    {"emfile", "EMFILE", BIT(CALL_ACCEPT), -1, false},
    {"enfile", "ENFILE", BIT(CALL_ACCEPT), -1, false},
    {"econnaborted", "ECONNABORTED", BIT(CALL_ACCEPT), -1, false},
    {"enomem", "ENOMEM", IN | OUT | BIT(CALL_ACCEPT), -1, false},
    {"epoll-enomem", "ENOMEM", BIT(CALL_EPOLL_ADD) | BIT(CALL_EPOLL_MODIFY), -1, false},
    {"reset", "ECONNRESET", IN | OUT, -1, false},
    {"epipe", "EPIPE", OUT, -1, false},
};
#define CHANCE_COUNT (sizeof chances / sizeof *chances)

typedef struct {
  uint64_t first, last;
} range;
typedef struct {
  int counter;  // a call or a group
  range connections, occurrences;
  bool is_for_listeners;
  uint64_t every;
  fault what;
} rule;

#define RULES_MAX 64
static rule rules[RULES_MAX];
static int rule_count;
static uint64_t seed;
static double rate = 0.05;
char script_report[512], script_trace[512];

const char *fault_name(int kind) { return kind == FAULT_SHORT ? "short" : errors[kind - 1].name; }

// --- Reading ------------------------------------------------------------------------------------------------------

// `N`, `N..M`, `N..`; the text behind it.
static char *parse_range(char *text, range *out) {
  char *end;
  out->first = strtoull(text, &end, 10);
  if (end == text) return NULL;
  out->last = out->first;
  if (strncmp(end, "..", 2) != 0) return end;
  text = end + 2;
  out->last = strtoull(text, &end, 10);
  if (end == text) out->last = UINT64_MAX;
  return end;
}

static bool parse_what(char *text, fault *out) {
  *out = (fault){.kind = FAULT_NONE};
  char *colon = strchr(text, ':');
  if (colon) *colon++ = 0;
  if (strcmp(text, "short") == 0) {
    out->kind = FAULT_SHORT;
    if (colon) out->byte_count = strtoull(colon, NULL, 10);
    return !colon || out->byte_count > 0;
  }
  for (int index = 0; index < error_count; index++) {
    if (strcmp(text, errors[index].name) == 0) out->kind = index + 1;
  }
  out->is_quiet = colon != NULL;
  return out->kind != FAULT_NONE && (!colon || strcmp(colon, "quiet") == 0);
}

static bool parse_rule(char *call, char *what) {
  if (rule_count == RULES_MAX) return false;
  rule new = {.counter = -1, .connections = {0, UINT64_MAX}, .occurrences = {1, UINT64_MAX}, .every = 1};
  char *rest = call + strcspn(call, "@#%");
  char mark = *rest;
  *rest = 0;
  for (int counter = 0; counter < COUNTER_COUNT; counter++) {
    if (strcmp(call, call_names[counter]) == 0) new.counter = counter;
  }
  if (new.counter < 0) return false;
  while (mark) {
    rest++;
    if (mark == '@' && strncmp(rest, "listener", 8) == 0) {
      new.is_for_listeners = true;
      rest += 8;
    } else if (mark == '@') {
      rest = parse_range(rest, &new.connections);
    } else if (mark == '#') {
      rest = parse_range(rest, &new.occurrences);
    } else if (mark == '%') {
      new.every = strtoull(rest, &rest, 10);
    } else {
      return false;
    }
    if (!rest || new.every == 0) return false;
    mark = *rest;
  }
  if (!parse_what(what, &new.what)) return false;
  rules[rule_count++] = new;
  return true;
}

static bool parse_chances(char *list) {
  char *position;
  for (char *item = strtok_r(list, ",", &position); item; item = strtok_r(NULL, ",", &position)) {
    char *colon = strchr(item, ':');
    if (colon) *colon++ = 0;
    bool is_known = false;
    for (size_t index = 0; index < CHANCE_COUNT; index++) {
      if (strcmp(item, chances[index].name) != 0) continue;
      is_known = chances[index].is_on = true;
      if (colon) chances[index].rate = strtod(colon, NULL);
    }
    if (!is_known) return false;
  }
  return true;
}

static bool parse_part(char *part) {
  char *value = strchr(part, '=');
  if (!value) return false;
  *value++ = 0;
  char *end = value;
  if (strcmp(part, "seed") == 0) {
    seed = strtoull(value, &end, 0);
    return end > value && !*end;
  }
  if (strcmp(part, "rate") == 0) {
    rate = strtod(value, &end);
    return end > value && !*end && rate >= 0 && rate <= 0.9;
  }
  if (strcmp(part, "faults") == 0) return parse_chances(value);
  if (strcmp(part, "report") == 0) return snprintf(script_report, sizeof script_report, "%s", value) > 0;
  if (strcmp(part, "trace") == 0) return snprintf(script_trace, sizeof script_trace, "%s", value) > 0;
  return parse_rule(part, value);
}

bool script_parse(const char *text, char *problem, size_t problem_size) {
  char copy[4096], *position;
  if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) {
    snprintf(problem, problem_size, "the script is longer than %zu bytes", sizeof copy);
    return false;
  }
  for (char *part = strtok_r(copy, ";", &position); part; part = strtok_r(NULL, ";", &position)) {
    snprintf(problem, problem_size, "%s", part);
    if (!parse_part(part)) return false;
  }
  return true;
}

// --- Deciding -----------------------------------------------------------------------------------------------------

// SplitMix64's finaliser, over what makes a call the one that it is: the same each time that it is made.
static uint64_t mixed(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static uint32_t next(call_counts *counts, int counter) {
  return __atomic_add_fetch(&counts->counts[counter], 1, __ATOMIC_RELAXED);
}

static bool matches(const rule *r, const uint32_t *indices, uint32_t connection) {
  uint64_t index = indices[r->counter];
  if (index == 0 || index < r->occurrences.first || index > r->occurrences.last) return false;
  if ((index - r->occurrences.first) % r->every != 0) return false;
  if (r->is_for_listeners || connection == SCRIPT_LISTENER) return r->is_for_listeners && connection == SCRIPT_LISTENER;
  return connection >= r->connections.first && connection <= r->connections.last;
}

fault script_decide(int call, uint32_t connection, call_counts *counts) {
  uint32_t indices[COUNTER_COUNT] = {0};
  indices[call] = next(counts, call);
  if (BIT(call) & IN) indices[GROUP_IN] = next(counts, GROUP_IN);
  if (BIT(call) & OUT) indices[GROUP_OUT] = next(counts, GROUP_OUT);
  if (BIT(call) & (IN | OUT)) indices[GROUP_IO] = next(counts, GROUP_IO);
  for (int number = 0; number < rule_count; number++) {
    if (matches(&rules[number], indices, connection)) return rules[number].what;
  }
  uint64_t draw = mixed(mixed(mixed(seed, connection), (uint64_t)call), indices[call]);
  for (size_t index = 0; index < CHANCE_COUNT; index++) {
    if (!chances[index].is_on || !(chances[index].calls & BIT(call))) continue;
    draw = mixed(draw, index);
    double chance = chances[index].rate < 0 ? rate : chances[index].rate;
    if ((double)(draw >> 11) * 0x1p-53 >= chance) continue;
    char what[16];
    fault found;
    snprintf(what, sizeof what, "%s", chances[index].what);
    parse_what(what, &found);
    found.draw = mixed(draw, 1);
    return found;
  }
  return (fault){.kind = FAULT_NONE};
}
