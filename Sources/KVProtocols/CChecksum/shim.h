// The processor's own instruction for CRC-32C, where it has one; Swift has no name for it.
#ifndef KV_CHECKSUM_H
#define KV_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Bytes of each of the three runs that kv_crc32c works on side by side.
enum { KV_CRC32C_LANE = 1024 };

#if defined(__x86_64__)
#include <cpuid.h>

/// Whether this processor has the instruction (SSE 4.2).
static inline int kv_crc32c_exists(void) {
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0;
}

static inline uint64_t kv_crc32c_load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/// The state after `lane` more bytes of zeros: four look-ups in the tables `shift` for KV_CRC32C_LANE zeros.
static inline uint32_t kv_crc32c_shift(const uint32_t *shift, uint32_t state) {
    return shift[state & 0xFF] ^ shift[256 + (state >> 8 & 0xFF)] ^ shift[512 + (state >> 16 & 0xFF)]
        ^ shift[768 + (state >> 24)];
}

/// The running state, not inverted, after `count` more bytes. Only where kv_crc32c_exists says so.
///
/// The instruction takes three cycles but one can begin in each, so long input is cut into three lanes that don't wait for
/// each other; the checksum is linear, so a lane's state moves past the bytes behind it by `shift`.
__attribute__((target("sse4.2")))
static inline uint32_t kv_crc32c(uint32_t start, const uint8_t *bytes, size_t count, const uint32_t *shift) {
    uint64_t state = start;
    while (count >= 3 * KV_CRC32C_LANE) {
        uint64_t second = 0, third = 0;
        for (size_t offset = 0; offset < KV_CRC32C_LANE; offset += 8) {
            state = __builtin_ia32_crc32di(state, kv_crc32c_load(bytes + offset));
            second = __builtin_ia32_crc32di(second, kv_crc32c_load(bytes + KV_CRC32C_LANE + offset));
            third = __builtin_ia32_crc32di(third, kv_crc32c_load(bytes + 2 * KV_CRC32C_LANE + offset));
        }
        state = kv_crc32c_shift(shift, (uint32_t)state) ^ second;
        state = kv_crc32c_shift(shift, (uint32_t)state) ^ third;
        bytes += 3 * KV_CRC32C_LANE;
        count -= 3 * KV_CRC32C_LANE;
    }
    for (; count >= 8; count -= 8, bytes += 8) state = __builtin_ia32_crc32di(state, kv_crc32c_load(bytes));
    uint32_t rest = (uint32_t)state;
    for (; count > 0; count--, bytes++) rest = __builtin_ia32_crc32qi(rest, *bytes);
    return rest;
}
#endif

#endif
