// Waiting for another thread: spinning first, then asleep.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace mobileone {

using Clock = std::chrono::steady_clock;

// Whether `holds` becomes true within `limit`; looks at the clock only now and then.
template <typename Condition>
bool spin_until(const Condition& holds, Clock::duration limit) {
  const auto soon = [&] {
    for (int i = 0; i < 32; ++i) {
      if (holds()) return true;
      _mm_pause();
    }
    return false;
  };
  if (soon()) return true;
  const auto end = Clock::now() + limit;
  do {
    if (soon()) return true;
  } while (Clock::now() < end);
  return false;
}

// Spins until value differs from `old`, for at most `spin`; then sleeps, and counts itself among
// `sleeping` meanwhile.
template <typename T>
void await_change(std::atomic<T>& value, T old, Clock::duration spin, std::atomic<int>& sleeping) {
  if (spin_until([&] { return value.load(std::memory_order_acquire) != old; }, spin)) return;
  sleeping.fetch_add(1, std::memory_order_relaxed);
  value.wait(old, std::memory_order_acquire);
  sleeping.fetch_sub(1, std::memory_order_relaxed);
}

// How long a worker spins: somewhat longer than its pauses have been lately, if that is worth it.
class Spin {
 public:
  Spin(Clock::duration least, Clock::duration most) : least_(least), most_(most), limit_(least) {}

  Clock::duration limit() const { return limit_; }
  void paused(Clock::duration pause) {
    const auto wanted = pause > most_ ? least_ : std::clamp(2 * pause, least_, most_);
    limit_ = std::max(wanted, limit_ - limit_ / 64);  // grows at once, shrinks slowly
  }

 private:
  const Clock::duration least_, most_;
  Clock::duration limit_;
};

}  // namespace mobileone
