// SPDX-License-Identifier: Apache-2.0
//
// Names for addresses, from the symbol table of the executable (or dladdr for a shared library), demangled by the Swift
// runtime. The toolchain's own `Runtime` module does this too, but does not link with a static standard library (Swift
// 6.3.1).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

extern char *swift_demangle(const char *name, size_t length, char *out, size_t *out_size, uint32_t flags)
    __attribute__((weak));

typedef struct {
  uintptr_t address;
  size_t size;
  const char *name;
} symbol;

static symbol *symbols;
static size_t symbol_count;
static uintptr_t load_bias;

static int first_object(struct dl_phdr_info *info, size_t size, void *bias) {
  (void)size;
  *(uintptr_t *)bias = info->dlpi_addr;
  return 1;  // the executable comes first
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = ((const symbol *)a)->address, y = ((const symbol *)b)->address;
  return x < y ? -1 : x > y;
}

// Reads .symtab of /proc/self/exe; a stripped executable has none and the names stay unknown. The mapping is kept:
// names point into it.
static void load_symbols(void) {
  dl_iterate_phdr(first_object, &load_bias);
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat status;
  char *file = MAP_FAILED;
  if (fstat(fd, &status) == 0 && status.st_size > (off_t)sizeof(ElfW(Ehdr)))
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (file == MAP_FAILED) return;
  const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)file;
  const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(file + elf->e_shoff);
  for (int i = 0; i < elf->e_shnum; i++) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const ElfW(Sym) *table = (const ElfW(Sym) *)(file + sections[i].sh_offset);
    const char *names = file + sections[sections[i].sh_link].sh_offset;
    size_t count = sections[i].sh_size / sizeof *table;
    // Not booked on the process that happens to ask first.
    symbols = roost_block_allocate((count + 1) * sizeof *symbols);
    if (symbols == NULL) return;
    for (size_t s = 0; s < count; s++) {
      if (ELF64_ST_TYPE(table[s].st_info) != STT_FUNC || table[s].st_value == 0) continue;
      symbols[symbol_count++] = (symbol){load_bias + table[s].st_value, table[s].st_size, names + table[s].st_name};
    }
    qsort(symbols, symbol_count, sizeof *symbols, by_address);
    return;
  }
}

static const symbol *find(uintptr_t address) {
  size_t low = 0, high = symbol_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (symbols[middle].address <= address) low = middle + 1; else high = middle;
  }
  if (low == 0) return NULL;
  const symbol *s = &symbols[low - 1];
  // Hand-written assembly may state no size.
  return address - s->address < (s->size != 0 ? s->size : 4096) ? s : NULL;
}

// The mangled name; NULL when unknown.
static const char *mangled_name(uintptr_t address, uintptr_t *offset) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_symbols);
  const symbol *s = find(address);
  Dl_info info;
  if (s != NULL) {
    *offset = address - s->address;
    return s->name;
  }
  if (dladdr((void *)address, &info) == 0 || info.dli_sname == NULL) return NULL;
  *offset = address - (uintptr_t)info.dli_saddr;
  return info.dli_sname;
}

bool roost_symbol_is_library(uintptr_t address) {
  // In Swift's mangling s is the standard library and S with a letter one of its types; the runtime is written in C++.
  static const char *const starts[] = {"$ss", "$sS", "swift_", "_swift_", "_ZN5swift", "_ZNK5swift", "_Zn", "_ZNSt"};
  static const char *const names[] = {"malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc",
                                      "valloc", "pvalloc", "strdup", "charge", "is_refused"};
  uintptr_t offset;
  const char *name = mangled_name(address, &offset);
  if (name == NULL) return true;  // a library that is stripped: the program itself has names, or nothing has
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
    if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

bool roost_symbol_name(uintptr_t address, char *out, size_t size, uintptr_t *offset) {
  const char *name = mangled_name(address, offset);
  if (name == NULL) {
    snprintf(out, size, "0x%lx", (unsigned long)address);
    *offset = 0;
    return false;
  }
  char *demangled = swift_demangle != NULL ? swift_demangle(name, strlen(name), NULL, NULL, 0) : NULL;
  snprintf(out, size, "%s", demangled != NULL ? demangled : name);
  free(demangled);
  return true;
}
