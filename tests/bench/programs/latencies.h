/* Histogram of nanoseconds: 128 steps for each power of two, so a percentile is at most 1 % too high. */
#ifndef LATENCIES_H
#define LATENCIES_H

#include <stdint.h>
#include <stdio.h>

#define STEP_BITS 7
#define STEPS (1u << STEP_BITS)

struct latencies {
    uint64_t count, max, at[(64 - STEP_BITS + 1) * STEPS];
};

static inline unsigned latencies_index(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    return (shift + 1) * STEPS + (unsigned)((ns >> shift) - STEPS);
}

/* The largest value that is counted at this index. */
static inline uint64_t latencies_upper(unsigned index)
{
    if (index < STEPS)
        return index;
    unsigned shift = index / STEPS - 1;
    return (((uint64_t)(index % STEPS + STEPS) + 1) << shift) - 1;
}

static inline void latencies_add(struct latencies *all, uint64_t ns)
{
    all->count++;
    all->at[latencies_index(ns)]++;
    if (ns > all->max)
        all->max = ns;
}

static inline uint64_t latencies_percentile(const struct latencies *all, double percent)
{
    uint64_t wanted = (uint64_t)((double)all->count * percent / 100.0 + 0.999999), seen = 0;
    if (wanted == 0)
        wanted = 1;
    for (unsigned index = 0; index < sizeof all->at / sizeof *all->at; index++) {
        seen += all->at[index];
        if (seen >= wanted)
            return latencies_upper(index) < all->max ? latencies_upper(index) : all->max;
    }
    return all->max;
}

static inline void latencies_print(const struct latencies *all)
{
    printf("{\"count\":%llu,\"p50_ms\":%.4f,\"p90_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}",
           (unsigned long long)all->count, (double)latencies_percentile(all, 50) / 1e6,
           (double)latencies_percentile(all, 90) / 1e6, (double)latencies_percentile(all, 99) / 1e6,
           (double)all->max / 1e6);
}

/* The largest value and the number of each step that has any. */
static inline void latencies_print_steps(const struct latencies *all)
{
    const char *before = "";
    putchar('[');
    for (unsigned index = 0; index < sizeof all->at / sizeof *all->at; index++) {
        if (all->at[index] == 0)
            continue;
        printf("%s[%llu,%llu]", before, (unsigned long long)latencies_upper(index), (unsigned long long)all->at[index]);
        before = ",";
    }
    putchar(']');
}

#endif
