/** What answers on the network. Every address is a canary of the battery's own network: without
 *  one the probe does not apply, so that no packet leaves the machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t parse(const char *text, long port, union address *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (strchr(text, ':') != NULL) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, text, &ret->v6.sin6_addr);
        return sizeof(ret->v6);
    }
    ret->v4.sin_family = AF_INET;
    ret->v4.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, text, &ret->v4.sin_addr);
    return sizeof(ret->v4);
}

static bool finishes(int fd)
{
    struct pollfd waited = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof(error);
    return poll(&waited, 1, 1000) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static bool answers(const char *text, long port)
{
    union address address;
    socklen_t size = parse(text, port, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool is_connected =
        connect(fd, &address.any, size) == 0 || (errno == EINPROGRESS && finishes(fd));
    close(fd);
    return is_connected;
}

/** @list  comma-separated addresses. */
static enum sb_verdict none_answers(struct sb_run *run, const char *key)
{
    const char *list = sb_probe_arg(run, key, NULL);
    long port = sb_probe_arg_long(run, "port", 0);
    if (list == NULL) {
        return sb_probe_na(run, "needs a network of the battery's own (root)");
    }
    struct sb_found found = {0};
    char text[256];
    char *rest = text;
    (void)snprintf(text, sizeof(text), "%s", list);
    for (const char *one; (one = strsep(&rest, ",")) != NULL;) {
        if (answers(one, port)) {
            sb_probe_found(&found, "%s", one);
        }
    }
    return sb_probe_by_found(run, &found, "answered", "no canary answered");
}

static enum sb_verdict host_loopback(struct sb_run *run)
{
    return none_answers(run, "loopback");
}

static enum sb_verdict host_addresses(struct sb_run *run)
{
    return none_answers(run, "addresses");
}

static enum sb_verdict metadata_address(struct sb_run *run)
{
    return none_answers(run, "metadata");
}

/** Connecting a datagram socket looks a route up and sends nothing. */
static enum sb_verdict routes(struct sb_run *run)
{
    static const char *const targets[] = {"192.0.2.1",   "198.51.100.7", "10.0.0.1",
                                          "224.0.0.251", "2001:db8::1",  "fd00::1"};
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(targets); i++) {
        union address address;
        socklen_t size = parse(targets[i], 9, &address);
        int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, &address.any, size) == 0) {
            sb_probe_found(&found, "%s", targets[i]);
        }
        close(fd);
    }
    return sb_probe_by_found(run, &found, "routes to", "there is no route anywhere");
}

static enum sb_verdict interfaces(struct sb_run *run)
{
    struct sb_found found = {0};
    struct if_nameindex *list = if_nameindex();
    for (size_t i = 0; list != NULL && list[i].if_index != 0; i++) {
        if (strcmp(list[i].if_name, "lo") != 0) {
            sb_probe_found(&found, "%s", list[i].if_name);
        }
    }
    if_freenameindex(list);
    char text[8192] = "";
    sb_probe_read_file("/proc/net/dev", text, sizeof(text));
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char name[32];
        if (found.count < 8 && sscanf(line, " %31[^: |]:", name) == 1 && strchr(line, ':') &&
            strcmp(name, "lo") != 0) {
            sb_probe_found(&found, "%s", name);
        }
    }
    return sb_probe_by_found(run, &found, "visible", "no interface but loopback");
}

/** Sets a flag of the loopback device to what it is. */
static enum sb_verdict interface_flags(struct sb_run *run)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_set =
        fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return is_set ? sb_probe_leaked(run, "interfaces can be configured")
                  : sb_probe_held(run, "SIOCSIFFLAGS: %m");
}

static enum sb_verdict name_server(struct sb_run *run)
{
    const char *server = sb_probe_arg(run, "nameserver", NULL);
    if (server == NULL) {
        return sb_probe_na(run, "needs a network of the battery's own (root)");
    }
    static const unsigned char query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                                         "\x06secret\x07invalid\x00\x00\x01\x00\x01";
    union address address;
    socklen_t size = parse(server, 53, &address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    bool is_answered = fd >= 0 && sendto(fd, query, sizeof(query) - 1, 0, &address.any, size) > 0 &&
                       poll(&waited, 1, 1000) == 1 && (waited.revents & POLLIN) != 0 &&
                       recv(fd, (unsigned char[64]){0}, 64, 0) > 0;
    close(fd);
    return is_answered ? sb_probe_leaked(run, "%s resolves: data can leave in names", server)
                       : sb_probe_held(run, "%s does not answer", server);
}

static const struct sb_probe probes[] = {
    {"host-loopback", "none", "services on the host's loopback do not answer", host_loopback},
    {"host-addresses", "none", "other addresses of the host do not answer", host_addresses},
    {"metadata-address", "none", "the cloud's metadata address does not answer", metadata_address},
    {"routes", "none", "there is no route out", routes},
    {"interfaces", "none", "no interface of the host is visible", interfaces},
    {"interface-flags", "none", "no interface can be configured", interface_flags},
    {"name-server", "none", "no resolver answers", name_server},
};
const struct sb_probe_class sb_probes_network = {"network", probes, SB_COUNT(probes)};
