// Memory straight from the system, on huge pages: they cost fewer address translations.
#pragma once

#include <cstddef>
#include <memory>

namespace mobileone {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Zeroed, aligned to a huge page and, a wish, on huge pages as soon as it is touched: all of it,
// the last one rounded up, or only those that it fills. AllocationError if there is none.
enum class HugePages { all, filled };
std::shared_ptr<void> map_pages(std::size_t bytes, HugePages wanted = HugePages::all);

// Puts the rest of what map_pages gave for `bytes`, HugePages::filled, on a huge page, too: its
// contents are copied there. A wish; older systems do it later or never.
void join_last_pages(void* start, std::size_t bytes);

}  // namespace mobileone
