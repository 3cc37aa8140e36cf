#pragma once

/* For programs linked with --wrap=malloc and --wrap=calloc: makes one allocation fail. */

/** The n-th allocation from now on (the next is 1) returns NULL, once. 0: none. */
void sb_fail_alloc_at(unsigned n);
