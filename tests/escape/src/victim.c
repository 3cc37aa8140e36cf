#include "tests/escape/src/victim.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void make_key(const char *token)
{
    long key =
        syscall(SYS_add_key, "user", SB_VICTIM_KEY, token, strlen(token), KEY_SPEC_USER_KEYRING);
    if (key >= 0) {
        syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f3f3fUL);
        syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 900UL);
    }
}

int sb_victim_main(const char *token)
{
    static char secret[128];
    (void)snprintf(secret, sizeof(secret), "%s", token);
    prctl(PR_SET_NAME, "sbx-victim");

    int shm = shmget(SB_VICTIM_IPC_KEY, sizeof(secret), IPC_CREAT | 0666);
    int sem = semget(SB_VICTIM_IPC_KEY, 1, IPC_CREAT | 0666);
    int msg = msgget(SB_VICTIM_IPC_KEY, IPC_CREAT | 0666);
    void *shared = shm < 0 ? MAP_FAILED : shmat(shm, NULL, 0);
    if (shared != MAP_FAILED) {
        memcpy(shared, secret, sizeof(secret));
    }
    mqd_t queue = mq_open(SB_VICTIM_QUEUE, O_CREAT | O_RDWR, 0666, NULL);
    if (queue >= 0) {
        fchmod(queue, 0666);
    }
    make_key(token);

    printf("ready %d %p\n", (int)getpid(), (void *)secret);
    (void)fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }

    shmctl(shm, IPC_RMID, NULL);
    semctl(sem, 0, IPC_RMID);
    msgctl(msg, IPC_RMID, NULL);
    mq_unlink(SB_VICTIM_QUEUE);
    return 0;
}
