// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot say for itself: switching stacks, counting reductions, landing traps, accounting for malloc,
// and the handful of Linux calls that the Glibc module does not export. Everything else is Swift.
//
// Called from Swift through RoostRuntime/Machine only.
#ifndef CROOST_H
#define CROOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#if !defined(__clang__)
#define _Nullable
#define _Nonnull
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ROOST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define ROOST_TSAN 1
#endif
#endif
#if defined(ROOST_ASAN) || defined(ROOST_TSAN)
// A sanitizer keeps shadow state for a stack: it must not see one address range reused by copying. Processes get a
// stack each.
#define ROOST_STACK_PER_PROCESS 1
#endif

// How the process that was running came back to its scheduler.
enum {
  ROOST_FINISHED = 0,   // its entry returned
  ROOST_PARKED = 1,     // it waits in the middle of its code
  ROOST_PREEMPTED = 2,  // it used up its reductions in the middle of its code
  ROOST_TRAPPED = 3,    // it trapped or overflowed its stack; its frames are abandoned
};

// What ended a process's code abruptly.
enum {
  ROOST_TRAP_SIGNAL = 1,
  ROOST_TRAP_STACK_OVERFLOW = 2,
};

#define ROOST_TRAP_FRAMES_MAX 48
#define ROOST_TRAP_MESSAGE_MAX 512
#define ROOST_STREAMS_MAX 4
#define ROOST_GROWTH_FRAMES_MAX 24

// Written by the signal handler or the reduction hook, read by the scheduler after the landing.
typedef struct {
  uint32_t kind;
  int32_t signal;
  uintptr_t address;
  uint32_t frame_count;
  uint32_t message_length;
  uint32_t announces_abort;  // the Swift runtime has said that it is about to abort
  void *_Nullable report;    // the block last allocated since, and not freed, that may hold a copy of the message
  uintptr_t frames[ROOST_TRAP_FRAMES_MAX];
  char message[ROOST_TRAP_MESSAGE_MAX];
} roost_trap;

// State of one OS thread. Zero on a thread that is no scheduler. Only its own thread (and a signal handler on it)
// touches it.
typedef struct roost_thread {
  int64_t reductions;            // left in this turn; the hook decrements it
  uintptr_t stack_limit;         // process code below this has overflowed its stack; 0 while no process runs
  uint32_t preemption_disabled;  // depth; 0 only in handler code
  uint32_t in_process;           // 1 from the switch to a process until the switch back
  uint32_t in_allocator;         // depth of calls into the C allocator
  uint32_t over_heap_limit;      // set by the allocator, cleared when a turn begins
  uint32_t held;                 // locks of libraries that the process holds: not preempted; a trap gives them back
  uint32_t stream_count;
  size_t refused;                // bytes of a block refused in this turn, more than the process may hold; 0: none
  uint64_t owner;                // account that malloc charges: generation << 32 | index; 0 for none
  int64_t live;                  // bytes the running process has allocated and not freed
  int64_t live_max;              // beyond this the process is stopped at its next reduction point
  uint32_t outcome;
  uint32_t attached;
  void *_Nullable scheduler_sp;
  void *_Nullable process_sp;
  uintptr_t guard_low;           // [guard_low, stack_low) is not accessible
  uintptr_t stack_low;
  uintptr_t stack_high;
  void *_Nullable current;                 // the scheduler's own pointer for the process that runs
  void *_Nullable scheduler;               // the scheduler object
  roost_trap trap;
  // sanitizer fibre of the scheduler's own stack
  void *_Nullable scheduler_fiber;
  const void *_Nullable scheduler_stack_bottom;
  size_t scheduler_stack_size;
  void *_Nullable scheduler_fake_stack;
  void *_Nullable entering;                // the process stack being started, sanitizer builds only
  struct roost_once *_Nullable once;       // initialisers of globals that run, innermost first
  void *_Nullable streams[ROOST_STREAMS_MAX];  // streams that the process has locked
  void *_Nullable accesses[2];                 // open accesses of the process that is about to stop, for a moment
  struct roost_dirty *_Nullable dirty;         // the job that runs, on a dirty thread
  // Return addresses of the allocation that set `over_heap_limit`, innermost first.
  uint32_t growth_frame_count;
  uintptr_t growth_frames[ROOST_GROWTH_FRAMES_MAX];
} roost_thread;

extern _Thread_local roost_thread roost_tls __attribute__((tls_model("initial-exec")));

static inline roost_thread *_Nonnull roost_thread_current(void) { return &roost_tls; }

// Nanoseconds on the clock of the simulation that runs on this thread; 0 where none does.
extern _Thread_local uint64_t roost_simulation_clock __attribute__((tls_model("initial-exec")));
static inline uint64_t roost_simulated_time(void) { return roost_simulation_clock; }
static inline void roost_simulate_time(uint64_t nanoseconds) { roost_simulation_clock = nanoseconds; }

// --- Sections of the runtime -------------------------------------------------------------------------------------
// Between enter and leave the process is not preempted and a trap is not contained.

void roost_reductions_spent(void);

static inline void roost_enter(void) { roost_tls.preemption_disabled += 1; }

static inline void roost_leave(void) {
  if (--roost_tls.preemption_disabled == 0 && roost_tls.reductions < 0) roost_reductions_spent();
}

static inline void roost_charge(int64_t reductions) { roost_tls.reductions -= reductions; }

// Depth 0 for the length of a call into handler code. The caller is at depth 1 and is again afterwards.
static inline void roost_handler_begin(void) {
  roost_tls.preemption_disabled = 0;
  if (roost_tls.reductions < 0) roost_reductions_spent();
}
static inline void roost_handler_end(void) { roost_tls.preemption_disabled = 1; }

// --- Stacks ------------------------------------------------------------------------------------------------------

// Prepares this thread to run processes: maps its process stack with a guard below, and an alternate signal stack.
// Returns 0, or an errno.
int roost_thread_attach(size_t stack_size, size_t guard_size, size_t reserve_size, void *_Nullable scheduler);
// Unmaps what attach mapped. No process may be running.
void roost_thread_detach(void);

typedef void (*roost_entry)(void *_Nullable argument);

// Runs `entry(argument)` from the top of the process stack until it returns, parks, is preempted or traps.
// Returns one of ROOST_FINISHED..ROOST_TRAPPED. Scheduler context only.
uint32_t roost_start(roost_entry _Nonnull entry, void *_Nullable argument);
// Goes on with a process whose stack the caller has copied back to where it was. `sp` is roost_parked_sp of that stop.
uint32_t roost_resume(void *_Nonnull sp);
// Leaves the process that runs, back to its scheduler. Process context only, preemption disabled.
void roost_park(void);
// The stack pointer at the stop: [sp, stack_high) is the used part of the stack.
static inline void *_Nullable roost_parked_sp(void) { return roost_tls.process_sp; }

// Sanitizer builds only (roost_stack_per_process): a stack for each process, which stays where it is.
typedef struct roost_stack roost_stack;
roost_stack *_Nonnull roost_stack_create(size_t size);
void roost_stack_destroy(roost_stack *_Nonnull stack);
uint32_t roost_stack_start(roost_stack *_Nonnull stack, roost_entry _Nonnull entry, void *_Nullable argument);
uint32_t roost_stack_resume(roost_stack *_Nonnull stack);
// The used part of the stack of a process that has stopped: where it starts, and its length.
void *_Nonnull roost_stack_stopped(const roost_stack *_Nonnull stack, size_t *_Nonnull size);
// A variable, for Swift imports this header without knowing of the sanitizer.
extern const bool roost_has_stack_per_process;
static inline bool roost_stack_per_process(void) { return roost_has_stack_per_process; }

// Moves `size` bytes and leaves zeros. A call that no optimiser looks into, for values whose owner changes hands before
// a destructor runs.
void roost_move_out(void *_Nonnull to, void *_Nonnull from, size_t size);

// --- Dirty jobs --------------------------------------------------------------------------------------------------
// A job of a process runs on a dirty thread as processes do on a scheduler's: from the top of the thread's process
// stack, until it returns, traps, or is abandoned (outcome ROOST_PREEMPTED; its frames are gone). It is never resumed.

typedef struct roost_dirty {
  int64_t deadline;      // atomic: from when on it is abandoned, CLOCK_MONOTONIC nanoseconds; INT64_MAX: not cancelled
  bool has_exceeded;     // it went over its process's heap limit; its own thread only
  // Called once then, at depth one, with the bytes that the process holds.
  void (*_Nonnull exceeded)(struct roost_dirty *_Nonnull dirty, int64_t live);
  void *_Nullable job;  // of whoever made it
} roost_dirty;

// Reductions of a job from one look at whether it is cancelled to the next.
#define ROOST_DIRTY_REDUCTIONS 4000

// Asks the job to end; `grace` nanoseconds from now it is abandoned at a reduction point. Any thread; the earliest
// stands.
void roost_dirty_cancel(roost_dirty *_Nonnull dirty, int64_t grace);
bool roost_dirty_is_cancelled(const roost_dirty *_Nonnull dirty);
// As new: for what is run after the job. The thread that ran it.
void roost_dirty_renew(roost_dirty *_Nonnull dirty);

// --- Traps -------------------------------------------------------------------------------------------------------

// Installs the handlers of SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSEGV, SIGBUS once, chaining to those that were there,
// and takes over stderr's stream so that the message of a Swift trap in a process becomes part of its exit reason.
void roost_install_trap_handlers(void);

// Walks frame pointers from `frame` while they stay inside [low, high). Returns how many addresses it wrote.
uint32_t roost_walk_frames(uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *_Nonnull out, uint32_t max);

// The same for a process that has stopped: `image` is a copy of the `size` bytes of its stack from `sp`, its stack
// pointer, on (inspect.c).
uint32_t roost_walk_image(const void *_Nonnull image, uintptr_t sp, size_t size, uintptr_t *_Nonnull out, uint32_t max);
// The same for the process that runs on this thread, from the caller on.
uint32_t roost_walk_own_frames(uintptr_t *_Nonnull out, uint32_t max);

// Writes the demangled name of `address`'s function into `out` (always terminated); false when unknown.
bool roost_symbol_name(uintptr_t address, char *_Nonnull out, size_t size, uintptr_t *_Nonnull offset);

// Whether `address` lies in a function of the Swift runtime, of its standard library or of an allocator: not the place
// that a programmer looks for.
bool roost_symbol_is_library(uintptr_t address);

// --- Accounting of malloc ----------------------------------------------------------------------------------------

// Where frees by others are booked: the account of process `index` is at `base + index * stride`.
typedef struct {
  int64_t freed_by_others;  // atomic
  uint32_t generation;      // atomic; a free for another generation is not booked
  uint32_t index;
} roost_account;

extern char *_Nullable roost_accounts_start;
static inline void *_Nullable roost_accounts_base(void) { return roost_accounts_start; }
// Once, before the first process.
void roost_accounts_set(void *_Nullable base, size_t stride);
// Takes (and clears) what others freed.
int64_t roost_account_take(roost_account *_Nonnull account);
void roost_account_set_generation(roost_account *_Nonnull account, uint32_t generation);
uint32_t roost_account_generation(const roost_account *_Nonnull account);
// Books `bytes` on the process of `generation`, if it is still that one. Any thread.
void roost_account_add(roost_account *_Nonnull account, uint32_t generation, int64_t bytes);
bool roost_malloc_is_accounted(void);
// Storage of the runtime's own that is charged to no account (the runtime keeps that book itself).
void *_Nullable roost_block_allocate(size_t size);
void roost_block_free(void *_Nonnull block);
// Gives free pages inside malloc's arenas to the kernel (malloc_trim(3)).
void roost_malloc_trim(void);

// Tells ThreadSanitizer that what was written before the memory at `address` was handed over is seen by who took it
// over: it does not see the locks of Swift's Synchronization. Nothing in other builds.
void roost_handed_over(void *_Nonnull address);
void roost_taken_over(void *_Nonnull address);

// --- Linux calls that Swift's Glibc module does not have ----------------------------------------------------------

static inline int roost_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int roost_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int roost_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}
static inline int roost_epoll_remove(int epoll, int fd) { return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }
// Cores that this program may run on (sched_getaffinity(2)).
int roost_core_count(void);
void roost_thread_set_name(const char *_Nonnull name);
// accept4(2), non-blocking and closed on exec.
int roost_accept(int listener, void *_Nonnull address, uint32_t *_Nonnull length);

static inline int roost_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

#endif
