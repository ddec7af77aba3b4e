// SPDX-License-Identifier: Apache-2.0
#ifndef CROOST_INTERNAL_H
#define CROOST_INTERNAL_H

#include "croost.h"

// Assembly; contract in switch_<arch>.S.
void roost_switch_entry(void);
// The entry of the process that runs has returned: called by roost_switch_entry, on the process stack. Does not return.
void roost_finish(void);

// The thread's list of open accesses goes with the process that stops (thread_state.c).
void roost_accesses_put_back(void *accesses[2]);
// The frames of the process that runs are abandoned: gives back what they hold. Before anything overwrites them.
void roost_drop_frames(roost_thread *t);
// A lock was given back: ends the turn where that was put off.
static inline void roost_held_less(const roost_thread *t) {
  if (t->held == 0 && t->preemption_disabled == 0 && t->reductions < 0) roost_reductions_spent();
}
// A dirty job's reductions are spent: looks whether it may go on (dirty.c).
void roost_dirty_point(roost_thread *t);
// Prints what was kept for the message of a trap that did not come.
void roost_flush_report(roost_thread *t);

// Annotations that tell a sanitizer which stack is current; empty in other builds (sanitizer.c).
void roost_sanitizer_attach(roost_thread *t);
void roost_sanitizer_entered(void);
#ifdef ROOST_STACK_PER_PROCESS
void *roost_sanitizer_fiber_create(void);
void roost_sanitizer_fiber_destroy(void *fiber);
void roost_sanitizer_switch_to_process(roost_thread *t, void *fiber, uintptr_t low, size_t size);
void roost_sanitizer_switch_to_scheduler(roost_thread *t, void **fake_stack);
void roost_sanitizer_back_in_scheduler(roost_thread *t);
void roost_sanitizer_back_in_process(void *fake_stack);
#endif

#endif
