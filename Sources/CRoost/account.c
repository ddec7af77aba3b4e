// SPDX-License-Identifier: Apache-2.0
//
// malloc with a name on every block: the process that asked for it. What a handler's own Swift code holds is charged to
// it, by whomever and on whichever thread it is freed. Each block carries 16 bytes before it (as glibc's own
// bookkeeping does); the storage is glibc's.
//
// glibc manual, "Replacing malloc": a program that defines these functions replaces them for every library in it.
// Sanitizers bring their own allocator, so there is no accounting in their builds.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

char *roost_accounts_start;
static size_t accounts_stride;

void roost_accounts_set(void *base, size_t stride) {
  accounts_stride = stride;
  __atomic_store_n(&roost_accounts_start, (char *)base, __ATOMIC_RELEASE);
}

int64_t roost_account_take(roost_account *account) {
  // A plain look first: few processes are freed from, and the exchange is a locked instruction.
  if (__atomic_load_n(&account->freed_by_others, __ATOMIC_RELAXED) == 0) return 0;
  return __atomic_exchange_n(&account->freed_by_others, 0, __ATOMIC_ACQ_REL);
}

void roost_malloc_trim(void) { malloc_trim(0); }

// Stops the process at its next reduction point, and notes who asked for more than it may hold, for the reason that it
// ends with.
__attribute__((noinline, cold)) static void note_growth(roost_thread *t) {
  t->reductions = -1;
  if (t->over_heap_limit) return;
  t->over_heap_limit = 1;
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  t->growth_frame_count =
      roost_walk_frames(frame, t->stack_low, t->stack_high, t->growth_frames, ROOST_GROWTH_FRAMES_MAX);
}

void roost_account_book(uint64_t owner, int64_t size) {
  roost_thread *t = &roost_tls;
  if (owner == t->owner) {
    t->live += size;
    if (t->live > t->live_max) note_growth(t);
    return;
  }
  char *base = __atomic_load_n(&roost_accounts_start, __ATOMIC_ACQUIRE);
  if (base == NULL) return;
  roost_account *account = (roost_account *)(base + (size_t)(uint32_t)owner * accounts_stride);
  if (roost_account_generation(account) == (uint32_t)(owner >> 32))
    __atomic_fetch_sub(&account->freed_by_others, size, __ATOMIC_RELAXED);
}

#if defined(ROOST_STACK_PER_PROCESS)
bool roost_malloc_is_accounted(void) { return false; }
void *roost_block_allocate(size_t size) { return malloc(size); }
void roost_block_free(void *block) { free(block); }
#else
bool roost_malloc_is_accounted(void) { return true; }

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

void *roost_block_allocate(size_t size) { return __libc_malloc(size); }
void roost_block_free(void *block) { __libc_free(block); }

// Before every block. `size` counts what the caller asked for; its top byte is log2 of the offset to the block's real
// start where that is not sizeof(header).
typedef struct {
  uint64_t owner;
  uint64_t size;
} header;

#define SIZE_BITS 56
#define SIZE_MASK (((uint64_t)1 << SIZE_BITS) - 1)

static header *header_of(void *block) { return (header *)block - 1; }
static size_t size_of(const header *h) { return h->size & SIZE_MASK; }
static void *start_of(header *h) {
  unsigned shift = (unsigned)(h->size >> SIZE_BITS);
  return shift == 0 ? (void *)h : (char *)(h + 1) - ((size_t)1 << shift);
}

// Books `size` bytes on the process that runs on this thread.
static inline uint64_t charge(roost_thread *t, size_t size) {
  if (t->owner == 0) return 0;
  t->live += (int64_t)size;
  if (__builtin_expect(t->live > t->live_max, 0)) note_growth(t);
  return t->owner;
}

static inline void discharge(roost_thread *t, const header *h) {
  if (h->owner == 0) return;
  if (h->owner == t->owner) {
    t->live -= (int64_t)size_of(h);
    return;
  }
  char *base = __atomic_load_n(&roost_accounts_start, __ATOMIC_ACQUIRE);
  if (base == NULL) return;
  roost_account *account = (roost_account *)(base + (size_t)(uint32_t)h->owner * accounts_stride);
  // Process memory is type-stable, so the account is always readable; a stale generation is another process's account.
  // A slot may change hands between this test and the subtraction: the new owner's figure is then low by one block,
  // once.
  if (roost_account_generation(account) == (uint32_t)(h->owner >> 32))
    __atomic_fetch_add(&account->freed_by_others, (int64_t)size_of(h), __ATOMIC_RELAXED);
}

// One block larger than all that the process may hold is refused outright: Swift then traps at once instead of touching
// it.
static inline bool is_refused(roost_thread *t, size_t size) {
  bool is = t->owner != 0 && (int64_t)size > t->live_max && t->preemption_disabled == 0;
  if (__builtin_expect(is, 0)) {
    t->refused = size;
    note_growth(t);
  }
  return is;
}

void *malloc(size_t size) {
  roost_thread *t = &roost_tls;
  if (size > SIZE_MASK >> 1 || is_refused(t, size)) {
    errno = ENOMEM;
    return NULL;
  }
  t->in_allocator += 1;
  header *h = __libc_malloc(size + sizeof *h);
  t->in_allocator -= 1;
  if (h == NULL) return NULL;
  h->owner = charge(t, size);
  h->size = size;
  if (__builtin_expect(t->trap.message_length != 0, 0) && size > t->trap.message_length) t->trap.report = h + 1;
  return h + 1;
}

void *calloc(size_t count, size_t each) {
  roost_thread *t = &roost_tls;
  size_t size;
  if (__builtin_mul_overflow(count, each, &size) || size > SIZE_MASK >> 1 || is_refused(t, size)) {
    errno = ENOMEM;
    return NULL;
  }
  t->in_allocator += 1;
  header *h = __libc_calloc(1, size + sizeof *h);
  t->in_allocator -= 1;
  if (h == NULL) return NULL;
  h->owner = charge(t, size);
  h->size = size;
  return h + 1;
}

void free(void *block) {
  if (block == NULL) return;
  roost_thread *t = &roost_tls;
  header *h = header_of(block);
  if (__builtin_expect(block == t->trap.report, 0)) t->trap.report = NULL;
  discharge(t, h);
  t->in_allocator += 1;
  __libc_free(start_of(h));
  t->in_allocator -= 1;
}

void *memalign(size_t alignment, size_t size) {
  if (alignment <= sizeof(header)) return malloc(size);
  roost_thread *t = &roost_tls;
  if ((alignment & (alignment - 1)) != 0 || size > SIZE_MASK >> 1 || is_refused(t, size)) {
    errno = (alignment & (alignment - 1)) != 0 ? EINVAL : ENOMEM;
    return NULL;
  }
  t->in_allocator += 1;
  char *start = __libc_memalign(alignment, size + alignment);
  t->in_allocator -= 1;
  if (start == NULL) return NULL;
  header *h = header_of(start + alignment);
  h->owner = charge(t, size);
  h->size = size | (uint64_t)__builtin_ctzll(alignment) << SIZE_BITS;
  return h + 1;
}

void *realloc(void *block, size_t size) {
  if (block == NULL) return malloc(size);
  if (size == 0) {
    free(block);
    return NULL;
  }
  header *h = header_of(block);
  if (h->size >> SIZE_BITS != 0) {  // an aligned block keeps no alignment through realloc
    void *moved = malloc(size);
    if (moved == NULL) return NULL;
    memcpy(moved, block, size < size_of(h) ? size : size_of(h));
    free(block);
    return moved;
  }
  roost_thread *t = &roost_tls;
  if (size > SIZE_MASK >> 1 || is_refused(t, size)) {
    errno = ENOMEM;
    return NULL;
  }
  if (block == t->trap.report) t->trap.report = NULL;
  header old = *h;
  t->in_allocator += 1;
  h = __libc_realloc(h, size + sizeof *h);
  t->in_allocator -= 1;
  if (h == NULL) return NULL;
  discharge(t, &old);
  h->owner = charge(t, size);
  h->size = size;
  return h + 1;
}

int posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
  int saved_errno = errno;
  void *block = memalign(alignment, size);
  errno = saved_errno;
  if (block == NULL) return ENOMEM;
  *out = block;
  return 0;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
void *valloc(size_t size) { return memalign((size_t)sysconf(_SC_PAGESIZE), size); }
void *pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return memalign(page, (size + page - 1) & ~(page - 1));
}
size_t malloc_usable_size(void *block) { return block == NULL ? 0 : size_of(header_of(block)); }
#endif
