#include "mobileone/backends/training/panels.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kMostSlots = 8;
constexpr std::int64_t kSlotFloats = 1 << 21;  // of all slots of one sum

}  // namespace

Slots::Slots(std::int64_t parts, std::int64_t floats, std::int64_t row_blocks)
    : slots(std::clamp<std::int64_t>(kSlotFloats / floats, 1, std::min(parts, kMostSlots))),
      groups(std::min(row_blocks, (kMostSlots + slots - 1) / slots)) {}

}  // namespace mobileone::training
