// SPDX-License-Identifier: Apache-2.0
//
// void roost_switch(void **save, void *to)
//
// Saves the callee-saved registers of the System V AMD64 ABI (§3.2.1: rbx, rbp, r12-r15) on the stack that is current,
// stores its pointer in *save, makes `to` the stack pointer and restores the registers that an earlier roost_switch
// left there. Before: the caller owns the current stack. After: whoever saved `to` goes on. `to` points at six
// registers and a return address. mxcsr and the x87 control word are not saved: nothing here changes them.
#if defined(__x86_64__)
    .text
    .globl  roost_switch
    .type   roost_switch, @function
    .p2align 4
roost_switch:
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    // Not `ret`: the processor would predict that this returns to whoever called it here, which it never does. An
    // indirect jump it learns.
    popq    %rcx
    jmp     *%rcx
    .size   roost_switch, .-roost_switch

// Where a fresh process stack starts: r12 is the function to call, r13 its argument (roost_prepare_stack put them
// there). The frame pointer is zero, which ends a walk over the frames.
    .globl  roost_switch_entry
    .type   roost_switch_entry, @function
    .p2align 4
roost_switch_entry:
    xorl    %ebp, %ebp
    movq    %r13, %rdi
    call    *%r12
    call    roost_finish@PLT
    ud2
    .size   roost_switch_entry, .-roost_switch_entry
#endif
#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack,"",@progbits
#endif
