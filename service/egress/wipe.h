#pragma once

/** Lets libevent write over memory that it gives back: secrets went through its buffers. Before any
 *  other function of libevent. */
void sb_wipe_start(void);
