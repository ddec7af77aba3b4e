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

#define ROOST_SAMPLE_FRAMES_MAX 16

// A process stack: [guard_low, low) is not accessible, [low, high) is the stack.
typedef struct {
  uintptr_t guard_low;
  uintptr_t low;
  uintptr_t high;
} roost_lane;

// State of one OS thread. Zero on a thread that is no scheduler. Only its own thread (and a signal handler on it)
// touches it, but for what is marked atomic.
typedef struct roost_thread {
  int64_t reductions;            // left in this turn; the hook decrements it
  uintptr_t stack_limit;         // process code below this has overflowed its stack; 0 while no process runs
  uint32_t preemption_disabled;  // depth; 0 only in handler code. Atomic: `roost_claim` reads it
  uint32_t in_process;           // 1 from the switch to a process until the switch back. Atomic likewise
  uint32_t claimed;              // atomic; ROOST_CLAIM_...: another thread goes on with this thread's scheduler
  int32_t tid;                   // of the thread, for the kernel
  uint32_t in_allocator;         // depth of calls into the C allocator
  uint32_t over_heap_limit;      // set by the allocator, cleared when a turn begins
  uint32_t held;                 // locks of libraries that the process holds: not preempted; a trap gives them back
  uint32_t stream_count;
  size_t refused;                // bytes of a block refused in this turn, more than the process may hold; 0: none
  uint64_t owner;                // account that malloc charges: generation << 32 | index; 0 for none
  int64_t live;                  // bytes the running process has allocated and not freed
  int64_t live_max;              // beyond this the process is stopped at its next reduction point
  uint32_t outcome;
  uint32_t attached;             // bytes of its stacks that are kept for what is not instrumented
  uint32_t has_own_stack;        // attach mapped one
  uint32_t is_traced;            // what the process that runs does is told to its tracer
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
  struct roost_thread *_Nullable next_rejoining;  // in the list of threads that want the same scheduler back
  // Where the thread was when `roost_sample_ask` asked. Atomic: 1 asked, 0 answered
  uint32_t sample_asked;
  uint32_t sample_count;
  uintptr_t sample[ROOST_SAMPLE_FRAMES_MAX];
} roost_thread;

extern _Thread_local roost_thread roost_tls __attribute__((tls_model("initial-exec")));

// Nanoseconds on the clock of the simulation that runs on this thread; 0 where none does.
extern _Thread_local uint64_t roost_simulation_clock __attribute__((tls_model("initial-exec")));
static inline uint64_t roost_simulated_time(void) { return roost_simulation_clock; }
static inline void roost_simulate_time(uint64_t nanoseconds) { roost_simulation_clock = nanoseconds; }

// The state of the thread that runs, asked for anew each time. A process that stops on one thread may go on on another
// (`roost_claim`), and a compiler is free to keep the address of a thread-local over a call: this one it cannot see.
static inline roost_thread *_Nonnull roost_thread_current(void) {
  roost_thread *t;
#if defined(__x86_64__)
  __asm__ volatile("movq roost_tls@gottpoff(%%rip), %0\n\taddq %%fs:0, %0" : "=r"(t) : : "cc");
#elif defined(__aarch64__)
  uintptr_t offset;
  __asm__ volatile(
      "adrp %1, :gottprel:roost_tls\n\tldr %1, [%1, #:gottprel_lo12:roost_tls]\n\tmrs %0, tpidr_el0\n\tadd %0, %0, %1"
      : "=&r"(t), "=&r"(offset));
#endif
  return t;
}

// --- Sections of the runtime -------------------------------------------------------------------------------------
// Between enter and leave the process is not preempted, a trap is not contained, and the scheduler is this thread's.

// What another thread has made of this one (`claimed`).
enum {
  ROOST_CLAIM_NONE = 0,
  ROOST_CLAIM_ASKED = 1,    // someone looks whether this thread is outside the runtime
  ROOST_CLAIM_GRANTED = 2,  // it was: its scheduler is run by another thread until it asks for it back
};

void roost_reductions_spent(void);
// Waits until this thread's scheduler is its own again. Slow path of everything that enters the runtime.
void roost_claimed(void);

// What `roost_claim` reads is stored with release: whoever finds a thread at depth zero sees all that it has written
// before. On x86-64 that is a plain store. ThreadSanitizer knows nothing of membarrier(2), so for it the stores order
// what comes behind them as well.
#if defined(ROOST_TSAN)
#define ROOST_DEPTH_STORE __ATOMIC_SEQ_CST
#else
#define ROOST_DEPTH_STORE __ATOMIC_RELEASE
#endif

// The thread is inside the runtime from here on; or, if its scheduler was taken over meanwhile, once it has it back.
//
// Of the store of the depth and the load of `claimed` only the compiler is kept from changing the order; the processor
// is by the other side, with a membarrier(2) between its store of `claimed` and its load of the depth. (Dekker's
// algorithm with an asymmetric fence; modelled in Proof/handoff.pml.)
static inline void roost_inside(roost_thread *_Nonnull t, uint32_t depth) {
  __atomic_store_n(&t->preemption_disabled, depth, ROOST_DEPTH_STORE);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__builtin_expect(__atomic_load_n(&t->claimed, __ATOMIC_RELAXED) != ROOST_CLAIM_NONE, 0)) roost_claimed();
}

static inline void roost_enter(void) {
  roost_thread *t = roost_thread_current();
  roost_inside(t, t->preemption_disabled + 1);
}

static inline void roost_leave(void) {
  roost_thread *t = roost_thread_current();
  uint32_t depth = t->preemption_disabled - 1;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&t->preemption_disabled, depth, ROOST_DEPTH_STORE);
  if (depth == 0 && t->reductions < 0) roost_reductions_spent();
}

static inline void roost_charge(int64_t reductions) { roost_thread_current()->reductions -= reductions; }

// Depth 0 for the length of a call into handler code. The caller is at depth 1 and is again afterwards.
static inline void roost_handler_begin(void) {
  roost_thread *t = roost_thread_current();
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&t->preemption_disabled, 0, ROOST_DEPTH_STORE);
  if (t->reductions < 0) roost_reductions_spent();
}
static inline void roost_handler_end(void) { roost_inside(roost_thread_current(), 1); }

// --- Stacks ------------------------------------------------------------------------------------------------------

// Maps a process stack with a guard below. Returns 0, or an errno.
int roost_lane_map(roost_lane *_Nonnull lane, size_t stack_size, size_t guard_size);
void roost_lane_unmap(const roost_lane *_Nonnull lane);

// Prepares this thread to run processes: an alternate signal stack, and a process stack of its own, which a stack_size
// of 0 leaves out. Returns 0, or an errno.
int roost_thread_attach(size_t stack_size, size_t guard_size, size_t reserve_size, void *_Nullable scheduler);
// Unmaps what attach mapped. No process may be running.
void roost_thread_detach(void);
// The stack that roost_start and roost_resume use from here on.
static inline void roost_thread_use(const roost_lane *_Nonnull lane) {
  roost_thread *t = roost_thread_current();
  t->guard_low = lane->guard_low;
  t->stack_low = lane->low;
  t->stack_high = lane->high;
}

typedef void (*roost_entry)(void *_Nullable argument);

// Assembly; contract in switch_<arch>.S.
void roost_switch(void *_Nullable *_Nonnull save, void *_Nonnull to);
// Leaves the process stack. With is_final the process never comes back.
void roost_switch_to_scheduler(roost_thread *_Nonnull t, bool is_final);
// A variable, for Swift imports this header without knowing of the sanitizer.
extern const bool roost_has_stack_per_process;
static inline bool roost_stack_per_process(void) { return roost_has_stack_per_process; }

// Runs `entry(argument)` from the top of the process stack until it returns, parks, is preempted or traps.
// Returns one of ROOST_FINISHED..ROOST_TRAPPED. Scheduler context only.
uint32_t roost_start(roost_entry _Nonnull entry, void *_Nullable argument);
// Goes on with a process whose frames lie where they were. `sp` is roost_parked_sp of that stop.
uint32_t roost_resume(void *_Nonnull sp);
// Leaves the process that runs, back to its scheduler. Process context only, preemption disabled.
void roost_park(void);

// The thread's open accesses (thread_state.c).
void roost_accesses_take(void *_Nullable *_Nonnull accesses);
// For a process that stops in the middle of accesses: they lie on its stack meanwhile.
void roost_switch_with_accesses(roost_thread *_Nonnull t);
// What a process left behind that stopped for good with something open.
void roost_tidy(roost_thread *_Nonnull t);

// roost_resume and roost_park in the caller's own frame: each return after a switch is one that the processor has
// predicted wrongly.
static inline void roost_park_here(void) {
  roost_thread *t = roost_thread_current();
  t->outcome = ROOST_PARKED;
  if (roost_stack_per_process()) {
    roost_switch_to_scheduler(t, false);
    return;
  }
  roost_accesses_take(t->accesses);
  if (__builtin_expect(t->accesses[0] != NULL, 0)) {
    roost_switch_with_accesses(t);
  } else {
    roost_switch(&t->process_sp, t->scheduler_sp);
  }
}

static inline uint32_t roost_resume_here(roost_thread *_Nonnull t, void *_Nonnull sp) {
  t->stack_limit = t->stack_low + t->attached;
  __atomic_store_n(&t->in_process, 1, ROOST_DEPTH_STORE);
  roost_switch(&t->scheduler_sp, sp);
  roost_inside(t, 1);
  __atomic_store_n(&t->in_process, 0, ROOST_DEPTH_STORE);
  t->stack_limit = 0;
  if (__builtin_expect(t->trap.message_length | t->held, 0)) roost_tidy(t);
  return t->outcome;
}
// The stack pointer at the stop: [sp, stack_high) is the used part of the stack.
static inline void *_Nullable roost_parked_sp(void) { return roost_thread_current()->process_sp; }

// Sanitizer builds only (roost_stack_per_process): a stack for each process, which stays where it is.
typedef struct roost_stack roost_stack;
roost_stack *_Nonnull roost_stack_create(size_t size);
void roost_stack_destroy(roost_stack *_Nonnull stack);
uint32_t roost_stack_start(roost_stack *_Nonnull stack, roost_entry _Nonnull entry, void *_Nullable argument);
uint32_t roost_stack_resume(roost_stack *_Nonnull stack);
// The used part of the stack of a process that has stopped: where it starts, and its length.
void *_Nonnull roost_stack_stopped(const roost_stack *_Nonnull stack, size_t *_Nonnull size);

// --- Taking a scheduler over ---------------------------------------------------------------------------------------
// A thread that is outside the runtime, in native code of a handler, does not touch its scheduler: another may go on
// with it meanwhile. The first meets this in `roost_inside`, the next time that it enters the runtime.

// Readies the program for `roost_claim`. Returns 0, or an errno where the kernel has no membarrier(2).
int roost_claims_prepare(void (*_Nonnull rejoin)(roost_thread *_Nonnull t));
// Tries to make `t` stay outside. True: whoever calls owns t's scheduler, and what t has written there is visible.
bool roost_claim(roost_thread *_Nonnull t);
// Ends a claim: `t` goes on, and what was written before is visible to it.
void roost_claim_end(roost_thread *_Nonnull t);

// Nanoseconds of processor time that the thread has used; 0 when it is gone.
uint64_t roost_thread_cpu_time(int32_t tid);
// Whether the kernel says that the thread waits in a system call; then where it does, in its frames.
bool roost_thread_is_blocked(int32_t tid, uintptr_t *_Nonnull sp, uintptr_t *_Nonnull pc);
// Return addresses found on the stack of a thread that stands still, from `sp` up. Wrong ones do no harm.
uint32_t roost_scan_frames(uintptr_t sp, roost_thread *_Nonnull t, uintptr_t *_Nonnull out, uint32_t max);
// Asks a thread that runs handler code for its frames, by a signal, and waits some milliseconds for the answer.
uint32_t roost_sample(roost_thread *_Nonnull t, uintptr_t *_Nonnull out, uint32_t max);
// What other threads may know of a thread, right when it is read.
static inline bool roost_thread_is_claimed(roost_thread *_Nonnull t) {
  return __atomic_load_n(&t->claimed, __ATOMIC_ACQUIRE) != ROOST_CLAIM_NONE;
}
static inline bool roost_thread_is_in_process(roost_thread *_Nonnull t) {
  return __atomic_load_n(&t->in_process, __ATOMIC_ACQUIRE) != 0;
}
static inline void roost_thread_set_owner(roost_thread *_Nonnull t, uint64_t owner) {
  __atomic_store_n(&t->owner, owner, __ATOMIC_RELAXED);
}
static inline uint64_t roost_thread_owner(roost_thread *_Nonnull t) {
  return __atomic_load_n(&t->owner, __ATOMIC_RELAXED);
}
// The depth that a process goes on with. Scheduler context.
static inline void roost_thread_set_depth(roost_thread *_Nonnull t, uint32_t depth) {
  __atomic_store_n(&t->preemption_disabled, depth, ROOST_DEPTH_STORE);
}

// Has the processor fetch `count` cache lines that are needed soon; never faults.
static inline void roost_prefetch(const void *_Nullable address, int count) {
  for (int line = 0; line < count; line++) __builtin_prefetch((const char *)address + 64 * line);
}

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
  uint32_t index;           // atomic; in the lower ROOST_INDEX_BITS, and options of the process above
} roost_account;

#define ROOST_INDEX_BITS 24

extern char *_Nullable roost_accounts_start;
static inline void *_Nullable roost_accounts_base(void) { return roost_accounts_start; }
// Once, before the first process.
void roost_accounts_set(void *_Nullable base, size_t stride);
// Takes (and clears) what others freed.
int64_t roost_account_take(roost_account *_Nonnull account);
static inline void roost_account_set_generation(roost_account *_Nonnull account, uint32_t generation) {
  __atomic_store_n(&account->generation, generation, __ATOMIC_RELEASE);
}
static inline uint32_t roost_account_generation(const roost_account *_Nonnull account) {
  return __atomic_load_n(&account->generation, __ATOMIC_ACQUIRE);
}
static inline uint32_t roost_account_index(const roost_account *_Nonnull account) {
  return __atomic_load_n(&account->index, __ATOMIC_RELAXED) & ((1u << ROOST_INDEX_BITS) - 1);
}
// Bits that senders look at: in the cache line of the mailbox.
static inline uint32_t roost_account_options(const roost_account *_Nonnull account) {
  return __atomic_load_n(&account->index, __ATOMIC_RELAXED) >> ROOST_INDEX_BITS;
}
static inline void roost_account_set_index(roost_account *_Nonnull account, uint32_t index, uint32_t options) {
  __atomic_store_n(&account->index, index | options << ROOST_INDEX_BITS, __ATOMIC_RELAXED);
}
// Books `bytes` on the process of `generation`, if it is still that one. Any thread.
void roost_account_add(roost_account *_Nonnull account, uint32_t generation, int64_t bytes);
// Books `size` bytes of the runtime's own (negative: gives them back) on process `owner` (generation << 32 | index).
void roost_account_book(uint64_t owner, int64_t size);
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
// Waits for events, at most `nanoseconds`; -1: without end (epoll_pwait2(2)). Rounds up to milliseconds where the
// kernel is older than Linux 5.11, or a sandbox does not know the call.
int roost_epoll_wait(int epoll, struct epoll_event *_Nonnull events, int count_max, int64_t nanoseconds);
// Cores that this program may run on (sched_getaffinity(2)).
int roost_core_count(void);
// One bit for each core that a thread may run on; 0 for the calling thread. Both return 0 or an errno.
int roost_get_cores(uint8_t *_Nonnull bits, size_t byte_count);
int roost_set_cores(int32_t tid, const uint8_t *_Nonnull bits, size_t byte_count);
void roost_thread_set_name(const char *_Nonnull name);
// accept4(2), non-blocking and closed on exec.
int roost_accept(int listener, void *_Nonnull address, uint32_t *_Nonnull length);

static inline int roost_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

#endif
