/* Attacks a server: many connections in one thread, each with an opening and then the same bytes over and over.
 *
 *   attack PORT FILE SOURCES CONNECTIONS LEAVES READS OPENS BYTES PIECE
 *
 * FILE has pairs of records, each a 32-bit big-endian size and that many bytes: the opening of a connection, and what it
 * repeats then. Each connection that is opened takes the next pair. If an opening begins with `GET /ws`, the connection
 * waits for the end of the head of the answer before it repeats.
 * SOURCES: the addresses that they come from, 127.1.0.0 and those after it.
 * LEAVES: 1, each is cut off as soon as its opening is sent; 0, it stays until the server ends it. Either way it is opened
 * again at once.
 * READS: 1, the answers are read; 0, they are not, and the kernel has next to no room for them.
 * OPENS: connections opened a second at most. BYTES: repeated a second, by all together. 0: as many as it can.
 * PIECE: bytes that are sent at a time; 0: as many as the socket takes.
 *
 * A line on stdin is answered with its counts as JSON. It exits at the end of stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICKS 100 /* a second */
#define BUFFER_BYTES (256 * 1024)
#define FIRST_SOURCE 0x7f010000u
#define PACED_PIECE 16384

enum state { IDLE, CONNECTING, OPENING, WAITING, REPEATING };

struct pair {
    const char *opening, *repeated;
    uint32_t opening_bytes, repeated_bytes;
};

struct attacker {
    int socket;
    enum state state;
    const struct pair *pair;
    uint32_t at; /* of the record that is being sent */
    int matched; /* of the blank line after the head of the answer */
    uint32_t wanted;
};

static struct pair *pairs;
static int pair_count, next_pair;
static struct attacker *attackers, **idle; /* `idle`: a ring of those without a socket */
static int count, first_idle, idle_count, next_paced, poller, clock_ticks, port, sources, leaves, reads;
static double opens, bytes, may_open, may_send;
static size_t piece;
static uint64_t now_open, opened, closed, refused, sent, received, cycles;
static char room[BUFFER_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int is_upgrade(const struct pair *pair)
{
    return pair->opening_bytes > 7 && memcmp(pair->opening, "GET /ws", 7) == 0;
}

static void want(struct attacker *a, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLRDHUP, .data.ptr = a};
    if (a->wanted != event.events && epoll_ctl(poller, a->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, a->socket, &event) < 0)
        fail("epoll_ctl");
    a->wanted = event.events;
}

static void put_idle(struct attacker *a)
{
    a->state = IDLE;
    idle[(first_idle + idle_count++) % count] = a;
}

static void end(struct attacker *a, uint64_t *counter)
{
    close(a->socket);
    now_open--;
    ++*counter;
    put_idle(a);
}

/* Return whether it is being opened. */
static int open_one(struct attacker *a)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, small = 4096;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(FIRST_SOURCE + (uint32_t)((a - attackers) % sources));
    if ((a->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0)
        fail("socket");
    setsockopt(a->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(a->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (!reads)
        setsockopt(a->socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (bind(a->socket, (struct sockaddr *)&from, sizeof from) < 0)
        fail("bind");
    if (connect(a->socket, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        close(a->socket);
        refused++;
        put_idle(a);
        return 0;
    }
    a->pair = &pairs[next_pair++ % pair_count];
    a->state = CONNECTING;
    a->at = 0;
    a->matched = 0;
    a->wanted = 0;
    now_open++;
    want(a, EPOLLOUT);
    return 1;
}

static void open_more(void)
{
    for (int left = idle_count; left > 0 && (opens == 0 || may_open >= 1); left--) {
        struct attacker *a = idle[first_idle];
        first_idle = (first_idle + 1) % count;
        idle_count--;
        may_open--;
        if (!open_one(a))
            return;
    }
}

static void repeat(struct attacker *a)
{
    opened++;
    a->state = REPEATING;
    a->at = 0;
    want(a, (reads ? EPOLLIN : 0u) | (bytes == 0 && a->pair->repeated_bytes > 0 ? EPOLLOUT : 0u));
}

/* Send at most so many bytes of a record; return how many, -1 if it has ended. */
static ssize_t send_some(struct attacker *a, const char *record, size_t size)
{
    ssize_t done = send(a->socket, record + a->at, size, MSG_NOSIGNAL);
    if (done < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    a->at += (uint32_t)done;
    sent += (uint64_t)done;
    return done;
}

static void send_opening(struct attacker *a)
{
    struct linger cut = {.l_onoff = 1};
    if (a->at < a->pair->opening_bytes && send_some(a, a->pair->opening, a->pair->opening_bytes - a->at) < 0) {
        end(a, &refused);
    } else if (a->at == a->pair->opening_bytes && leaves) {
        setsockopt(a->socket, SOL_SOCKET, SO_LINGER, &cut, sizeof cut); /* a reset: no port is kept */
        opened++;
        end(a, &cycles);
    } else if (a->at == a->pair->opening_bytes && is_upgrade(a->pair)) {
        a->state = WAITING;
        want(a, EPOLLIN);
    } else if (a->at == a->pair->opening_bytes) {
        repeat(a);
    }
}

static ssize_t send_repeated(struct attacker *a, size_t most)
{
    size_t left = a->pair->repeated_bytes - a->at;
    ssize_t done = send_some(a, a->pair->repeated, most < left ? most : left);
    if (done < 0) {
        end(a, &closed);
    } else if (a->at == a->pair->repeated_bytes) {
        a->at = 0;
        cycles++;
    }
    return done;
}

static void await_head(struct attacker *a)
{
    static const char blank[] = "\r\n\r\n";
    ssize_t got = recv(a->socket, room, 256, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end(a, &refused);
        return;
    }
    received += (uint64_t)got;
    for (char *at = room; at < room + got && a->matched < 4; at++)
        a->matched = *at == blank[a->matched] ? a->matched + 1 : *at == '\r';
    if (a->matched == 4)
        repeat(a);
}

static void read_some(struct attacker *a)
{
    ssize_t got = recv(a->socket, room, sizeof room, 0);
    if (got > 0)
        received += (uint64_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        end(a, &closed);
}

static void handle(struct attacker *a, uint32_t events)
{
    if (a->state == IDLE)
        return;
    if (a->state == CONNECTING && events & EPOLLOUT)
        a->state = OPENING;
    if (a->state == WAITING && events & EPOLLIN)
        await_head(a);
    else if (a->state == REPEATING && events & EPOLLIN)
        read_some(a);
    else if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        end(a, a->state == REPEATING ? &closed : &refused);
    else if (a->state == OPENING)
        send_opening(a);
    if (a->state == REPEATING && events & EPOLLOUT && bytes == 0 && a->pair->repeated_bytes > 0)
        send_repeated(a, piece ? piece : a->pair->repeated_bytes);
}

/* What may be sent at a rate goes to one connection after the other. */
static void send_paced(void)
{
    size_t most = piece ? piece : PACED_PIECE;
    for (int useless = 0; useless < count && may_send >= 1;) {
        struct attacker *a = &attackers[next_paced++ % count];
        ssize_t done = a->state == REPEATING && a->pair->repeated_bytes > 0 ? send_repeated(a, most) : 0;
        may_send -= done > 0 ? (double)done : 0;
        useless = done > 0 ? 0 : useless + 1;
    }
}

static void tick(void)
{
    uint64_t times;
    if (read(clock_ticks, &times, sizeof times) != sizeof times)
        return;
    may_open += (double)times * opens / TICKS;
    may_send += (double)times * bytes / TICKS;
    may_open = may_open > opens ? opens : may_open;
    may_send = may_send > bytes ? bytes : may_send;
    if (bytes > 0)
        send_paced();
}

static void print_counts(void)
{
    printf("{\"open\":%llu,\"opened\":%llu,\"closed\":%llu,\"refused\":%llu,\"sent\":%llu,\"received\":%llu,"
           "\"cycles\":%llu}\n",
           (unsigned long long)now_open, (unsigned long long)opened, (unsigned long long)closed,
           (unsigned long long)refused, (unsigned long long)sent, (unsigned long long)received,
           (unsigned long long)cycles);
    fflush(stdout);
}

static char *take_record(char *at, const char *stop, const char **record, uint32_t *size)
{
    uint32_t encoded;
    if (stop - at < 4)
        fail("incomplete record");
    memcpy(&encoded, at, 4);
    *size = ntohl(encoded);
    *record = at + 4;
    if (stop - at - 4 < *size)
        fail("incomplete record");
    return at + 4 + *size;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    char *text = malloc(size), *stop = text + size;
    rewind(file);
    if (fread(text, 1, size, file) != size)
        fail(path);
    fclose(file);
    for (char *at = text; at < stop; pair_count++) {
        pairs = realloc(pairs, ((size_t)pair_count + 1) * sizeof *pairs);
        struct pair *pair = &pairs[pair_count];
        at = take_record(at, stop, &pair->opening, &pair->opening_bytes);
        at = take_record(at, stop, &pair->repeated, &pair->repeated_bytes);
    }
}

static void prepare(char **argument)
{
    struct rlimit files;
    struct itimerspec every = {.it_interval.tv_nsec = 1000000000 / TICKS, .it_value.tv_nsec = 1};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(argument[1]);
    load(argument[2]);
    sources = atoi(argument[3]);
    count = atoi(argument[4]);
    leaves = atoi(argument[5]);
    reads = atoi(argument[6]);
    opens = atof(argument[7]);
    bytes = atof(argument[8]);
    piece = (size_t)atoll(argument[9]);
    attackers = calloc((size_t)count, sizeof *attackers);
    idle = calloc((size_t)count, sizeof *idle);
    for (int number = 0; number < count; number++)
        put_idle(&attackers[number]);
    poller = epoll_create1(0);
    clock_ticks = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(clock_ticks, 0, &every, NULL);
}

int main(int arguments, char **argument)
{
    struct epoll_event found[1024], input = {.events = EPOLLIN, .data.ptr = &input},
                                    beat = {.events = EPOLLIN, .data.ptr = &clock_ticks};
    if (arguments != 10) {
        fprintf(stderr, "usage: attack PORT FILE SOURCES CONNECTIONS LEAVES READS OPENS BYTES PIECE\n");
        return 2;
    }
    prepare(argument);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    epoll_ctl(poller, EPOLL_CTL_ADD, clock_ticks, &beat);
    for (;;) {
        int number = epoll_wait(poller, found, 1024, -1);
        for (int at = 0; at < number; at++) {
            if (found[at].data.ptr == &clock_ticks)
                tick();
            else if (found[at].data.ptr != &input)
                handle(found[at].data.ptr, found[at].events);
            else if (read(STDIN_FILENO, room, sizeof room) > 0)
                print_counts();
            else
                return 0;
        }
        open_more();
    }
}
