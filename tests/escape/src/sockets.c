/** Socket families and protocols, which are attack surface even without a network. */
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

struct kind {
    const char *name;
    int family, type, protocol;
};

/** No socket has type 15, and the kernel says so before it looks for the family: any other answer
 * is the filter's. So a family that this kernel lacks is judged as well. */
static bool family_reaches_kernel(int family, int protocol)
{
    return family != AF_INET && family != AF_INET6 && socket(family, 15, protocol) < 0 &&
           errno == EINVAL;
}

static enum sb_verdict none_made(struct sb_run *run, const struct kind *kinds, size_t count)
{
    struct sb_found found = {0};
    for (size_t i = 0; i < count; i++) {
        int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
        if (fd >= 0) {
            close(fd);
            sb_probe_found(&found, "%s", kinds[i].name);
        } else if (family_reaches_kernel(kinds[i].family, kinds[i].protocol)) {
            sb_probe_found(&found, "%s (asked for)", kinds[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "made or asked of the kernel", "refused by the filter");
}

/** The kernel's crypto API (AF_ALG) wrote page caches of read-only files more than once. */
static enum sb_verdict family_alg(struct sb_run *run)
{
    static const struct kind kinds[] = {{"alg", AF_ALG, SOCK_SEQPACKET, 0}};
    return none_made(run, kinds, SB_COUNT(kinds));
}

static enum sb_verdict family_packet(struct sb_run *run)
{
    static const struct kind kinds[] = {{"raw", AF_PACKET, SOCK_RAW, 0x0300},
                                        {"datagram", AF_PACKET, SOCK_DGRAM, 0x0300},
                                        {"old", AF_INET, SOCK_PACKET, 0x0300}};
    return none_made(run, kinds, SB_COUNT(kinds));
}

static enum sb_verdict family_vsock(struct sb_run *run)
{
    static const struct kind kinds[] = {{"stream", AF_VSOCK, SOCK_STREAM, 0},
                                        {"datagram", AF_VSOCK, SOCK_DGRAM, 0}};
    return none_made(run, kinds, SB_COUNT(kinds));
}

/** Route is left out: runtimes list interfaces with it, and there are none to be seen. */
static enum sb_verdict family_netlink(struct sb_run *run)
{
    static const struct kind kinds[] = {
        {"usersock", AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK},
        {"sock_diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG},
        {"nflog", AF_NETLINK, SOCK_RAW, NETLINK_NFLOG},
        {"xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM},
        {"audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT},
        {"connector", AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR},
        {"netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
        {"uevent", AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT},
        {"generic", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC},
        {"crypto", AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO},
    };
    return none_made(run, kinds, SB_COUNT(kinds));
}

static enum sb_verdict family_rare(struct sb_run *run)
{
    static const struct kind kinds[] = {
        {"ax25", AF_AX25, SOCK_DGRAM, 0},
        {"ipx", AF_IPX, SOCK_DGRAM, 0},
        {"x25", AF_X25, SOCK_SEQPACKET, 0},
        {"key", AF_KEY, SOCK_RAW, 2},
        {"rds", AF_RDS, SOCK_SEQPACKET, 0},
        {"can", AF_CAN, SOCK_RAW, 1},
        {"tipc", AF_TIPC, SOCK_STREAM, 0},
        {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
        {"rxrpc", AF_RXRPC, SOCK_DGRAM, PF_INET},
        {"kcm", AF_KCM, SOCK_DGRAM, 0},
        {"nfc", AF_NFC, SOCK_RAW, 0},
        {"qipcrtr", AF_QIPCRTR, SOCK_DGRAM, 0},
        {"smc", AF_SMC, SOCK_STREAM, 0},
        {"xdp", AF_XDP, SOCK_RAW, 0},
        {"llc", AF_LLC, SOCK_STREAM, 0},
        {"pppox", AF_PPPOX, SOCK_STREAM, 0},
        {"phonet", AF_PHONET, SOCK_DGRAM, 0},
        {"ieee802154", AF_IEEE802154, SOCK_DGRAM, 0},
        {"isdn", AF_ISDN, SOCK_RAW, 0},
        {"caif", AF_CAIF, SOCK_SEQPACKET, 0},
    };
    return none_made(run, kinds, SB_COUNT(kinds));
}

/** A family is an int for the kernel and a long for a filter. */
static enum sb_verdict family_high_bits(struct sb_run *run)
{
    struct sb_found found = {0};
    static const unsigned long families[] = {AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK};
    static const char *const names[] = {"netlink", "packet", "alg", "vsock"};
    for (size_t i = 0; i < SB_COUNT(families); i++) {
        long fd = syscall(SYS_socket, 0x100000000UL | families[i], SOCK_RAW, NETLINK_GENERIC);
        if (fd >= 0) {
            close((int)fd);
            sb_probe_found(&found, "%s", names[i]);
        }
    }
    return sb_probe_by_found(run, &found, "sockets made", "no socket was made");
}

static enum sb_verdict raw_internet(struct sb_run *run)
{
    static const struct kind kinds[] = {
        {"icmp", AF_INET, SOCK_RAW, IPPROTO_ICMP},
        {"icmpv6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
        {"raw", AF_INET, SOCK_RAW, IPPROTO_RAW},
        {"raw6", AF_INET6, SOCK_RAW, IPPROTO_RAW},
    };
    return none_made(run, kinds, SB_COUNT(kinds));
}

/** Type 15 again: EINVAL is the kernel's answer. */
static enum sb_verdict pair_families(struct sb_run *run)
{
    struct sb_found found = {0};
    static const int families[] = {AF_TIPC, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG};
    for (size_t i = 0; i < SB_COUNT(families); i++) {
        int ends[2];
        if (socketpair(families[i], 15, 0, ends) == 0 || errno == EINVAL) {
            sb_probe_found(&found, "%d", families[i]);
        }
    }
    return sb_probe_by_found(run, &found, "families that reach the kernel",
                             "only unix socket pairs");
}

/** What a kernel loads modules for, or has. */
static enum sb_verdict internet_protocols(struct sb_run *run)
{
    struct sb_found found = {0};
    static const struct kind kinds[] = {
        {"sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
        {"sctp6", AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP},
        {"dccp", AF_INET, SOCK_DCCP, 0},
        {"dccp6", AF_INET6, SOCK_DCCP, IPPROTO_DCCP},
        {"mptcp", AF_INET, SOCK_STREAM, 262},
        {"l2tp", AF_INET, SOCK_DGRAM, 115},
        {"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
    };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
        if (fd >= 0) {
            close(fd);
            sb_probe_found(&found, "%s", kinds[i].name);
        }
    }
    return sb_probe_by_found(run, &found, "sockets made", "only TCP, UDP and UDP-Lite");
}

static const struct sb_probe probes[] = {
    {"family-alg", "none", "AF_ALG is refused", family_alg},
    {"family-packet", "none", "AF_PACKET is refused", family_packet},
    {"family-vsock", "none", "AF_VSOCK is refused", family_vsock},
    {"family-netlink", "none", "netlink but route is refused", family_netlink},
    {"family-rare", "none", "rare socket families are refused", family_rare},
    {"family-high-bits", "none", "a family with high bits set is refused", family_high_bits},
    {"raw-internet", "none", "raw IPv4 and IPv6 sockets are refused", raw_internet},
    {"pair-families", "none", "socketpair is for unix sockets only", pair_families},
    {"internet-protocols", "none", "rare protocols of the internet are refused",
     internet_protocols},
};
const struct sb_probe_class sb_probes_sockets = {"sockets", probes, SB_COUNT(probes)};
