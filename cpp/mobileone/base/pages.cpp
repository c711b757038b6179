#include "mobileone/base/pages.hpp"

#include <sys/mman.h>

#include <cstdint>

#include "mobileone/base/allocation.hpp"

namespace mobileone {

namespace {

// Of Linux 5.14 and 6.1; not in every C library's header.
constexpr int kPopulateWrite = 23;
constexpr int kCollapse = 25;

std::size_t rounded_down(std::size_t bytes) { return bytes / kHugePage * kHugePage; }
std::size_t rounded_up(std::size_t bytes) { return rounded_down(bytes + kHugePage - 1); }

}  // namespace

std::shared_ptr<void> map_pages(std::size_t bytes, HugePages wanted) {
  const std::size_t length = rounded_up(bytes);
  // One huge page more than needed, so that a start aligned to one lies inside.
  void* region =
      mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) throw AllocationError("memory", bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(region);
  void* start = reinterpret_cast<void*>(rounded_up(address));
  const std::size_t huge = wanted == HugePages::all ? length : rounded_down(bytes);
  if (huge > 0) madvise(start, huge, MADV_HUGEPAGE);
  // Small pages in one call rather than one by one as they are touched.
  if (huge < bytes) madvise(start, bytes, kPopulateWrite);
  return {start, [region, length](void*) { munmap(region, length + kHugePage); }};
}

void join_last_pages(void* start, std::size_t bytes) {
  const std::size_t filled = rounded_down(bytes);
  if (filled == bytes) return;
  void* const last = static_cast<std::byte*>(start) + filled;
  madvise(last, kHugePage, MADV_HUGEPAGE);
  madvise(last, kHugePage, kCollapse);
}

}  // namespace mobileone
