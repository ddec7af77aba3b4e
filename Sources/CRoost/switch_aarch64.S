// SPDX-License-Identifier: Apache-2.0
//
// void roost_switch(void **save, void *to)
//
// Saves what AAPCS64 (§6.1.1, §6.1.2) makes the callee save (x19-x28, frame pointer x29, link register x30, the low
// halves of v8-v15) on the stack that is current, stores its pointer in *save, makes `to` the stack pointer and
// restores the registers that an earlier roost_switch left there. Before: the caller owns the current stack. After:
// whoever saved `to` goes on. The stack pointer stays 16-byte aligned throughout (§6.4.5.1). fpcr is not saved: nothing
// here changes it.
#if defined(__aarch64__)
    .text
    .globl  roost_switch
    .type   roost_switch, %function
    .p2align 4
roost_switch:
    sub     sp, sp, #160
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8,  d9,  [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mov     x9, sp
    str     x9, [x0]
    mov     sp, x1
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8,  d9,  [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #160
    // Not `ret`: the processor would predict that this returns to whoever called it here, which it never does.
    br      x30
    .size   roost_switch, .-roost_switch

// Where a fresh process stack starts: x19 is the function to call, x20 its argument (roost_prepare_stack put them
// there). Frame pointer and link register are zero, which ends a walk over the frames.
    .globl  roost_switch_entry
    .type   roost_switch_entry, %function
    .p2align 4
roost_switch_entry:
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    blr     x19
    bl      roost_finish
    brk     #1
    .size   roost_switch_entry, .-roost_switch_entry
#endif
#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack,"",%progbits
#endif
