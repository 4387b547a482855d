/* GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An older driver's library lacks the newer functions, and clients look whether dlsym finds them. So their entries in
 * this library's own symbol table in memory are emptied: the dynamic linker takes a symbol with value 0 for undefined
 * and looks on (ELF gABI, "Symbol Table"). The entries sit in pages that are read-only data (-z separate-code). */
#include "symbols.h"

#include "functions.h"
#include "nvml.h"
#include "state.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* By the linker: where this library begins. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static ElfW(Sym) *symbols;               /* the table; NULL: not looked for yet */
static uint32_t symbol_count;
static uint32_t positions[FUNCTION_COUNT]; /* of each function in it */
static ElfW(Addr) values[FUNCTION_COUNT];

/* Not every dynamic linker turns the addresses in the dynamic section into pointers. */
static void *pointer(ElfW(Addr) address)
{
    ElfW(Addr) base = (ElfW(Addr))&__ehdr_start;
    return (void *)(address < base ? address + base : address);
}

/* The hash function of DT_HASH (ELF gABI, "Hash Table"). */
static uint32_t elf_hash(const char *name)
{
    uint32_t hash = 0;
    for (; *name; name++) {
        hash = (hash << 4) + (unsigned char)*name;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    return hash;
}

static void find_symbols(void)
{
    const char *names = NULL;
    const uint32_t *table = NULL; /* numbers of buckets and symbols, buckets, chains */
    for (const ElfW(Dyn) *dynamic = _DYNAMIC; dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_STRTAB)
            names = pointer(dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_SYMTAB)
            symbols = pointer(dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_HASH)
            table = pointer(dynamic->d_un.d_ptr);
    }
    if (!names || !symbols || !table)
        return;
    symbol_count = table[1];
    for (unsigned f = 0; f < FUNCTION_COUNT; f++) {
        uint32_t i = table[2 + elf_hash(functions[f].name) % table[0]];
        while (i && strcmp(names + symbols[i].st_name, functions[f].name))
            i = table[2 + table[0] + i];
        positions[f] = i;
        values[f] = symbols[i].st_value;
    }
}

void symbols_show(unsigned branch)
{
    static unsigned shown = ~0u;
    bool newer = false;
    for (unsigned f = 0; f < FUNCTION_COUNT; f++)
        newer = newer || functions[f].since > branch;
    if (branch == shown || (!newer && !symbols))
        return;
    if (!symbols)
        find_symbols();
    if (!symbol_count)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)symbols & ~(page - 1);
    uintptr_t end = ((uintptr_t)(symbols + symbol_count) + page - 1) & ~(page - 1);
    if (mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE))
        return;
    for (unsigned f = 0; f < FUNCTION_COUNT; f++)
        symbols[positions[f]].st_value = functions[f].since > branch ? 0 : values[f];
    mprotect((void *)begin, end - begin, PROT_READ);
    shown = branch;
}

/* A client looks for functions before it initialises the library, so the driver is known as soon as it is loaded. */
__attribute__((constructor)) static void load(void)
{
    static struct state state;
    if (state_open(&state, state_path()) != STATE_OK)
        return;
    symbols_show(state.current.host.driver_branch);
    state_close(&state);
}
