// SPDX-License-Identifier: Apache-2.0
//
// Dirty jobs: what the reduction hook does on a dirty thread. There is no turn to end; it is the place where a job that
// is cancelled, or over its process's heap limit, can be given up.
#include <time.h>

#include "internal.h"

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void roost_dirty_cancel(roost_dirty *dirty, int64_t grace) {
  int64_t deadline, seen = __atomic_load_n(&dirty->deadline, __ATOMIC_RELAXED);
  if (__builtin_add_overflow(now(), grace, &deadline)) deadline = INT64_MAX - 1;
  while (seen > deadline && !__atomic_compare_exchange_n(&dirty->deadline, &seen, deadline, true, __ATOMIC_RELEASE,
                                                         __ATOMIC_RELAXED)) {
  }
}

bool roost_dirty_is_cancelled(const roost_dirty *dirty) {
  return __atomic_load_n(&dirty->deadline, __ATOMIC_ACQUIRE) != INT64_MAX;
}

void roost_dirty_renew(roost_dirty *dirty) {
  __atomic_store_n(&dirty->deadline, INT64_MAX, __ATOMIC_RELEASE);
  dirty->has_exceeded = false;
}

static void abandon(roost_thread *t) {
  t->outcome = ROOST_PREEMPTED;
  roost_drop_frames(t);
  roost_switch_to_scheduler(t, true);
  __builtin_trap();
}

// Depth zero, no lock of a library held, outside the allocator.
void roost_dirty_point(roost_thread *t) {
  roost_dirty *dirty = t->dirty;
  t->reductions = ROOST_DIRTY_REDUCTIONS;
  if (t->over_heap_limit) {
    if (t->live > t->live_max) {
      // As for processes: a quarter past the limit there is no more waiting for it to unwind.
      if (dirty->has_exceeded) return abandon(t);
      dirty->has_exceeded = true;
      if (__builtin_add_overflow(t->live_max, t->live_max / 4, &t->live_max)) t->live_max = INT64_MAX;
      t->preemption_disabled = 1;
      dirty->exceeded(dirty, t->live);
      t->preemption_disabled = 0;
    }
    t->over_heap_limit = 0;
  }
  int64_t deadline = __atomic_load_n(&dirty->deadline, __ATOMIC_ACQUIRE);
  if (deadline != INT64_MAX && now() >= deadline) abandon(t);
}

void roost_account_add(roost_account *account, uint32_t generation, int64_t bytes) {
  if (roost_account_generation(account) == generation)
    __atomic_fetch_sub(&account->freed_by_others, bytes, __ATOMIC_RELAXED);
}
