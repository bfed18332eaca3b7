/* Publishes messages over MQTT 3.1.1, QoS 1, each once, at a steady rate and with a window.
 *
 *   publish PORT FILE RATE WINDOW START-NS
 *
 * FILE has for each message two records, each a 32-bit big-endian size and that many bytes: the topic and the payload.
 * The first is due at START-NS of CLOCK_MONOTONIC, and RATE are due a second; at most WINDOW are not acknowledged.
 * When the broker has acknowledged all, it prints how many there were, after how many seconds that was, by how much the
 * latest one was late, and the processor time it took, as JSON.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "publisher.h"

#define SECOND 1000000000u
#define STEP (SECOND / 1000) /* what is due within it goes out together */
#define BATCH 64
#define MAX_PACKET 65536
#define PUBACK_BYTES 4

static unsigned char *records;
static size_t records_size, at;

static void refuse(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(2);
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail(path);
    records_size = (size_t)ftell(file);
    rewind(file);
    records = malloc(records_size);
    if (fread(records, 1, records_size, file) != records_size)
        refuse("incomplete file");
    fclose(file);
}

/* Return the next record, and its size. */
static const unsigned char *next_record(size_t *size)
{
    uint32_t bytes;
    memcpy(&bytes, records + at, sizeof bytes);
    *size = ntohl(bytes);
    at += sizeof bytes + *size;
    if (at > records_size)
        refuse("incomplete record");
    return records + at - *size;
}

/* Write the packet of the next message; return its size. */
static size_t write_publish(unsigned char *packet, uint16_t packet_id)
{
    size_t topic_bytes, payload_bytes;
    const unsigned char *topic = next_record(&topic_bytes), *payload = next_record(&payload_bytes);
    size_t rest = 2 + topic_bytes + 2 + payload_bytes;
    unsigned char *end = packet;
    if (rest > MAX_PACKET - 5)
        refuse("a message is too large");
    *end++ = 0x32;
    do { /* MQTT 3.1.1 2.2.3: seven bits a byte */
        *end++ = (unsigned char)(rest % 128 | (rest >= 128 ? 0x80 : 0));
        rest /= 128;
    } while (rest > 0);
    *end++ = (unsigned char)(topic_bytes >> 8);
    *end++ = (unsigned char)topic_bytes;
    end = mempcpy(end, topic, topic_bytes);
    *end++ = (unsigned char)(packet_id >> 8);
    *end++ = (unsigned char)packet_id;
    end = mempcpy(end, payload, payload_bytes);
    return (size_t)(end - packet);
}

/* Return how many PUBACKs have arrived, after waiting for one for so many ms at most. */
static uint64_t receive_pubacks(int timeout_ms)
{
    static unsigned char answers[PUBACK_BYTES * 4096];
    static size_t kept; /* of an incomplete PUBACK */
    struct pollfd ready = {.fd = broker, .events = POLLIN};
    if (poll(&ready, 1, timeout_ms) <= 0)
        return 0;
    ssize_t received = recv(broker, answers + kept, sizeof answers - kept, 0);
    if (received <= 0)
        refuse("the broker closed the connection");
    size_t size = kept + (size_t)received;
    for (size_t start = 0; start < size; start += PUBACK_BYTES)
        if (answers[start] != 0x40)
            refuse("the broker sent something else than a PUBACK");
    kept = size % PUBACK_BYTES;
    memmove(answers, answers + size - kept, kept);
    return size / PUBACK_BYTES;
}

int main(int arguments, char **argument)
{
    static unsigned char packets[BATCH * MAX_PACKET];
    if (arguments != 6)
        refuse("usage: publish PORT FILE RATE WINDOW START-NS");
    load(argument[2]);
    char client_id[32];
    snprintf(client_id, sizeof client_id, "publish-%d", (int)getpid());
    connect_to(atoi(argument[1]), client_id);
    uint64_t rate = strtoull(argument[3], NULL, 10), window = strtoull(argument[4], NULL, 10);
    uint64_t start = strtoull(argument[5], NULL, 10), before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t sent = 0, acknowledged = 0, latest = 0;
    if (rate == 0 || window == 0 || window > 65535)
        refuse("the rate is positive, and the window 1 to 65535");
    wait_until(start);
    while (at < records_size || acknowledged < sent) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC), due = (now - start) / STEP * STEP * rate / SECOND + 1;
        size_t size = 0;
        uint64_t first = sent;
        while (at < records_size && sent < due && sent - acknowledged < window && sent - first < BATCH)
            size += write_publish(packets + size, (uint16_t)(sent++ % 65535 + 1));
        if (size > 0) {
            uint64_t late = now - start - first * SECOND / rate;
            latest = late > latest ? late : latest;
            send_all(packets, size);
        }
        int is_ahead = at < records_size && sent >= due;
        if (is_ahead && acknowledged == sent)
            wait_until(start + (now - start) / STEP * STEP + STEP);
        else
            acknowledged += receive_pubacks(sent == first || is_ahead ? 1 : 0);
    }
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"late_ms\":%.3f,\"cpu_seconds\":%.6f}\n", (unsigned long long)sent,
           (double)(clock_ns(CLOCK_MONOTONIC) - start) / SECOND, (double)latest / 1e6,
           (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before) / SECOND);
    return 0;
}
