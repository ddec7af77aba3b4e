// SPDX-License-Identifier: Apache-2.0
//
// Linux calls that need _GNU_SOURCE, which Swift's Glibc module does without.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

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

// Absent from C libraries older than glibc 2.35.
extern int epoll_pwait2(int, struct epoll_event *, int, const struct timespec *, const sigset_t *)
    __attribute__((weak));

int roost_epoll_wait(int epoll, struct epoll_event *events, int count_max, int64_t nanoseconds) {
  static _Atomic bool is_missing;
  if (nanoseconds > 0 && epoll_pwait2 && !atomic_load_explicit(&is_missing, memory_order_relaxed)) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, events, count_max, &timeout, NULL);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    atomic_store_explicit(&is_missing, true, memory_order_relaxed);
  }
  if (nanoseconds <= 0) return epoll_wait(epoll, events, count_max, nanoseconds < 0 ? -1 : 0);
  int64_t milliseconds = nanoseconds / 1000000 + (nanoseconds % 1000000 > 0);
  return epoll_wait(epoll, events, count_max, milliseconds < 3600000 ? (int)milliseconds : 3600000);
}
