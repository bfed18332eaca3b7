/* One WebSocket connection of the reader: its frames (RFC 6455 5.2) in pieces of any size, and the stamps in them. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "latencies.h"

#define STAMP "@mono:"
#define STAMP_BYTES 6
#define STAMPED_BYTES (STAMP_BYTES + 1 + 19)
#define CARRY_BYTES 64 /* more than any pattern that is looked for */

enum state { CONNECTING, UPGRADING, OPEN, CLOSED };

struct connection {
    int socket;
    enum state state;
    char ready, sampled, stalled, kept_bytes, opcode, head_bytes, control_bytes;
    unsigned char head[14], control[125];
    char kept[CARRY_BYTES]; /* the end of the text that was read before */
    uint64_t left;          /* bytes of the current frame */
    uint64_t events;
    const char *upgrade, *frames, *awaited;
    uint32_t upgrade_bytes, frames_bytes, awaited_bytes;
};

/* What is counted over all connections. */
struct counts {
    uint64_t events, frames;
    struct latencies telemetry, alarms;
};

static struct counts counts;

/* Each is an event, where it is given; else each stamp is one. At most STAMPED_BYTES. */
static const char *counted;

static void mark_ready(struct connection *c);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_all(struct connection *c, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(c->socket, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return; /* the next read tells that it is closed */
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
    }
}

static void count_event(struct connection *c)
{
    c->events++;
    counts.events++;
}

static void take_stamp(struct connection *c, const char *stamp, uint64_t now)
{
    uint64_t sent = 0;
    if (counted == NULL)
        count_event(c);
    if (!c->sampled)
        return;
    for (const char *digit = stamp + STAMP_BYTES + 1; digit < stamp + STAMPED_BYTES; digit++)
        sent = sent * 10 + (uint64_t)(*digit - '0');
    latencies_add(stamp[STAMP_BYTES] == 'a' ? &counts.alarms : &counts.telemetry, now > sent ? now - sent : 0);
}

/* Count the patterns that end after the `kept` bytes, which were looked through before. */
static void count_patterns(struct connection *c, char *from, size_t kept, char *end)
{
    size_t size = strlen(counted);
    char *at = kept < size ? from : from + kept - (size - 1);
    while ((at = memmem(at, (size_t)(end - at), counted, size)) != NULL) {
        count_event(c);
        at += size;
    }
}

/* Look through a piece of the frames' contents; the bytes before it may be overwritten. */
static void take_text(struct connection *c, char *text, size_t size, uint64_t now)
{
    char *from = text - c->kept_bytes, *end = text + size, *stamp;
    size_t keep;
    memcpy(from, c->kept, (size_t)c->kept_bytes);
    if (!c->ready && memmem(from, (size_t)(end - from), c->awaited, c->awaited_bytes) != NULL)
        mark_ready(c);
    for (char *at = from; (stamp = memmem(at, (size_t)(end - at), STAMP, STAMP_BYTES)) != NULL;) {
        if (end - stamp < STAMPED_BYTES)
            break;
        take_stamp(c, stamp, now);
        at = stamp + STAMPED_BYTES;
    }
    if (counted != NULL)
        count_patterns(c, from, (size_t)c->kept_bytes, end);
    keep = (size_t)(end - from) < STAMPED_BYTES - 1 ? (size_t)(end - from) : STAMPED_BYTES - 1;
    memcpy(c->kept, end - keep, keep);
    c->kept_bytes = (char)keep;
}

/* RFC 6455 5.5.3: a pong has the content of the ping. The mask of zeros leaves it as it is. */
static void end_frame(struct connection *c)
{
    char pong[6 + 125] = {(char)0x8a, (char)(0x80 | c->control_bytes)};
    if (c->opcode == 9) {
        memcpy(pong + 6, c->control, (size_t)c->control_bytes);
        send_all(c, pong, 6 + (size_t)c->control_bytes);
    }
    counts.frames += c->opcode < 8;
    c->control_bytes = 0;
    c->head_bytes = 0;
}

static size_t head_size(const struct connection *c)
{
    if (c->head_bytes < 2)
        return 2;
    return (c->head[1] & 0x7f) == 126 ? 4 : (c->head[1] & 0x7f) == 127 ? 10 : 2;
}

static void take_head(struct connection *c)
{
    size_t size = head_size(c);
    c->opcode = c->head[0] & 0x0f;
    c->left = c->head[1] & 0x7f;
    if (size > 2)
        c->left = 0;
    for (size_t at = 2; at < size; at++)
        c->left = c->left << 8 | c->head[at];
}

static void take_frames(struct connection *c, char *at, char *end, uint64_t now)
{
    while (at < end) {
        if ((size_t)c->head_bytes < head_size(c)) {
            c->head[(int)c->head_bytes++] = (unsigned char)*at++;
            if (c->head_bytes < 2 || (size_t)c->head_bytes < head_size(c))
                continue;
            take_head(c);
        }
        size_t size = c->left < (uint64_t)(end - at) ? (size_t)c->left : (size_t)(end - at);
        if (c->opcode < 8) {
            take_text(c, at, size, now);
        } else if (c->opcode == 9 && (size_t)c->control_bytes + size <= sizeof c->control) {
            memcpy(c->control + c->control_bytes, at, size);
            c->control_bytes = (char)(c->control_bytes + (char)size);
        }
        at += size;
        c->left -= size;
        if (c->left == 0)
            end_frame(c);
    }
}

/* The answer to the upgrade; `kept` counts how much of its end was seen. */
static char *take_upgrade(struct connection *c, char *at, char *end)
{
    static const char blank[] = "\r\n\r\n";
    while (at < end && c->kept_bytes < 4) {
        c->kept_bytes = *at == blank[(int)c->kept_bytes] ? (char)(c->kept_bytes + 1) : (char)(*at == '\r');
        at++;
    }
    if (c->kept_bytes == 4) {
        c->kept_bytes = 0;
        c->state = OPEN;
        send_all(c, c->frames, c->frames_bytes);
        if (c->awaited_bytes == 0)
            mark_ready(c);
    }
    return at;
}

#endif
