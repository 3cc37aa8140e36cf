#pragma once

/** Keys of the System V objects that the victim makes in its IPC namespace. */
#define SB_VICTIM_IPC_KEY 0x5b0ca
#define SB_VICTIM_QUEUE   "/sbx-canary"
#define SB_VICTIM_KEY     "sbx-canary"

/** Holds @token in its memory, in System V and POSIX objects and in its user's keyring, prints a
 *  line "ready PID ADDRESS" and waits for its end of input, upon which it removes all of it. */
int sb_victim_main(const char *token);
