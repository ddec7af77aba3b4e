// SPDX-License-Identifier: Apache-2.0
//
// Process stacks: mapping them, entering and leaving them, and the reduction hook that the compiler calls.
#define _GNU_SOURCE
#include "croost.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

_Thread_local roost_thread roost_tls __attribute__((tls_model("initial-exec")));

_Thread_local uint64_t roost_simulation_clock __attribute__((tls_model("initial-exec")));

#define SIGNAL_STACK_SIZE (64 * 1024)

// Lays out what roost_switch will pop, so that it "returns" into roost_switch_entry. `top` is 16-byte aligned.
static void *prepare_stack(uintptr_t top, roost_entry entry, void *argument) {
#if defined(__x86_64__)
  uintptr_t *sp = (uintptr_t *)top;
  *--sp = 0;
  *--sp = 0;  // two words: the stack pointer is 16-byte aligned again at the call in roost_switch_entry
  *--sp = (uintptr_t)roost_switch_entry;
  *--sp = 0;                    // rbp
  *--sp = 0;                    // rbx
  *--sp = (uintptr_t)entry;     // r12
  *--sp = (uintptr_t)argument;  // r13
  *--sp = 0;                    // r14
  *--sp = 0;                    // r15
  return sp;
#elif defined(__aarch64__)
  uintptr_t *sp = (uintptr_t *)(top - 160);
  memset(sp, 0, 160);
  sp[0] = (uintptr_t)entry;                 // x19
  sp[1] = (uintptr_t)argument;              // x20
  sp[11] = (uintptr_t)roost_switch_entry;   // x30
  return sp;
#else
#error "Roost switches stacks on x86_64 and aarch64 only"
#endif
}

int roost_lane_map(roost_lane *lane, size_t stack_size, size_t guard_size) {
  char *map = mmap(NULL, guard_size + stack_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return errno;
  if (mprotect(map + guard_size, stack_size, PROT_READ | PROT_WRITE) != 0) {
    int error = errno;
    munmap(map, guard_size + stack_size);
    return error;
  }
  lane->guard_low = (uintptr_t)map;
  lane->low = lane->guard_low + guard_size;
  lane->high = lane->low + stack_size;
  return 0;
}

void roost_lane_unmap(const roost_lane *lane) { munmap((void *)lane->guard_low, lane->high - lane->guard_low); }

int roost_thread_attach(size_t stack_size, size_t guard_size, size_t reserve_size, void *scheduler) {
  roost_thread *t = roost_thread_current();
  roost_lane lane = {0, 0, 0};
  int error = stack_size == 0 ? 0 : roost_lane_map(&lane, stack_size, guard_size);
  if (error != 0) return error;
  char *signal_stack = mmap(NULL, SIGNAL_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (signal_stack == MAP_FAILED) {
    error = errno;
    if (stack_size != 0) roost_lane_unmap(&lane);
    return error;
  }
  stack_t alternate = {.ss_sp = signal_stack, .ss_size = SIGNAL_STACK_SIZE};
  sigaltstack(&alternate, NULL);
  // Its creator may block what is blocked in its own threads, as libdispatch does.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGURG);  // claim.c: answer_sample
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  memset(t, 0, sizeof *t);
  t->has_own_stack = stack_size != 0;
  t->attached = (uint32_t)reserve_size;
  t->preemption_disabled = 1;
  t->reductions = INT64_MAX;
  t->scheduler = scheduler;
  t->tid = (int32_t)syscall(SYS_gettid);
  roost_thread_use(&lane);
  roost_sanitizer_attach(t);
  return 0;
}

void roost_thread_detach(void) {
  roost_thread *t = roost_thread_current();
  stack_t alternate = {.ss_flags = SS_DISABLE}, old;
  if (sigaltstack(&alternate, &old) == 0 && !(old.ss_flags & SS_DISABLE) && old.ss_size == SIGNAL_STACK_SIZE)
    munmap(old.ss_sp, SIGNAL_STACK_SIZE);
  roost_lane lane = {t->guard_low, t->stack_low, t->stack_high};
  if (t->has_own_stack) roost_lane_unmap(&lane);
  memset(t, 0, sizeof *t);
}

void roost_finish(void) {
  roost_thread *t = roost_thread_current();
  t->outcome = ROOST_FINISHED;
  roost_switch_to_scheduler(t, true);
  __builtin_trap();
}

#ifndef ROOST_STACK_PER_PROCESS
const bool roost_has_stack_per_process = false;

__attribute__((noinline)) void roost_switch_with_accesses(roost_thread *t) {
  void *accesses[2] = {t->accesses[0], t->accesses[1]};
  roost_switch(&t->process_sp, t->scheduler_sp);
  roost_accesses_put_back(accesses);
}

// Without open accesses, as nearly always, the switch is a tail call: a process that waits keeps no frame of it.
void roost_switch_to_scheduler(roost_thread *t, bool is_final) {
  (void)is_final;
  roost_accesses_take(t->accesses);
  if (__builtin_expect(t->accesses[0] != NULL, 0)) return roost_switch_with_accesses(t);
  return roost_switch(&t->process_sp, t->scheduler_sp);
}

uint32_t roost_start(roost_entry entry, void *argument) {
  roost_thread *t = roost_thread_current();
  return roost_resume_here(t, prepare_stack(t->stack_high, entry, argument));
}

uint32_t roost_resume(void *sp) { return roost_resume_here(roost_thread_current(), sp); }

roost_stack *roost_stack_create(size_t size) { (void)size; abort(); }
void *roost_stack_stopped(const roost_stack *stack, size_t *size) { (void)stack, (void)size; abort(); }
void roost_stack_destroy(roost_stack *stack) { (void)stack; abort(); }
uint32_t roost_stack_start(roost_stack *stack, roost_entry entry, void *argument) {
  (void)stack, (void)entry, (void)argument;
  abort();
}
uint32_t roost_stack_resume(roost_stack *stack) { (void)stack; abort(); }
#else
const bool roost_has_stack_per_process = true;
void roost_switch_with_accesses(roost_thread *t) { (void)t; abort(); }

struct roost_stack {
  uintptr_t low, high;
  void *sp;
  void *fiber;
  void *fake_stack;
  bool has_trapped;
};

roost_stack *roost_stack_create(size_t size) {
  roost_stack *stack = calloc(1, sizeof *stack);
  char *map = mmap(NULL, size + 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == NULL || map == MAP_FAILED) abort();
  if (mprotect(map + 65536, size, PROT_READ | PROT_WRITE) != 0) abort();
  stack->low = (uintptr_t)map + 65536;
  stack->high = stack->low + size;
  stack->fiber = roost_sanitizer_fiber_create();
  return stack;
}

void roost_stack_destroy(roost_stack *stack) {
  // ThreadSanitizer ends the program over a fibre that ends inside one of its interceptors, as an abort in handler code
  // does.
  if (!stack->has_trapped) roost_sanitizer_fiber_destroy(stack->fiber);
  munmap((void *)(stack->low - 65536), stack->high - stack->low + 65536);
  free(stack);
}

static uint32_t enter(roost_thread *t, roost_stack *stack, void *sp) {
  uintptr_t guard = t->guard_low, low = t->stack_low, high = t->stack_high;
  t->guard_low = stack->low - 65536;
  t->stack_low = stack->low;
  t->stack_high = stack->high;
  t->stack_limit = stack->low + t->attached;
  t->entering = stack;
  __atomic_store_n(&t->in_process, 1, ROOST_DEPTH_STORE);
  roost_sanitizer_switch_to_process(t, stack->fiber, stack->low, stack->high - stack->low);
  roost_switch(&t->scheduler_sp, sp);
  roost_sanitizer_back_in_scheduler(t);
  roost_inside(t, 1);
  __atomic_store_n(&t->in_process, 0, ROOST_DEPTH_STORE);
  t->stack_limit = 0;
  stack->sp = t->process_sp;
  stack->has_trapped = t->outcome == ROOST_TRAPPED;
  t->guard_low = guard;
  t->stack_low = low;
  t->stack_high = high;
  roost_tidy(t);
  return t->outcome;
}

void roost_switch_to_scheduler(roost_thread *t, bool is_final) {
  roost_stack *stack = t->entering;
  void *accesses[2];
  roost_accesses_take(accesses);
  roost_sanitizer_switch_to_scheduler(t, is_final ? NULL : &stack->fake_stack);
  roost_switch(&t->process_sp, t->scheduler_sp);
  roost_sanitizer_back_in_process(stack->fake_stack);
  roost_accesses_put_back(accesses);
}

// The argument that prepare_stack carries for announce_entry. One scheduler starts one process at a time, so one per
// thread is enough.
static _Thread_local struct {
  roost_entry entry;
  void *argument;
} starting;

static void announce_entry(void *unused) {
  (void)unused;
  roost_sanitizer_entered();
  starting.entry(starting.argument);
}

uint32_t roost_stack_start(roost_stack *stack, roost_entry entry, void *argument) {
  roost_thread *t = roost_thread_current();
  starting.entry = entry;
  starting.argument = argument;
  return enter(t, stack, prepare_stack(stack->high, announce_entry, NULL));
}

void *roost_stack_stopped(const roost_stack *stack, size_t *size) {
  *size = stack->high - (uintptr_t)stack->sp;
  return stack->sp;
}

uint32_t roost_stack_resume(roost_stack *stack) { return enter(roost_thread_current(), stack, stack->sp); }

uint32_t roost_start(roost_entry entry, void *argument) { (void)entry; (void)argument; abort(); }
uint32_t roost_resume(void *sp) { (void)sp; abort(); }
#endif

void roost_park(void) { roost_park_here(); }

void roost_tidy(roost_thread *t) {
  if (t->trap.message_length != 0 && t->outcome != ROOST_TRAPPED) roost_flush_report(t);
  if (t->held != 0) roost_drop_frames(t);  // it ended with a stream locked
}

// Never inlined: the fast paths that call it stay small.
__attribute__((noinline, cold)) void roost_reductions_spent(void) {
  roost_thread *t = roost_thread_current();
  if (!t->in_process) {
    t->reductions = INT64_MAX;  // a thread that runs no process has no turn to end
    return;
  }
  if (t->preemption_disabled != 0 || t->in_allocator != 0) return;  // asked again by roost_leave
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  if (frame < t->stack_limit) {
    t->trap.kind = ROOST_TRAP_STACK_OVERFLOW;
    t->trap.signal = 0;
    t->trap.address = frame;
    t->trap.message_length = 0;
    t->trap.frame_count =
        roost_walk_frames(frame, t->stack_low, t->stack_high, t->trap.frames, ROOST_TRAP_FRAMES_MAX);
    t->outcome = ROOST_TRAPPED;
    roost_drop_frames(t);
    roost_switch_to_scheduler(t, true);
    __builtin_trap();
  }
  if (t->held != 0) return;  // asked again by roost_held_less
  if (t->dirty != NULL) return roost_dirty_point(t);
  t->outcome = ROOST_PREEMPTED;
  roost_switch_to_scheduler(t, false);
}

// LLVM's SanitizerCoverage calls this on every edge of an instrumented target (clang documentation, "Tracing PCs with
// guards").
void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
  (void)guard;
  roost_thread *t = &roost_tls;  // nothing of it is used after a switch
  t->reductions -= 1;
  if (__builtin_expect(t->reductions < 0 || (uintptr_t)__builtin_frame_address(0) < t->stack_limit, 0))
    roost_reductions_spent();
}

void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
  (void)start;
  (void)stop;
}
