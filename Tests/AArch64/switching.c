// SPDX-License-Identifier: Apache-2.0
//
// The C and assembly under the runtime, without Swift: stacks that are entered, left, copied away and back, preempted,
// overflowed and trapped on. Built for aarch64 and run under qemu-user; built for the machine at hand as well (run).
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "croost.h"

#define CHECK(condition) \
  do { if (!(condition)) { printf("FAILED %s:%d: %s\n", __func__, __LINE__, #condition); exit(1); } } while (0)

void __sanitizer_cov_trace_pc_guard(uint32_t *guard);
void swift_once(intptr_t *token, void (*initialise)(void *), void *context);

// --- Registers ---------------------------------------------------------------------------------------------------

// Fills every callee-saved register with values made of `seed`, calls roost_park, and returns how many came back wrong.
#if defined(__aarch64__)
#define INTEGERS 10
#define DOUBLES 8
uint64_t park_with_registers(uint64_t *seeds, uint64_t *seen);
__asm__(
    ".text\n.globl park_with_registers\n.type park_with_registers,%function\npark_with_registers:\n"
    "stp x29, x30, [sp, #-192]!\n mov x29, sp\n"
    "stp x19, x20, [sp, #16]\n stp x21, x22, [sp, #32]\n stp x23, x24, [sp, #48]\n stp x25, x26, [sp, #64]\n"
    "stp x27, x28, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n"
    "stp d14, d15, [sp, #144]\n str x1, [sp, #160]\n"
    "ldp x19, x20, [x0]\n ldp x21, x22, [x0, #16]\n ldp x23, x24, [x0, #32]\n ldp x25, x26, [x0, #48]\n"
    "ldp x27, x28, [x0, #64]\n ldp d8, d9, [x0, #80]\n ldp d10, d11, [x0, #96]\n ldp d12, d13, [x0, #112]\n"
    "ldp d14, d15, [x0, #128]\n"
    "bl roost_park\n"
    "ldr x1, [sp, #160]\n"
    "stp x19, x20, [x1]\n stp x21, x22, [x1, #16]\n stp x23, x24, [x1, #32]\n stp x25, x26, [x1, #48]\n"
    "stp x27, x28, [x1, #64]\n stp d8, d9, [x1, #80]\n stp d10, d11, [x1, #96]\n stp d12, d13, [x1, #112]\n"
    "stp d14, d15, [x1, #128]\n"
    "mov x0, sp\n and x0, x0, #15\n"
    "ldp x19, x20, [sp, #16]\n ldp x21, x22, [sp, #32]\n ldp x23, x24, [sp, #48]\n ldp x25, x26, [sp, #64]\n"
    "ldp x27, x28, [sp, #80]\n ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
    "ldp d14, d15, [sp, #144]\n ldp x29, x30, [sp], #192\n ret\n");
#else
#define INTEGERS 5
#define DOUBLES 0
uint64_t park_with_registers(uint64_t *seeds, uint64_t *seen);
__asm__(
    ".text\n.globl park_with_registers\n.type park_with_registers,@function\npark_with_registers:\n"
    "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n pushq %rsi\n"
    "movq (%rdi), %rbx\n movq 8(%rdi), %r12\n movq 16(%rdi), %r13\n movq 24(%rdi), %r14\n movq 32(%rdi), %r15\n"
    "call roost_park@PLT\n"
    "movq (%rsp), %rsi\n"
    "movq %rbx, (%rsi)\n movq %r12, 8(%rsi)\n movq %r13, 16(%rsi)\n movq %r14, 24(%rsi)\n movq %r15, 32(%rsi)\n"
    "movq %rsp, %rax\n andq $15, %rax\n"
    "popq %rsi\n popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
#endif

typedef struct {
  uint64_t seed;
  int rounds_done, is_wrong;
  void *image, *sp;
  size_t size;
} process;

static void parking_process(void *argument) {
  process *p = argument;
  char local[333];
  memset(local, (int)p->seed, sizeof local);
  for (int round = 0; round < 5; round++) {
    uint64_t seeds[INTEGERS + DOUBLES], seen[INTEGERS + DOUBLES];
    for (int i = 0; i < INTEGERS + DOUBLES; i++) seeds[i] = p->seed * 1000003 + (uint64_t)(round * 64 + i);
    uint64_t misalignment = park_with_registers(seeds, seen);
    if (misalignment != 0 || memcmp(seeds, seen, sizeof seeds) != 0) p->is_wrong = 1;
    for (size_t i = 0; i < sizeof local; i++)
      if (local[i] != (char)p->seed) p->is_wrong = 1;
    p->rounds_done++;
  }
}

static void keep(process *p) {
  p->sp = roost_parked_sp();
  p->size = roost_thread_current()->stack_high - (uintptr_t)p->sp;
  p->image = realloc(p->image, p->size);
  memcpy(p->image, p->sp, p->size);
  memset(p->sp, 0xEE, p->size);  // whoever reads what is not copied back finds this
}

static uint32_t go_on(process *p) {
  memcpy(p->sp, p->image, p->size);
  return roost_resume(p->sp);
}

static void parks_and_resumes(void) {
  process processes[7] = {0};
  for (int i = 0; i < 7; i++) {
    processes[i].seed = (uint64_t)i * 77 + 5;
    CHECK(roost_start(parking_process, &processes[i]) == ROOST_PARKED);
    keep(&processes[i]);
  }
  for (int round = 0; round < 5; round++)
    for (int i = 6; i >= 0; i--) {
      uint32_t outcome = go_on(&processes[i]);
      CHECK(outcome == (round < 4 ? ROOST_PARKED : ROOST_FINISHED));
      if (outcome == ROOST_PARKED) keep(&processes[i]);
    }
  for (int i = 0; i < 7; i++) CHECK(processes[i].rounds_done == 5 && !processes[i].is_wrong);
}

static void aligned_process(void *argument) {
  // A vector on the stack faults or reads wrong where the entry is misaligned.
  __attribute__((aligned(16))) volatile double vector[4] = {1, 2, 3, 4};
  *(uintptr_t *)argument = (uintptr_t)vector & 15;
}

static void starts_aligned(void) {
  uintptr_t misalignment = 1;
  CHECK(roost_start(aligned_process, &misalignment) == ROOST_FINISHED);
  CHECK(misalignment == 0);
}

// --- Reductions --------------------------------------------------------------------------------------------------

static void spinning_process(void *argument) {
  uint32_t guard = 0;
  roost_handler_begin();
  for (volatile uint64_t i = 0;; i++) {
    __sanitizer_cov_trace_pc_guard(&guard);
    *(uint64_t *)argument += 1;
  }
}

static void preempts(void) {
  roost_thread *t = roost_thread_current();
  uint64_t turns = 0;
  t->preemption_disabled = 1;
  t->reductions = 100;
  CHECK(roost_start(spinning_process, &turns) == ROOST_PREEMPTED);
  CHECK(turns == 100);
  for (int i = 0; i < 50; i++) {
    process p = {0};
    keep(&p);
    t->reductions = 10;
    t->preemption_disabled = 0;
    CHECK(go_on(&p) == ROOST_PREEMPTED);
    free(p.image);
  }
  CHECK(turns == 100 + 50 * 11);
  t->reductions = INT64_MAX;
  t->preemption_disabled = 1;
}

static void guarded_process(void *argument) {
  uint32_t guard = 0;
  roost_handler_begin();
  roost_enter();
  for (int i = 0; i < 1000; i++) __sanitizer_cov_trace_pc_guard(&guard);
  *(int *)argument = 1;
  roost_leave();
  *(int *)argument = 2;
  roost_handler_end();
}

static void puts_preemption_off(void) {
  roost_thread *t = roost_thread_current();
  int reached = 0;
  t->reductions = 10;
  CHECK(roost_start(guarded_process, &reached) == ROOST_PREEMPTED);
  CHECK(reached == 1);
  process p = {0};
  keep(&p);
  t->reductions = 1000;
  CHECK(go_on(&p) == ROOST_FINISHED && reached == 2);
  free(p.image);
  t->reductions = INT64_MAX;
  t->preemption_disabled = 1;
}

// --- Traps -------------------------------------------------------------------------------------------------------

__attribute__((noinline)) static void trap_here(void) {
#if defined(__aarch64__)
  __asm__ volatile("brk #1");
#else
  __asm__ volatile("ud2");
#endif
}

static void trapping_process(void *argument) {
  (void)argument;
  roost_handler_begin();
  trap_here();
}

__attribute__((noinline)) static uint64_t overflow_instrumented(uint64_t depth) {
  uint32_t guard = 0;
  volatile char frame[200];
  frame[depth % 200] = (char)depth;
  __sanitizer_cov_trace_pc_guard(&guard);
  return overflow_instrumented(depth + 1) + (uint64_t)frame[depth % 200];
}

__attribute__((noinline)) static uint64_t overflow_plain(uint64_t depth) {
  volatile char frame[1000];
  frame[depth % 1000] = (char)depth;
  return overflow_plain(depth + 1) + (uint64_t)frame[depth % 1000];
}

static void limited_process(void *argument) {
  roost_handler_begin();
  *(uint64_t *)argument = overflow_instrumented(0);
}

static void unlimited_process(void *argument) {
  roost_handler_begin();
  *(uint64_t *)argument = overflow_plain(0);
}

static void lands(roost_entry entry, uint32_t kind, int signal) {
  roost_thread *t = roost_thread_current();
  uint64_t result = 0;
  for (int i = 0; i < 200; i++) {
    t->preemption_disabled = 1;
    CHECK(roost_start(entry, &result) == ROOST_TRAPPED);
    CHECK(t->trap.kind == kind && t->trap.signal == signal && t->trap.frame_count > 0);
    CHECK(t->preemption_disabled == 1 && !t->in_process);
  }
  t->preemption_disabled = 1;
  char name[128];
  uintptr_t offset;
  bool is_named = false;
  for (uint32_t i = 0; i < t->trap.frame_count; i++)
    if (roost_symbol_name(t->trap.frames[i] - (i > 0), name, sizeof name, &offset) &&
        (strstr(name, "trap_here") || strstr(name, "overflow_")))
      is_named = true;
  CHECK(is_named);
}

// --- Globals -----------------------------------------------------------------------------------------------------

static intptr_t token;
static bool is_failing = true;
static int initialised;
static void initialise(void *context) {
  uint32_t guard = 0;
  for (int i = 0; i < 1000; i++) __sanitizer_cov_trace_pc_guard(&guard);
  if (is_failing) trap_here();
  initialised += 1;
  *(int *)context += 1;
}

static void once_process(void *argument) {
  roost_handler_begin();
  swift_once(&token, initialise, argument);
  swift_once(&token, initialise, argument);
  roost_handler_end();
}

static void gives_globals_back(void) {
  roost_thread *t = roost_thread_current();
  int count = 0;
  CHECK(roost_start(once_process, &count) == ROOST_TRAPPED && t->held == 0 && token == 0);
  is_failing = false;
  t->preemption_disabled = 1;
  t->reductions = 100;
  CHECK(roost_start(once_process, &count) == ROOST_PREEMPTED);
  CHECK(count == 1 && initialised == 1);  // put off until the global was there
  process p = {0};
  keep(&p);
  t->reductions = INT64_MAX;
  t->preemption_disabled = 0;
  CHECK(go_on(&p) == ROOST_FINISHED && initialised == 1);
  free(p.image);
  t->preemption_disabled = 1;
}

// --- What is not contained -----------------------------------------------------------------------------------------

static void trap_in_section(void *argument) {
  (void)argument;
  roost_handler_begin();
  roost_enter();
  trap_here();
}

static void wild_process(void *argument) {
  roost_handler_begin();
  *(volatile int *)((uintptr_t)argument | 8) = 1;
}

static void ends_the_program(roost_entry entry) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    close(STDERR_FILENO);
    if (entry != NULL) roost_start(entry, NULL); else trap_here();
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}

// --- Accounts ----------------------------------------------------------------------------------------------------

static void accounts(void) {
  roost_thread *t = roost_thread_current();
  static struct { roost_account account; char rest[64]; } slots[4];
  roost_accounts_set(slots, sizeof slots[0]);
  roost_account_set_generation(&slots[2].account, 9);
  t->owner = (uint64_t)9 << 32 | 2;
  t->live = 0;
  t->live_max = 1 << 20;
  void *volatile a = malloc(100);
  void *volatile b = aligned_alloc(4096, 8192);
  CHECK(((uintptr_t)b & 4095) == 0 && t->live == 8292);
  a = realloc(a, 1000);
  CHECK(t->live == 9192);
  free(b);
  CHECK(t->live == 1000);
  t->owner = 0;
  free(a);
  CHECK(roost_account_take(&slots[2].account) == 1000);
}

int main(void) {
  CHECK(roost_thread_attach(1 << 20, 1 << 20, 128 << 10, (void *)1) == 0);
  roost_install_trap_handlers();
  starts_aligned();
  parks_and_resumes();
  preempts();
  puts_preemption_off();
#if defined(__aarch64__)
  lands(trapping_process, ROOST_TRAP_SIGNAL, SIGTRAP);
#else
  lands(trapping_process, ROOST_TRAP_SIGNAL, SIGILL);
#endif
  lands(limited_process, ROOST_TRAP_STACK_OVERFLOW, 0);
  lands(unlimited_process, ROOST_TRAP_STACK_OVERFLOW, SIGSEGV);
  gives_globals_back();
  parks_and_resumes();
  ends_the_program(trap_in_section);
  ends_the_program(wild_process);
  ends_the_program(NULL);
  accounts();
  roost_thread_detach();
  printf("passed\n");
  return 0;
}
