/** The least a program can do and be seen: a line of output. No libc, so that nothing but the
 * kernel's work is measured. */
#include "service/init/sys.h"

SB_SYS_START(sb_noop_main);

__attribute__((noreturn, used)) void sb_noop_main(void);

void sb_noop_main(void)
{
    (void)sb_sys_write(1, ".\n", 2);
    for (;;) {
        (void)SB_SYS(__NR_exit_group, 0, 0, 0, 0, 0);
    }
}
