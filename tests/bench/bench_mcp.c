/* A client of MCP that only measures: calls of one tool over HTTP or over the pipes of a program, a
 * fixed number of them under way, and one line of JSON at the end. No library of ours is in it, so
 * that servers of others are measured alike. Only loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_UNDER_WAY = 256, REQUEST_SIZE = 4096, RING = 4096, STEPS = 128 };

static struct {
    unsigned port;       /* 0: over pipes */
    const char *command; /* of the program, run by sh */
    bool is_legacy;
    unsigned under_way;
    double warm_s;
    double seconds;
    long pid; /* of the server */
} options = {.under_way = 1, .warm_s = 1, .seconds = 3};

static char session[256];
static uint64_t next_id = 1;
static uint64_t errors;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_mcp: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* ---- latencies: 128 steps for each power of two ---- */

static struct {
    uint64_t counts[64][STEPS];
    uint64_t n;
} seen;

static void note(uint64_t ns)
{
    unsigned power = 63U - (unsigned)__builtin_clzll(ns | 1U);
    seen.counts[power][power >= 7 ? (ns >> (power - 7)) & 127U : ns & 127U]++;
    seen.n++;
}

static double quantile_us(double part)
{
    uint64_t passed = 0;
    for (unsigned power = 0; power < 64; power++) {
        for (unsigned step = 0; step < STEPS; step++) {
            passed += seen.counts[power][step];
            if (passed > (uint64_t)(part * (double)seen.n)) {
                uint64_t ns = power >= 7 ? (128ULL + step) << (power - 7) : step;
                return (double)ns / 1000;
            }
        }
    }
    return 0;
}

/* ---- messages ---- */

#define META                                                                                       \
    ",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                      \
    "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"bench\",\"version\":\"1\"},"               \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"

static const char initialize[] =
    "{\"jsonrpc\":\"2.0\",\"id\":\"init\",\"method\":\"initialize\",\"params\":{"
    "\"protocolVersion\":"
    "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}";
static const char initialized[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

static size_t put_call(char *out, size_t cap)
{
    return (size_t)snprintf(out, cap,
                            "{\"jsonrpc\":\"2.0\",\"id\":%ju,\"method\":\"tools/call\",\"params\":{"
                            "\"name\":\"echo\",\"arguments\":{\"text\":\"hello\"}%s}}",
                            (uintmax_t)next_id++, options.is_legacy ? "" : META);
}

static void check(const char *body, size_t len)
{
    if (memmem(body, len, "\"result\":", 9) == NULL || memmem(body, len, "\"hello\"", 7) == NULL) {
        if (errors++ < 3) {
            (void)fprintf(stderr, "bench_mcp: bad answer: %.*s\n", (int)(len < 400 ? len : 400),
                          body);
        }
    }
}

/* ---- HTTP ---- */

struct connection {
    int fd;
    char in[65536];
    size_t len;
    uint64_t since_ns;
};

static int dial(void)
{
    int one = 1;
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)options.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        die("connect");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            die("write");
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void post(struct connection *c, const char *body, size_t len)
{
    char out[2 * REQUEST_SIZE];
    int n = snprintf(
        out, sizeof out,
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\n%s%s%s%sContent-Length: %zu\r\n\r\n%.*s",
        options.port,
        options.is_legacy ? "MCP-Protocol-Version: 2025-11-25\r\n"
                          : "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: "
                            "tools/call\r\nMcp-Name: echo\r\n",
        session[0] == '\0' ? "" : "Mcp-Session-Id: ", session, session[0] == '\0' ? "" : "\r\n",
        len, (int)len, body);
    c->since_ns = now_ns();
    write_all(c->fd, out, (size_t)n);
}

static const char *header(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at == NULL ? NULL : at + strlen(name);
}

/* Bytes of the whole answer when it is there, else 0. */
static size_t whole(struct connection *c, size_t *ret_body)
{
    c->in[c->len] = '\0';
    const char *end = strstr(c->in, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - c->in) + 4;
    *ret_body = head;
    const char *length = header(c->in, "\r\ncontent-length:");
    if (length != NULL && length < end) {
        size_t total = head + strtoul(length, NULL, 10);
        return c->len >= total ? total : 0;
    }
    if (strtol(c->in + 9, NULL, 10) == 202) {
        return head;
    }
    const char *last = strstr(end + 2, "\r\n0\r\n\r\n"); /* chunks */
    return last == NULL ? 0 : (size_t)(last - c->in) + 7;
}

static bool take(struct connection *c)
{
    ssize_t n = read(c->fd, c->in + c->len, sizeof c->in - 1 - c->len);
    if (n <= 0) {
        die("the server closed the connection");
    }
    c->len += (size_t)n;
    size_t body = 0;
    size_t total = whole(c, &body);
    if (total == 0) {
        return false;
    }
    const char *id = header(c->in, "\r\nmcp-session-id: ");
    if (id != NULL && session[0] == '\0') {
        (void)sscanf(id, "%255[^\r\n]", session);
    }
    return true;
}

static void shake_hands_http(void)
{
    static const char *const messages[] = {initialize, initialized};
    static struct connection c;
    c.fd = dial();
    for (size_t i = 0; i < 2; i++) {
        c.len = 0;
        post(&c, messages[i], strlen(messages[i]));
        while (!take(&c)) {
        }
    }
    close(c.fd);
}

static void call_http(struct connection *c)
{
    char body[REQUEST_SIZE];
    c->len = 0;
    post(c, body, put_call(body, sizeof body));
}

static void run_http(double seconds, struct connection *connections)
{
    struct epoll_event events[MAX_UNDER_WAY];
    int loop = epoll_create1(EPOLL_CLOEXEC);
    unsigned waiting = options.under_way;
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < options.under_way; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        (void)epoll_ctl(loop, EPOLL_CTL_ADD, connections[i].fd, &event);
        call_http(&connections[i]);
    }
    while (waiting > 0) {
        int n = epoll_wait(loop, events, MAX_UNDER_WAY, 10000);
        if (n <= 0) {
            die("ten seconds without an answer");
        }
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!take(c)) {
                continue;
            }
            note(now_ns() - c->since_ns);
            check(c->in, c->len);
            if (now_ns() < end_ns) {
                call_http(c);
            } else {
                waiting--;
            }
        }
    }
    close(loop);
}

/* ---- pipes ---- */

static int to_server = -1;
static int from_server = -1;

static void start_server(void)
{
    int in[2];
    int out[2];
    if (pipe(in) < 0 || pipe(out) < 0) {
        die("pipe");
    }
    options.pid = fork();
    if (options.pid == 0) {
        char command[4096];
        (void)snprintf(command, sizeof command, "exec %s", options.command);
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_server = in[1];
    from_server = out[0];
}

/* The next line, valid until the next call. */
static const char *next_line(size_t *ret_len)
{
    static char held[1 << 20];
    static size_t start;
    static size_t len;
    for (;;) {
        const char *end = memchr(held + start, '\n', len - start);
        if (end != NULL) {
            const char *line = held + start;
            *ret_len = (size_t)(end - line);
            start += *ret_len + 1;
            return line;
        }
        memmove(held, held + start, len - start);
        len -= start;
        start = 0;
        ssize_t n = read(from_server, held + len, sizeof held - len);
        if (n <= 0) {
            die("the server ended");
        }
        len += (size_t)n;
    }
}

static void send_line(const char *text, size_t len)
{
    write_all(to_server, text, len);
    write_all(to_server, "\n", 1);
}

static void shake_hands_stdio(void)
{
    size_t len = 0;
    send_line(initialize, sizeof initialize - 1);
    (void)next_line(&len);
    send_line(initialized, sizeof initialized - 1);
}

static void run_stdio(double seconds)
{
    static uint64_t since_ns[RING];
    unsigned waiting = 0;
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);
    bool goes_on = true;
    while (goes_on || waiting > 0) {
        while (goes_on && waiting < options.under_way) {
            char body[REQUEST_SIZE];
            since_ns[next_id % RING] = now_ns();
            size_t len = put_call(body, sizeof body - 1);
            body[len] = '\n';
            write_all(to_server, body, len + 1);
            waiting++;
        }
        size_t len = 0;
        const char *line = next_line(&len);
        const char *id = memmem(line, len, "\"id\":", 5);
        if (id == NULL) {
            continue;
        }
        note(now_ns() - since_ns[strtoul(id + 5, NULL, 10) % RING]);
        check(line, len);
        waiting--;
        goes_on = now_ns() < end_ns;
    }
}

/* ---- the server, and the whole ---- */

static long rss_kib(void)
{
    char path[64];
    char line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%ld/status", options.pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

static void run(double seconds, struct connection *connections)
{
    if (options.port != 0) {
        run_http(seconds, connections);
    } else {
        run_stdio(seconds);
    }
}

static void measure(void)
{
    struct connection *connections = calloc(options.under_way, sizeof *connections);
    if (connections == NULL) {
        die("connections");
    }
    if (options.port == 0) {
        start_server();
    }
    if (options.is_legacy && options.port != 0) {
        shake_hands_http();
    } else if (options.is_legacy) {
        shake_hands_stdio();
    }
    for (unsigned i = 0; options.port != 0 && i < options.under_way; i++) {
        connections[i].fd = dial();
    }
    run(options.warm_s, connections);
    memset(&seen, 0, sizeof seen);
    uint64_t start_ns = now_ns();
    run(options.seconds, connections);
    double took_s = (double)(now_ns() - start_ns) / 1e9;
    (void)printf("{\"rps\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"errors\":%ju,\"rss_kib\":%ld}\n",
                 (double)seen.n / took_s, quantile_us(0.5), quantile_us(0.99), (uintmax_t)errors,
                 rss_kib());
    free(connections);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--port") == 0) {
            options.port = (unsigned)strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--command") == 0) {
            options.command = value;
        } else if (strcmp(argv[i], "--era") == 0) {
            options.is_legacy = strcmp(value, "legacy") == 0;
        } else if (strcmp(argv[i], "--under-way") == 0) {
            options.under_way = (unsigned)strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--warm") == 0) {
            options.warm_s = strtod(value, NULL);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            options.seconds = strtod(value, NULL);
        } else if (strcmp(argv[i], "--pid") == 0) {
            options.pid = strtol(value, NULL, 10);
        } else {
            (void)fprintf(stderr, "bench_mcp: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if ((options.port == 0) == (options.command == NULL) || options.under_way == 0 ||
        options.under_way > MAX_UNDER_WAY) {
        (void)fputs("bench_mcp: --port or --command; --under-way 1..256\n", stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    measure();
    if (options.command != NULL) {
        close(to_server);
        (void)waitpid((pid_t)options.pid, NULL, 0);
    }
    return errors == 0 ? 0 : 1;
}
