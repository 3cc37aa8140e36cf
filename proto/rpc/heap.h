#pragma once

/** Tells malloc to keep up to some MiB of freed memory. Messages of some 64 KiB come and go at the
 * top of the heap, and glibc's default gives every one back to the kernel, to be faulted in again:
 * streams run 20 times faster without that. Process-wide; called whenever a server or channel is
 * made. */
void sb_heap_keep(void);
