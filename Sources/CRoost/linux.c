// SPDX-License-Identifier: Apache-2.0
//
// Linux calls that need _GNU_SOURCE, which Swift's Glibc module does without.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "internal.h"

int roost_core_count(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int roost_get_cores(uint8_t *bits, size_t byte_count) {
  return sched_getaffinity(0, byte_count, (cpu_set_t *)bits) == 0 ? 0 : errno;
}

int roost_set_cores(int32_t tid, const uint8_t *bits, size_t byte_count) {
  return sched_setaffinity(tid, byte_count, (const cpu_set_t *)bits) == 0 ? 0 : errno;
}

void roost_thread_set_name(const char *name) { pthread_setname_np(pthread_self(), name); }

int roost_accept(int listener, void *address, uint32_t *length) {
  return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
