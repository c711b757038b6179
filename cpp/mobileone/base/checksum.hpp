// A checksum at memory speed: does a file hold what was written?
#pragma once

#include <cstddef>
#include <cstdint>

namespace mobileone {

// CRC-32C (Castagnoli's polynomial, as in RFC 3720): that of "123456789" is e3069283.
std::uint32_t crc32c(const void* data, std::size_t bytes);

// Of large data: the CRC-32C of the CRC-32Cs of its eight parts, little-endian. The first seven are
// of bytes / 64 * 8 bytes, the last has the rest. The eight are made at once, which hides the
// instruction's latency. Notices every change within 32 neighbouring bits, and of others all but
// one in 2^32.
std::uint32_t checksum(const void* data, std::size_t bytes);

}  // namespace mobileone
