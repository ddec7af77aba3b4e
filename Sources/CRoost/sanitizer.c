// SPDX-License-Identifier: Apache-2.0
//
// Tells AddressSanitizer and ThreadSanitizer about stack switches (compiler-rt: sanitizer/common_interface_defs.h,
// sanitizer/tsan_interface.h). Declared here: the toolchain need not ship those headers.
#include "internal.h"

#if defined(ROOST_ASAN)
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack_save, const void **bottom_old, size_t *size_old);
#endif
#if defined(ROOST_TSAN)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

void roost_sanitizer_attach(roost_thread *t) {
#if defined(ROOST_TSAN)
  t->scheduler_fiber = __tsan_get_current_fiber();
#else
  (void)t;
#endif
}

void roost_handed_over(void *address) {
#if defined(ROOST_TSAN)
  __tsan_release(address);
#else
  (void)address;
#endif
}

void roost_taken_over(void *address) {
#if defined(ROOST_TSAN)
  __tsan_acquire(address);
#else
  (void)address;
#endif
}

// First thing on a fresh process stack.
void roost_sanitizer_entered(void) {
#if defined(ROOST_ASAN)
  roost_thread *t = roost_thread_current();
  __sanitizer_finish_switch_fiber(NULL, &t->scheduler_stack_bottom, &t->scheduler_stack_size);
#endif
}

#ifdef ROOST_STACK_PER_PROCESS
void *roost_sanitizer_fiber_create(void) {
#if defined(ROOST_TSAN)
  return __tsan_create_fiber(0);
#else
  return NULL;
#endif
}

void roost_sanitizer_fiber_destroy(void *fiber) {
#if defined(ROOST_TSAN)
  __tsan_destroy_fiber(fiber);
#else
  (void)fiber;
#endif
}

// A function that ThreadSanitizer instruments says to it that it was entered and that it was left. These two are
// entered as one fibre and left as another.
#if defined(ROOST_TSAN)
#define SWITCHES_FIBER __attribute__((disable_sanitizer_instrumentation, noinline))
#else
#define SWITCHES_FIBER
#endif

SWITCHES_FIBER void roost_sanitizer_switch_to_process(roost_thread *t, void *fiber, uintptr_t low, size_t size) {
#if defined(ROOST_ASAN)
  (void)fiber;
  __sanitizer_start_switch_fiber(&t->scheduler_fake_stack, (void *)low, size);
#else
  (void)t, (void)low, (void)size;
  __tsan_switch_to_fiber(fiber, 0);
#endif
}

void roost_sanitizer_back_in_scheduler(roost_thread *t) {
#if defined(ROOST_ASAN)
  __sanitizer_finish_switch_fiber(t->scheduler_fake_stack, NULL, NULL);
#else
  (void)t;
#endif
}

SWITCHES_FIBER void roost_sanitizer_switch_to_scheduler(roost_thread *t, void **fake_stack) {
#if defined(ROOST_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, t->scheduler_stack_bottom, t->scheduler_stack_size);
#else
  (void)fake_stack;
  __tsan_switch_to_fiber(t->scheduler_fiber, 0);
#endif
}

void roost_sanitizer_back_in_process(void *fake_stack) {
#if defined(ROOST_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#else
  (void)fake_stack;
#endif
}
#endif
