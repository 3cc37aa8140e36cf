/* The start of a static program, before it relocates itself.
 *
 * Some thirty pages of tables of pointers are written then, one page fault each. One call has the
 * kernel make them all: a tenth of what `aisbx run` takes where faults are dear, as they are in
 * guests without page tables of the hardware's. Nothing is relocated yet, so here are no calls but
 * this one, no pointers in tables, and no stack protector. */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { POPULATE_WRITE = 23, PAGE = 4096 }; /* MADV_POPULATE_WRITE, Linux 5.14; else in vain */

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
__attribute__((used, no_stack_protector)) void sb_early_populate(void);

static inline void advise(uintptr_t start, uintptr_t len)
{
#if defined(__x86_64__)
    long ret;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"((long)SYS_madvise), "D"(start), "S"(len), "d"((long)POPULATE_WRITE)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_madvise;
    register uintptr_t x0 __asm__("x0") = start;
    register uintptr_t x1 __asm__("x1") = len;
    register long x2 __asm__("x2") = POPULATE_WRITE;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
#else
#error "sb_early_start knows x86_64 and aarch64"
#endif
}

void sb_early_populate(void)
{
    uintptr_t base = (uintptr_t)&__ehdr_start;
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
        if (headers[i].p_type == PT_GNU_RELRO) {
            uintptr_t start = (base + headers[i].p_vaddr) & ~(uintptr_t)(PAGE - 1);
            advise(start, (base + headers[i].p_vaddr + headers[i].p_memsz - start) &
                              ~(uintptr_t)(PAGE - 1));
        }
    }
}

/* What the kernel left in registers and on the stack is libc's. */
#if defined(__x86_64__)
__asm__(".globl sb_early_start\n.hidden sb_early_start\nsb_early_start:\n"
        " xor %ebp, %ebp\n push %rdx\n sub $8, %rsp\n call sb_early_populate\n"
        " add $8, %rsp\n pop %rdx\n jmp _start\n");
#elif defined(__aarch64__)
__asm__(".globl sb_early_start\n.hidden sb_early_start\nsb_early_start:\n"
        " mov x29, #0\n mov x30, #0\n str x0, [sp, #-16]!\n bl sb_early_populate\n"
        " ldr x0, [sp], #16\n b _start\n");
#endif
