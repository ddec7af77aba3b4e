/* libFuzzer's entry point, for programs that have a main of their own. The library comes with -sanitize=fuzzer. */
#ifndef CFUZZER_H
#define CFUZZER_H

#include <stddef.h>
#include <stdint.h>

/* Runs the fuzzer with the arguments of main; `test` is called with each input. Returns the exit status. */
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test)(const uint8_t *bytes, size_t byteCount));

#endif
