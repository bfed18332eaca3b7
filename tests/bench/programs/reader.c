/* Reads many WebSocket connections in one thread, counts stamped events, and measures their latency.
 *
 *   reader PORT FILE OPENING SAMPLED STALLED [COUNTED]
 *
 * FILE has for each connection three records, each a 32-bit big-endian size and that many bytes: the HTTP upgrade, the
 * frames to send after it is accepted, and at most 26 bytes that make the connection ready when they are received.
 * OPENING: how many connections may be not ready at a time. SAMPLED: on how many the latency is measured, spread evenly.
 * STALLED: how many of the last ones read nothing any more once they are ready.
 * COUNTED: a text of at most 26 bytes that is an event each time; without it each stamp is one.
 *
 * A stamp is `@mono:`, a letter, and 19 digits: CLOCK_MONOTONIC in ns. The letters t and a have a histogram each.
 * Each line on stdin is a command: `reset` sets all counts to zero, `print` writes them as JSON, `alarms` writes how many
 * alarms were so late. It exits at the end of stdin. `reader percentiles` prints those of the numbers on stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "connection.h"

#define BUFFER_BYTES (256 * 1024)

static struct connection *connections;
static int count, started, pending, ready, closed, opening, poller, port;
static uint64_t bytes, began, all_ready;
static char room[CARRY_BYTES + BUFFER_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void close_connection(struct connection *c)
{
    close(c->socket);
    c->state = CLOSED;
    closed++;
    pending -= !c->ready;
}

static void open_one(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    int one = 1, small = 4096;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((c->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0)
        fail("socket");
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->stalled)
        setsockopt(c->socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->socket, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect");
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->socket, &event) < 0)
        fail("epoll_ctl");
    c->state = CONNECTING;
    pending++;
}

static void open_more(void)
{
    while (started < count && pending < opening)
        open_one(&connections[started++]);
}

static void mark_ready(struct connection *c)
{
    c->ready = 1;
    pending--;
    if (++ready == count)
        all_ready = now_ns();
    if (c->stalled)
        epoll_ctl(poller, EPOLL_CTL_DEL, c->socket, NULL);
}

static void read_some(struct connection *c)
{
    char *at = room + CARRY_BYTES;
    ssize_t got = recv(c->socket, at, BUFFER_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close_connection(c);
        return;
    }
    bytes += (uint64_t)got;
    char *end = at + got;
    if (c->state == UPGRADING)
        at = take_upgrade(c, at, end);
    if (c->state == OPEN)
        take_frames(c, at, end, now_ns());
}

static void handle(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->state == CONNECTING) {
        c->state = UPGRADING;
        epoll_ctl(poller, EPOLL_CTL_MOD, c->socket, &event);
        send_all(c, c->upgrade, c->upgrade_bytes);
    } else if (c->state != CLOSED) {
        read_some(c);
    }
}

static void print_counts(void)
{
    uint64_t fewest = UINT64_MAX, most = 0;
    for (int number = 0; number < count; number++) {
        if (connections[number].stalled)
            continue;
        fewest = connections[number].events < fewest ? connections[number].events : fewest;
        most = connections[number].events > most ? connections[number].events : most;
    }
    printf("{\"ready\":%d,\"closed\":%d,\"ready_seconds\":%.4f,\"events\":%llu,\"frames\":%llu,\"bytes\":%llu,"
           "\"fewest\":%llu,\"most\":%llu,\"telemetry\":",
           ready, closed, all_ready ? (double)(all_ready - began) / 1e9 : -1.0, (unsigned long long)counts.events,
           (unsigned long long)counts.frames, (unsigned long long)bytes, (unsigned long long)fewest,
           (unsigned long long)most);
    latencies_print(&counts.telemetry);
    printf(",\"alarms\":");
    latencies_print(&counts.alarms);
    printf("}\n");
    fflush(stdout);
}

static void print_alarms(void)
{
    latencies_print_steps(&counts.alarms);
    printf("\n");
    fflush(stdout);
}

static void reset_counts(void)
{
    memset(&counts, 0, sizeof counts);
    bytes = 0;
    for (int number = 0; number < count; number++)
        connections[number].events = 0;
}

/* Do the commands on stdin; return 0 at its end. */
static int obey(void)
{
    char text[4096];
    ssize_t got = read(STDIN_FILENO, text, sizeof text);
    for (char *line = text; line < text + got; line++) {
        if (*line == 'r')
            reset_counts();
        if (*line == 'p')
            print_counts();
        if (*line == 'a')
            print_alarms();
        while (line < text + got && *line != '\n')
            line++;
    }
    return got > 0;
}

static char *take_record(char *at, char *end, const char **record, uint32_t *size)
{
    uint32_t encoded;
    if (end - at < 4)
        return NULL;
    memcpy(&encoded, at, 4);
    *size = ntohl(encoded);
    *record = at + 4;
    return end - at - 4 < *size ? NULL : at + 4 + *size;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    char *text = malloc(size), *end = text + size;
    rewind(file);
    if (fread(text, 1, size, file) != size)
        fail(path);
    fclose(file);
    for (char *at = text; at < end; count++) {
        connections = realloc(connections, ((size_t)count + 1) * sizeof *connections);
        struct connection *c = &connections[count];
        memset(c, 0, sizeof *c);
        if ((at = take_record(at, end, &c->upgrade, &c->upgrade_bytes)) == NULL ||
            (at = take_record(at, end, &c->frames, &c->frames_bytes)) == NULL ||
            (at = take_record(at, end, &c->awaited, &c->awaited_bytes)) == NULL || c->awaited_bytes > STAMPED_BYTES) {
            fprintf(stderr, "%s: incomplete record, or awaited bytes too long\n", path);
            exit(2);
        }
    }
}

static void select_connections(int sampled, int stalled)
{
    int reading = count - stalled;
    for (int number = reading; number < count; number++)
        connections[number].stalled = 1;
    if (sampled > reading)
        sampled = reading;
    for (int number = 0; number < sampled; number++)
        connections[sampled > 1 ? (long)number * (reading - 1) / (sampled - 1) : reading / 2].sampled = 1;
}

static int print_percentiles(void)
{
    unsigned long long ns;
    while (scanf("%llu", &ns) == 1)
        latencies_add(&counts.telemetry, ns);
    latencies_print(&counts.telemetry);
    return 0;
}

int main(int arguments, char **argument)
{
    struct epoll_event found[1024], input = {.events = EPOLLIN};
    struct rlimit files;
    if (arguments == 2 && strcmp(argument[1], "percentiles") == 0)
        return print_percentiles();
    if (arguments < 6 || arguments > 7 || (arguments == 7 && strlen(argument[6]) > STAMPED_BYTES)) {
        fprintf(stderr, "usage: reader PORT FILE OPENING SAMPLED STALLED [COUNTED]\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(argument[1]);
    load(argument[2]);
    opening = atoi(argument[3]);
    counted = arguments == 7 ? argument[6] : NULL;
    select_connections(atoi(argument[4]), atoi(argument[5]));
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    began = now_ns();
    for (;;) {
        open_more();
        int number = epoll_wait(poller, found, 1024, -1);
        for (int at = 0; at < number; at++) {
            if (found[at].data.ptr != NULL)
                handle(found[at].data.ptr);
            else if (!obey())
                return 0;
        }
    }
}
