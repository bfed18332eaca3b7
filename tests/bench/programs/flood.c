/* Publishes stamped events over MQTT 3.1.1, QoS 0, at a steady rate.
 *
 *   flood PORT FILE RATE BATCH-MS START-NS SECONDS
 *
 * FILE has for each event two records, each a 32-bit big-endian size and that many bytes: the topic and the payload,
 * with a stamp as reader.c describes it. They are sent over and over, those of BATCH-MS together, the first at START-NS
 * of CLOCK_MONOTONIC. The stamp is the time at which the event is due. At the end it prints how late the
 * latest batch was and the processor time it took, as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STAMP "@mono:"
#define STAMP_DIGITS 19

struct publish {
    char *packet, *digits;
    size_t size;
};

static struct publish *publishes;
static size_t count;
static int broker;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(broker, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            fail("send");
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
    }
}

static void connect_to(int port)
{
    /* CONNECT: clean session, keep alive 0, client id `flood` */
    static const char hello[] = "\x10\x11\0\4MQTT\4\2\0\0\0\5flood";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char answer[4];
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    broker = socket(AF_INET, SOCK_STREAM, 0);
    if (broker < 0 || connect(broker, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    send_all(hello, sizeof hello - 1);
    if (recv(broker, answer, sizeof answer, MSG_WAITALL) != sizeof answer || answer[0] != 0x20 || answer[3] != 0) {
        fprintf(stderr, "the broker refused the connection\n");
        exit(1);
    }
}

/* Return the record at the file's place, or NULL at its end. */
static char *read_record(FILE *file, uint32_t *size)
{
    if (fread(size, sizeof *size, 1, file) != 1)
        return NULL;
    *size = ntohl(*size);
    char *record = malloc(*size);
    if (fread(record, 1, *size, file) != *size) {
        fprintf(stderr, "incomplete record\n");
        exit(2);
    }
    return record;
}

static void add(const char *topic, uint32_t topic_bytes, const char *payload, uint32_t payload_bytes)
{
    publishes = realloc(publishes, (count + 1) * sizeof *publishes);
    struct publish *one = &publishes[count++];
    size_t left = 2 + topic_bytes + payload_bytes;
    char *at = one->packet = malloc(left + 5);
    *at++ = 0x30;
    for (size_t rest = left; at == one->packet + 1 || rest > 0; rest /= 128) /* MQTT 2.2.3: seven bits a byte */
        *at++ = (char)(rest % 128 | (rest >= 128 ? 0x80 : 0));
    *at++ = (char)(topic_bytes >> 8);
    *at++ = (char)topic_bytes;
    memcpy(at, topic, topic_bytes);
    memcpy(at + topic_bytes, payload, payload_bytes);
    one->size = (size_t)(at - one->packet) + topic_bytes + payload_bytes;
    one->digits = memmem(at + topic_bytes, payload_bytes, STAMP, strlen(STAMP));
    if (one->digits == NULL) {
        fprintf(stderr, "a payload without a stamp\n");
        exit(2);
    }
    one->digits += strlen(STAMP) + 1;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t topic_bytes, payload_bytes;
    char *topic, *payload;
    if (file == NULL)
        fail(path);
    while ((topic = read_record(file, &topic_bytes)) != NULL && (payload = read_record(file, &payload_bytes)) != NULL)
        add(topic, topic_bytes, payload, payload_bytes);
    fclose(file);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_until(uint64_t due)
{
    struct timespec at = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

int main(int arguments, char **argument)
{
    if (arguments != 7) {
        fprintf(stderr, "usage: flood PORT FILE RATE BATCH-MS START-NS SECONDS\n");
        return 2;
    }
    load(argument[2]);
    connect_to(atoi(argument[1]));
    uint64_t rate = strtoull(argument[3], NULL, 10), step = strtoull(argument[4], NULL, 10) * 1000000u;
    uint64_t start = strtoull(argument[5], NULL, 10), duration = strtoull(argument[6], NULL, 10) * 1000000000u;
    uint64_t sent = 0, late = 0, before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    char digits[STAMP_DIGITS + 1];
    for (uint64_t due = 0; due < duration; due += step) {
        uint64_t until = rate * (due + step) / 1000000000u;
        wait_until(start + due);
        uint64_t behind = clock_ns(CLOCK_MONOTONIC) - start - due;
        late = behind > late ? behind : late;
        snprintf(digits, sizeof digits, "%019llu", (unsigned long long)(start + due));
        for (; sent < until; sent++) {
            struct publish *one = &publishes[sent % count];
            memcpy(one->digits, digits, STAMP_DIGITS);
            send_all(one->packet, one->size);
        }
    }
    printf("{\"events\":%llu,\"late_ms\":%.3f,\"cpu_seconds\":%.6f}\n", (unsigned long long)sent, (double)late / 1e6,
           (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before) / 1e9);
    return 0;
}
