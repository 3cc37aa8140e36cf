/** The terminal of the person who started the job. Those that need "tty" get one as standard
 *  input; the runner reads it back. The others ask the filter by means of a pipe: ENOTTY says that
 *  the kernel was asked. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

#define SB_TIOCLINUX 0x541C
#define HIGH_BIT     0x100000000UL

static int open_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fd : isatty(STDIN_FILENO) ? STDIN_FILENO : -1;
}

static enum sb_verdict terminal_input(struct sb_run *run)
{
    int fd = open_terminal();
    if (fd < 0) {
        return sb_probe_held(run, "no terminal to type into");
    }
    char c = 'C';
    char selection[2] = {2, 0};
    struct sb_found found = {0};
    if (ioctl(fd, TIOCSTI, &c) == 0) {
        sb_probe_found(&found, "TIOCSTI");
    }
    if (syscall(SYS_ioctl, fd, HIGH_BIT | TIOCSTI, &c) == 0) {
        sb_probe_found(&found, "TIOCSTI with a high bit");
    }
    if (ioctl(fd, SB_TIOCLINUX, selection) == 0) {
        sb_probe_found(&found, "TIOCLINUX");
    }
    return sb_probe_by_found(run, &found, "accepted", "nothing can be typed");
}

static enum sb_verdict terminal_session(struct sb_run *run)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return sb_probe_held(run, "no controlling terminal: %m");
    }
    const char *ours = sb_probe_arg(run, "tty", "");
    char name[64] = "";
    (void)snprintf(name, sizeof(name), "%s", isatty(STDIN_FILENO) ? "standard input" : ours);
    return sb_probe_leaked(run, "the controlling terminal is the caller's (%s)", name);
}

static enum sb_verdict terminal_modes(struct sb_run *run)
{
    struct termios modes;
    int fd = open_terminal();
    if (fd < 0 || tcgetattr(fd, &modes) < 0) {
        return sb_probe_held(run, "no terminal");
    }
    return tcsetattr(fd, TCSANOW, &modes) == 0
               ? sb_probe_leaked(run, "modes of the caller's terminal can be set")
               : sb_probe_held(run, "tcsetattr: %m");
}

static enum sb_verdict terminal_by_path(struct sb_run *run)
{
    const char *path = sb_probe_arg(run, "tty", "");
    return *path != '\0' && sb_probe_opens(path, O_RDWR)
               ? sb_probe_leaked(run, "%s opens", path)
               : sb_probe_held(run, "%s does not open", path);
}

static enum sb_verdict ioctl_filter(struct sb_run *run)
{
    static const struct {
        const char *name;
        unsigned long request;
    } requests[] = {
        {"TIOCSTI", TIOCSTI},
        {"TIOCSTI with a high bit", HIGH_BIT | TIOCSTI},
        {"TIOCSTI with the highest bit", 0x8000000000000000UL | TIOCSTI},
        {"TIOCLINUX", SB_TIOCLINUX},
        {"TIOCLINUX with a high bit", HIGH_BIT | SB_TIOCLINUX},
        {"TIOCLINUX with all high bits", 0xffffffff00000000UL | SB_TIOCLINUX},
        {"TIOCCONS", TIOCCONS},
        {"TIOCSETD", TIOCSETD},
        {"TIOCSETD with a high bit", HIGH_BIT | TIOCSETD},
    };
    struct sb_found found = {0};
    int ends[2];
    char byte[8] = {0};
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return sb_probe_na(run, "pipe: %m");
    }
    for (size_t i = 0; i < SB_COUNT(requests); i++) {
        if (syscall(SYS_ioctl, ends[0], requests[i].request, byte) == 0 ||
            !sb_probe_is_refusal(errno)) {
            sb_probe_found(&found, "%s", requests[i].name);
        }
    }
    close(ends[0]);
    close(ends[1]);
    return sb_probe_by_found(run, &found, "reach the kernel", "refused by the filter");
}

static const struct sb_probe probes[] = {
    {"terminal-input", "tty", "nothing can be typed into the caller's terminal", terminal_input},
    {"terminal-session", "tty", "the caller's terminal is not the job's", terminal_session},
    {"terminal-modes", "tty", "modes of the caller's terminal cannot be set", terminal_modes},
    {"terminal-by-path", "tty", "the caller's terminal has no name inside", terminal_by_path},
    {"ioctl-filter", "none", "TIOCSTI and its like are refused whatever bits are set",
     ioctl_filter},
};
const struct sb_probe_class sb_probes_terminal = {"terminal", probes, SB_COUNT(probes)};
