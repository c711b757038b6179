#include "mobileone/plan/weight_cache.hpp"

#include "mobileone/base/pages.hpp"

namespace mobileone {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
constexpr std::size_t kAlignment = 64;

}  // namespace

std::shared_ptr<void> WeightCache::allocate(std::size_t bytes) {
  const std::size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (room > kBlockBytes / 2) return map_pages(bytes);
  if (!block_ || used_ + room > kBlockBytes) {
    block_ = map_pages(kBlockBytes);
    used_ = 0;
  }
  void* start = static_cast<std::byte*>(block_.get()) + used_;
  used_ += room;
  return {block_, start};
}

std::shared_ptr<const void> WeightCache::get(const std::string& key, std::size_t bytes,
                                             const std::function<void(void*)>& pack) {
  if (mapped_) return mapped_->get(key, bytes);
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  if (auto data = entry.data.lock()) return data;
  std::shared_ptr<void> data = allocate(bytes);
  pack(data.get());
  entry = {data, bytes};
  return data;
}

std::size_t WeightCache::bytes() const {
  if (mapped_) return mapped_->bytes();
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& [key, entry] : entries_) {
    if (!entry.data.expired()) total += entry.bytes;
  }
  return total;
}

}  // namespace mobileone
