// SPDX-License-Identifier: Apache-2.0
//
// The frames of a process that is looked at: stopped, from the image of its stack; running, from the stack itself.
#include "internal.h"

#if defined(__x86_64__)
// roost_switch has pushed rbp first, five registers after it, and its return address before it.
#define SAVED_FRAME_OFFSET 40
#define SAVED_RETURN_OFFSET 48
#elif defined(__aarch64__)
#define SAVED_FRAME_OFFSET 80
#define SAVED_RETURN_OFFSET 88
#endif

uint32_t roost_walk_image(const void *image, uintptr_t sp, size_t size, uintptr_t *out, uint32_t max) {
  const char *bytes = image;
  if (max == 0 || size < SAVED_RETURN_OFFSET + sizeof(uintptr_t)) return 0;
  uint32_t count = 0;
  out[count++] = *(const uintptr_t *)(bytes + SAVED_RETURN_OFFSET);
  uintptr_t frame = *(const uintptr_t *)(bytes + SAVED_FRAME_OFFSET);
  // Frames name each other by where they lay on the stack: `sp` is where the image was taken from.
  while (count < max && frame >= sp && frame - sp <= size - 2 * sizeof(uintptr_t) && frame % sizeof(uintptr_t) == 0) {
    const uintptr_t *record = (const uintptr_t *)(bytes + (frame - sp));  // saved frame pointer, return address
    if (record[1] == 0) break;
    out[count++] = record[1];
    if (record[0] <= frame) break;  // frames only go up
    frame = record[0];
  }
  return count;
}

__attribute__((noinline)) uint32_t roost_walk_own_frames(uintptr_t *out, uint32_t max) {
  const roost_thread *t = &roost_tls;
  return roost_walk_frames((uintptr_t)__builtin_frame_address(0), t->stack_low, t->stack_high, out, max);
}
