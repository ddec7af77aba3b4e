// SPDX-License-Identifier: Apache-2.0
//
// What running code leaves in its thread beside its frames, in libraries that know nothing of processes: the Swift
// runtime's list of open accesses, a lazy global under construction, the lock of stdout. Each is kept right when a
// process is switched away or abandoned.
//
// - Accesses (dynamic exclusivity checks of code that is compiled with them) are records on the stack, linked from the
//   thread. They go with the process: taken off the thread's list when it stops, put back when it goes on, dropped with
//   its frames.
// - An initialiser of a global runs inside swift_once. If it were preempted there, another process of the same thread
//   that wants the global would wait for the thread it stands on. So there is no preemption inside it; a trap inside it
//   gives the global back, to be initialised by whoever needs it next. For that swift_once is replaced: what only the
//   Swift runtime knows cannot be given back.
// - Swift's print holds stdout's lock while it calls `description` of what it prints: the same, and a trap gives the
//   lock back.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

// Swift runtime, Exclusivity.cpp: `state` is two words, zero for none. Absent from a program without checked accesses.
extern void swift_task_exitThreadLocalContext(char *state) __attribute__((weak));
extern void swift_task_enterThreadLocalContext(char *state) __attribute__((weak));

void roost_accesses_take(void **accesses) {
  accesses[0] = accesses[1] = NULL;
  if (swift_task_exitThreadLocalContext != NULL) swift_task_exitThreadLocalContext((char *)accesses);
}

void roost_accesses_put_back(void *accesses[2]) {
  if (accesses[0] != NULL) swift_task_enterThreadLocalContext((char *)accesses);
}

// --- Globals -------------------------------------------------------------------------------------------------------

// A running initialiser, on the stack of whoever runs it.
typedef struct roost_once {
  int32_t *state;
  struct roost_once *outer;
} roost_once;

// States of a global: 0 not initialised; the thread that initialises it; or this.
#define ONCE_DONE (-1)

static void settle_once(int32_t *state, int32_t value) {
  __atomic_store_n(state, value, __ATOMIC_RELEASE);
  syscall(SYS_futex, state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

__attribute__((noinline)) static void once_slow(int32_t *state, void (*initialise)(void *), void *context) {
  int saved_errno = errno;
  int32_t self = (int32_t)syscall(SYS_gettid);
  for (;;) {
    int32_t seen = 0;
    if (__atomic_compare_exchange_n(state, &seen, self, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) break;
    if (seen == ONCE_DONE) return;
    if (seen == self) __builtin_trap();  // the initialiser needs the global that it initialises
    syscall(SYS_futex, state, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
  }
  errno = saved_errno;
  roost_thread *t = &roost_tls;
  roost_once once = {state, t->once};
  t->once = &once;
  t->held += 1;
  initialise(context);
  t->held -= 1;
  t->once = once.outer;
  settle_once(state, ONCE_DONE);
  roost_held_less(t);
}

// Replaces the Swift runtime's function of this name, which every access to a lazy global calls. Its token is a word,
// zero at first, that nothing else looks into.
void swift_once(intptr_t *token, void (*initialise)(void *), void *context) {
  int32_t *state = (int32_t *)token;
  if (__builtin_expect(__atomic_load_n(state, __ATOMIC_ACQUIRE) != ONCE_DONE, 0)) once_slow(state, initialise, context);
}

// --- Streams -------------------------------------------------------------------------------------------------------

extern void _IO_flockfile(FILE *);
extern void _IO_funlockfile(FILE *);

void flockfile(FILE *stream) {
  _IO_flockfile(stream);
  roost_thread *t = &roost_tls;
  if (!t->in_process) return;
  t->held += 1;
  if (t->stream_count < ROOST_STREAMS_MAX) t->streams[t->stream_count++] = stream;
}

void funlockfile(FILE *stream) {
  roost_thread *t = &roost_tls;
  bool is_held = t->in_process && t->held > 0;
  if (is_held && t->stream_count > 0 && t->streams[t->stream_count - 1] == stream) t->stream_count -= 1;
  _IO_funlockfile(stream);
  if (!is_held) return;
  t->held -= 1;
  roost_held_less(t);
}

void roost_move_out(void *to, void *from, size_t size) {
  memcpy(to, from, size);
  memset(from, 0, size);
}

// --- Abandoned frames ----------------------------------------------------------------------------------------------

void roost_drop_frames(roost_thread *t) {
  void *accesses[2];
  roost_accesses_take(accesses);
  for (roost_once *once = t->once; once != NULL; once = once->outer) settle_once(once->state, 0);
  while (t->stream_count > 0) _IO_funlockfile(t->streams[--t->stream_count]);
  t->once = NULL;
  t->held = 0;
}
