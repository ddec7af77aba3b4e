// SPDX-License-Identifier: Apache-2.0
//
// Landing what a handler did wrong in the scheduler that runs it.
//
// Contained: a fault of handler code, that is on a scheduler's thread, between the switch to a process and the switch
// back, with preemption enabled (so no section of the runtime is open), outside the C allocator, with the stack pointer
// on the process stack. Everything else is a bug of the program: it goes to the handler that was installed before, or
// prints a backtrace and aborts.
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"

static const int trap_signals[] = {SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSEGV, SIGBUS};
#define TRAP_SIGNAL_COUNT (sizeof trap_signals / sizeof trap_signals[0])
static struct sigaction previous[TRAP_SIGNAL_COUNT];

typedef struct {
  uintptr_t pc, sp, fp;
} registers;

static registers registers_of(const ucontext_t *context) {
#if defined(__x86_64__)
  const greg_t *g = context->uc_mcontext.gregs;
  return (registers){(uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP], (uintptr_t)g[REG_RBP]};
#elif defined(__aarch64__)
  const mcontext_t *m = &context->uc_mcontext;
  return (registers){(uintptr_t)m->pc, (uintptr_t)m->sp, (uintptr_t)m->regs[29]};
#endif
}

// Runs on the top of the process stack, whose frames are abandoned.
static void land(void) {
  roost_switch_to_scheduler(&roost_tls, true);
  __builtin_trap();
}

static void return_to_landing(ucontext_t *context, roost_thread *t) {
  uintptr_t sp = (t->stack_high - 256) & ~(uintptr_t)15;
#if defined(__x86_64__)
  context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)land;
  context->uc_mcontext.gregs[REG_RSP] = (greg_t)(sp - 8);  // as if `land` had been called
  context->uc_mcontext.gregs[REG_RBP] = 0;
#elif defined(__aarch64__)
  context->uc_mcontext.pc = (uintptr_t)land;
  context->uc_mcontext.sp = sp;
  context->uc_mcontext.regs[29] = 0;
  context->uc_mcontext.regs[30] = 0;
#endif
}

uint32_t roost_walk_frames(uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *out, uint32_t max) {
  uint32_t count = 0;
  while (count < max && frame >= low && frame + 2 * sizeof(uintptr_t) <= high && frame % sizeof(uintptr_t) == 0) {
    const uintptr_t *record = (const uintptr_t *)frame;  // saved frame pointer, return address
    if (record[1] == 0) break;
    out[count++] = record[1];
    if (record[0] <= frame) break;  // frames only go up
    frame = record[0];
  }
  return count;
}

static bool is_contained(int signal, const siginfo_t *info, const roost_thread *t, registers r) {
  if (!t->in_process || t->preemption_disabled != 0 || t->in_allocator != 0) return false;
  switch (signal) {
    case SIGILL: case SIGTRAP: case SIGFPE:
      return info->si_code > 0 && r.sp >= t->stack_low && r.sp < t->stack_high;  // raised by the kernel, not by kill(2)
    case SIGABRT:
      return info->si_code == SI_TKILL && info->si_pid == getpid() && t->trap.announces_abort;
    case SIGSEGV: {
      uintptr_t address = (uintptr_t)info->si_addr;
      return info->si_code > 0 && address >= t->guard_low && address < t->stack_low;
    }
    default:
      return false;
  }
}

static void write_text(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

// The functions of the program itself, which the C library does not know. It allocates; where that hangs, the alarm
// ends the program.
static void write_names(void *const *frames, int count) {
  struct sigaction fallback = {.sa_handler = SIG_DFL};
  sigaction(SIGALRM, &fallback, NULL);
  alarm(5);
  for (int i = 0; i < count; i++) {
    char name[512], line[560];
    uintptr_t offset = 0;
    // A return address is after its call; the byte before it belongs to the caller.
    roost_symbol_name((uintptr_t)frames[i] - 1, name, sizeof name, &offset);
    snprintf(line, sizeof line, "  at %s + %lu\n", name, (unsigned long)offset);
    write_text(line);
  }
  alarm(0);
}

static void die(int signal, siginfo_t *info, void *context, registers r) {
  for (size_t i = 0; i < TRAP_SIGNAL_COUNT; i++) {
    if (trap_signals[i] != signal) continue;
    sigaction(signal, &previous[i], NULL);
    if ((previous[i].sa_flags & SA_SIGINFO) && previous[i].sa_sigaction != NULL) {
      previous[i].sa_sigaction(signal, info, context);
      return;
    }
    if (previous[i].sa_handler != SIG_DFL && previous[i].sa_handler != SIG_IGN) {
      previous[i].sa_handler(signal);
      return;
    }
  }
  char line[160];
  snprintf(line, sizeof line,
           "roost: fatal: signal %d (%s) at pc 0x%lx, address %p, outside handler code; this is a bug\n", signal,
           strsignal(signal), (unsigned long)r.pc, info->si_addr);
  write_text(line);
  if (roost_tls.trap.message_length > 0) {
    ssize_t written = write(STDERR_FILENO, roost_tls.trap.message, roost_tls.trap.message_length);
    (void)written;
  }
  void *frames[64];
  int count = backtrace(frames, 64);
  backtrace_symbols_fd(frames, count, STDERR_FILENO);
  if (roost_tls.in_allocator == 0) write_names(frames, count);
  struct sigaction fallback = {.sa_handler = SIG_DFL};
  sigaction(signal, &fallback, NULL);
  // Returning raises a synchronous fault again; a signal that was sent must be sent again.
  if (info->si_code <= 0) raise(signal);
}

// Swift code keeps frame pointers; the C library, from which an abort comes, does not and must be unwound by its
// tables.
static void collect_frames(roost_thread *t, int signal, registers r) {
  t->trap.frames[0] = r.pc;
  t->trap.frame_count = 1;
  if (signal != SIGABRT) {
    t->trap.frame_count +=
        roost_walk_frames(r.fp, t->stack_low, t->stack_high, t->trap.frames + 1, ROOST_TRAP_FRAMES_MAX - 1);
    return;
  }
  void *frames[ROOST_TRAP_FRAMES_MAX + 8];
  int count = backtrace(frames, ROOST_TRAP_FRAMES_MAX + 8), first = 0;
  while (first < count && (uintptr_t)frames[first] != r.pc) first++;
  for (int i = first + 1; i < count && t->trap.frame_count < ROOST_TRAP_FRAMES_MAX; i++)
    t->trap.frames[t->trap.frame_count++] = (uintptr_t)frames[i];
}

// The Swift runtime keeps the reports of all traps for a crash log, and copies all of them into a new block for each
// (swift_reportError): it expects one. That block is emptied, so that a trap does not cost more the more there have
// been.
static void forget_report(roost_thread *t) {
  char *text = t->trap.report;
  t->trap.report = NULL;
  if (text == NULL || t->trap.message_length == 0) return;
  size_t size = malloc_usable_size(text);
  size_t length = t->trap.message_length < 64 ? t->trap.message_length : 64;
  // Of a report in several parts only the last is in the log: an exclusivity violation prints the others itself.
  static const char conflict[] = "Fatal access conflict detected";
  if (memmem(text, size, t->trap.message, length) != NULL || memmem(text, size, conflict, sizeof conflict - 1) != NULL)
    text[0] = 0;
}

static void on_signal(int signal, siginfo_t *info, void *context_pointer) {
  int saved_errno = errno;
  roost_thread *t = &roost_tls;
  ucontext_t *context = context_pointer;
  registers r = registers_of(context);
  if (!is_contained(signal, info, t, r)) {
    die(signal, info, context_pointer, r);
    errno = saved_errno;
    return;
  }
  bool is_overflow = signal == SIGSEGV;
  t->trap.kind = is_overflow ? ROOST_TRAP_STACK_OVERFLOW : ROOST_TRAP_SIGNAL;
  t->trap.signal = signal;
  t->trap.address = is_overflow ? (uintptr_t)info->si_addr : r.pc;
  if (is_overflow) t->trap.message_length = 0;
  t->trap.announces_abort = 0;
  forget_report(t);
  collect_frames(t, signal, r);
  t->outcome = ROOST_TRAPPED;
  roost_drop_frames(t);
  return_to_landing(context, t);
  errno = saved_errno;
}

// --- The message of a trap -----------------------------------------------------------------------------------------

// What the Swift runtime prints right before a trap. On a thread that runs handler code it is kept for the exit reason,
// not printed.
static bool is_trap_report(const char *text, size_t length) {
  static const char *const marks[] = {"Fatal error", "Precondition failed", "Assertion failed", "Could not cast value",
                                      "Simultaneous accesses", "Fatal access conflict"};
  for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
    if (memmem(text, length, marks[i], strlen(marks[i])) != NULL) return true;
  return false;
}

// swift::fatalError reports and then calls abort(). The C library's own aborts (a corrupt heap, a failed assert) must
// not be contained, so an abort counts as a Swift trap only right after one of the Swift runtime's own reports.
static bool is_announcing_abort(const char *text, size_t length) {
  static const char *const marks[] = {"Could not cast value", "Fatal access conflict detected", "Fatal error"};
  for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
    if (memmem(text, length, marks[i], strlen(marks[i])) != NULL) return true;
  return false;
}

static ssize_t stderr_write(void *cookie, const char *text, size_t length) {
  (void)cookie;
  roost_thread *t = &roost_tls;
  if (t->in_process && t->preemption_disabled == 0 && (t->trap.message_length > 0 || is_trap_report(text, length))) {
    size_t room = ROOST_TRAP_MESSAGE_MAX - t->trap.message_length;
    size_t count = length < room ? length : room;
    if (is_announcing_abort(text, length)) t->trap.announces_abort = 1;
    memcpy(t->trap.message + t->trap.message_length, text, count);
    t->trap.message_length += (uint32_t)count;
    return (ssize_t)length;
  }
  size_t done = 0;
  while (done < length) {
    ssize_t written = write(STDERR_FILENO, text + done, length - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += (size_t)written;
  }
  return (ssize_t)done;
}

void roost_flush_report(roost_thread *t) {
  ssize_t written = write(STDERR_FILENO, t->trap.message, t->trap.message_length);
  (void)written;
  t->trap.message_length = 0;
  t->trap.announces_abort = 0;
  t->trap.report = NULL;
}

static void install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < TRAP_SIGNAL_COUNT; i++) sigaction(trap_signals[i], &action, &previous[i]);
  FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = stderr_write});
  if (stream != NULL) {
    setvbuf(stream, NULL, _IONBF, 0);
    stderr = stream;
  }
  void *warm[1];
  backtrace(warm, 1);  // loads libgcc_s now, so that a signal handler need not
}

void roost_install_trap_handlers(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
}
