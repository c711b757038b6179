#include "mobileone/base/checksum.hpp"

#include <array>
#include <cstring>

namespace mobileone {

namespace {

// Eight runs of `bytes`, a multiple of 8, one after the other; state[i] belongs to run i.
constexpr std::size_t kRuns = 8;
using States = std::array<std::uint64_t, kRuns>;

constexpr std::array<std::uint32_t, 256> kTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ (remainder & 1 ? 0x82f63b78u : 0u);
    }
    table[byte] = remainder;
  }
  return table;
}();

std::uint32_t step(std::uint32_t state, std::uint8_t byte) {
  return (state >> 8) ^ kTable[(state ^ byte) & 0xff];
}

[[gnu::target("sse4.2")]] void update_by_instruction(States& states, const std::uint8_t* data,
                                                     std::size_t bytes) {
  States sums = states;  // in registers: a loop that is not unrolled waits for every instruction
  for (std::size_t at = 0; at < bytes; at += 8) {
#pragma GCC unroll 8
    for (std::size_t run = 0; run < kRuns; ++run) {
      std::uint64_t word;
      std::memcpy(&word, data + run * bytes + at, sizeof word);
      sums[run] = __builtin_ia32_crc32di(sums[run], word);
    }
  }
  states = sums;
}

void update_by_table(States& states, const std::uint8_t* data, std::size_t bytes) {
  for (std::size_t run = 0; run < states.size(); ++run) {
    auto state = static_cast<std::uint32_t>(states[run]);
    for (std::size_t at = 0; at < bytes; ++at) state = step(state, data[run * bytes + at]);
    states[run] = state;
  }
}

std::uint32_t finish(std::uint64_t state, const std::uint8_t* data, std::size_t bytes) {
  auto rest = static_cast<std::uint32_t>(state);
  for (std::size_t at = 0; at < bytes; ++at) rest = step(rest, data[at]);
  return ~rest;
}

}  // namespace

std::uint32_t crc32c(const void* data, std::size_t bytes) {
  return finish(0xffffffffu, static_cast<const std::uint8_t*>(data), bytes);
}

std::uint32_t checksum(const void* data, std::size_t bytes) {
  const auto* first = static_cast<const std::uint8_t*>(data);
  const std::size_t part = bytes / (8 * kRuns) * 8;
  States states;
  states.fill(0xffffffffu);
  const bool instruction = __builtin_cpu_supports("sse4.2");
  (instruction ? update_by_instruction : update_by_table)(states, first, part);
  std::array<std::uint32_t, kRuns> sums;
  for (std::size_t run = 0; run < kRuns; ++run)
    sums[run] = ~static_cast<std::uint32_t>(states[run]);
  sums.back() = finish(states.back(), first + kRuns * part, bytes - kRuns * part);
  return crc32c(sums.data(), sizeof sums);
}

}  // namespace mobileone
