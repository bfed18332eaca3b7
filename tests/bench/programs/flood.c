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
#include "publisher.h"

#define STAMP "@mono:"
#define STAMP_DIGITS 19

struct publish {
    char *packet, *digits;
    size_t size;
};

static struct publish *publishes;
static size_t count;

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

int main(int arguments, char **argument)
{
    if (arguments != 7) {
        fprintf(stderr, "usage: flood PORT FILE RATE BATCH-MS START-NS SECONDS\n");
        return 2;
    }
    load(argument[2]);
    connect_to(atoi(argument[1]), "flood");
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
