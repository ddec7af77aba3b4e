// SPDX-License-Identifier: Apache-2.0
//
// Taking a scheduler over from a thread that is stuck in native code, and looking at where such a thread is.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"

// --- Claims --------------------------------------------------------------------------------------------------------

static void (*rejoin_handler)(roost_thread *);

static void settle(roost_thread *t, uint32_t claim) {
  __atomic_store_n(&t->claimed, claim, __ATOMIC_RELEASE);
  syscall(SYS_futex, &t->claimed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

// The asymmetric half of roost_inside: every running thread of the program passes a full barrier.
static void barrier(void) { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }

bool roost_claim(roost_thread *t) {
  __atomic_store_n(&t->claimed, ROOST_CLAIM_ASKED, __ATOMIC_SEQ_CST);
  barrier();
  bool is_outside = __atomic_load_n(&t->in_process, __ATOMIC_ACQUIRE) != 0 &&
                    __atomic_load_n(&t->preemption_disabled, __ATOMIC_ACQUIRE) == 0;
  settle(t, is_outside ? ROOST_CLAIM_GRANTED : ROOST_CLAIM_NONE);
  return is_outside;
}

void roost_claim_end(roost_thread *t) { settle(t, ROOST_CLAIM_NONE); }

void roost_claimed(void) {
  roost_thread *t = roost_thread_current();
  int saved_errno = errno;
  bool has_asked = false;
  for (;;) {
    uint32_t claim = __atomic_load_n(&t->claimed, __ATOMIC_ACQUIRE);
    if (claim == ROOST_CLAIM_NONE) break;
    if (claim == ROOST_CLAIM_GRANTED && !has_asked) {
      has_asked = true;
      __atomic_load_n(&rejoin_handler, __ATOMIC_ACQUIRE)(t);
      continue;
    }
    syscall(SYS_futex, &t->claimed, FUTEX_WAIT_PRIVATE, claim, NULL, NULL, 0);
  }
  errno = saved_errno;
}

// --- Where a thread is -----------------------------------------------------------------------------------------------

uint64_t roost_thread_cpu_time(int32_t tid) {
  // clock_getcpuclockid(3) of a thread: the kernel's own encoding, CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED.
  clockid_t clock = (clockid_t)((~(unsigned)tid) << 3 | 4 | 2);
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// proc(5), /proc/PID/task/TID/syscall: "running", or the number, six arguments, stack pointer and program counter.
bool roost_thread_is_blocked(int32_t tid, uintptr_t *sp, uintptr_t *pc) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = 0;
  if (strncmp(text, "running", 7) == 0) return false;
  char *at = text;
  uintptr_t last[2] = {0, 0};
  for (char *word = strsep(&at, " \n"); word != NULL && *word != 0; word = strsep(&at, " \n")) {
    last[0] = last[1];
    last[1] = strtoull(word, NULL, 0);
  }
  *sp = last[0];
  *pc = last[1];
  return true;
}

extern const char __executable_start[], etext[];

// Whether `address` lies in the program's code right behind a call.
static bool is_return_address(uintptr_t address) {
  if (address < (uintptr_t)__executable_start + 8 || address >= (uintptr_t)etext) return false;
#if defined(__x86_64__)
  const uint8_t *code = (const uint8_t *)address;
  return code[-5] == 0xe8 || (code[-2] == 0xff && (code[-1] & 0x38) == 0x10) ||
         (code[-3] == 0xff && (code[-2] & 0x38) == 0x10) || (code[-6] == 0xff && (code[-5] & 0x38) == 0x10);
#elif defined(__aarch64__)
  if (address % 4 != 0) return false;
  uint32_t code = *(const uint32_t *)(address - 4);
  return (code & 0xfc000000) == 0x94000000 || (code & 0xfffffc1f) == 0xd63f0000;  // bl, blr
#endif
}

// The owner of the stack may go on at any moment: what is read is a guess then, of memory that stays mapped.
__attribute__((no_sanitize("thread", "address"))) uint32_t roost_scan_frames(
    uintptr_t sp, roost_thread *t, uintptr_t *out, uint32_t max) {
  uint32_t count = 0;
  uintptr_t low = t->stack_low, high = t->stack_high;
  if (sp < low || sp >= high) return 0;
  uintptr_t end = high - sp > 65536 ? sp + 65536 : high;
  for (uintptr_t at = sp & ~(uintptr_t)7; at + sizeof at <= end && count < max; at += sizeof at) {
    uintptr_t word = *(const volatile uintptr_t *)at;
    if (is_return_address(word)) out[count++] = word;
  }
  return count;
}

static void answer_sample(int signal, siginfo_t *info, void *context_pointer) {
  (void)signal, (void)info;
  roost_thread *t = roost_thread_current();
  if (__atomic_load_n(&t->sample_asked, __ATOMIC_ACQUIRE) == 0) return;
  const ucontext_t *context = context_pointer;
#if defined(__x86_64__)
  const greg_t *g = context->uc_mcontext.gregs;
  uintptr_t pc = (uintptr_t)g[REG_RIP], sp = (uintptr_t)g[REG_RSP], fp = (uintptr_t)g[REG_RBP];
#elif defined(__aarch64__)
  const mcontext_t *m = &context->uc_mcontext;
  uintptr_t pc = (uintptr_t)m->pc, sp = (uintptr_t)m->sp, fp = (uintptr_t)m->regs[29];
#endif
  t->sample_count = 0;
  bool has_frame = fp >= sp && fp < t->stack_high;
  if (t->in_process && has_frame && pc >= (uintptr_t)__executable_start && pc < (uintptr_t)etext) {
    t->sample[0] = pc + 1;  // as if it were a return address, of which the byte before is looked up
    t->sample_count =
        1 + roost_walk_frames(fp, t->stack_low, t->stack_high, t->sample + 1, ROOST_SAMPLE_FRAMES_MAX - 1);
  } else if (t->in_process && has_frame) {
    // In a library that keeps no frames of its own, as most: the frame is its caller's.
    t->sample_count = roost_walk_frames(fp, t->stack_low, t->stack_high, t->sample, ROOST_SAMPLE_FRAMES_MAX);
  } else if (t->in_process) {
    t->sample_count = roost_scan_frames(sp, t, t->sample, ROOST_SAMPLE_FRAMES_MAX);
  }
  __atomic_store_n(&t->sample_asked, 0, __ATOMIC_RELEASE);
}

uint32_t roost_sample(roost_thread *t, uintptr_t *out, uint32_t max) {
  __atomic_store_n(&t->sample_asked, 1, __ATOMIC_RELEASE);
  syscall(SYS_tgkill, getpid(), t->tid, SIGURG);
  for (int i = 0; i < 50; i++) {
    if (__atomic_load_n(&t->sample_asked, __ATOMIC_ACQUIRE) == 0) {
      uint32_t count = t->sample_count < max ? t->sample_count : max;
      memcpy(out, t->sample, count * sizeof *out);
      return count;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  return 0;  // the thread does not run: it gets the signal later and finds that its answer came too late
}

static int prepare_error;

static void prepare(void) {
  // Ignored by default, and sent by the kernel only for out-of-band data that nobody here asks for. Restarting: a
  // system call that is interrupted after all goes on, where the kernel can.
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer_sample;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGURG, &action, NULL);
  prepare_error =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : errno;
}

int roost_claims_prepare(void (*rejoin)(roost_thread *)) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  __atomic_store_n(&rejoin_handler, rejoin, __ATOMIC_RELEASE);
  pthread_once(&once, prepare);
  return prepare_error;
}
