#include "mobileone/base/placement.hpp"

#include <utility>

namespace mobileone {

Placement::Placement(std::vector<pthread_t> workers)
    : workers_(std::move(workers)), off_caller_(workers_.size(), false) {
  works_ = sched_getaffinity(0, sizeof mask_, &mask_) == 0;
}

void Placement::follow_caller() {
  cpu_set_t mask;
  if (!works_ || sched_getaffinity(0, sizeof mask, &mask) != 0) return;
  const bool other_mask = CPU_EQUAL(&mask, &mask_) == 0;
  const int cpu = sched_getcpu();
  if (!other_mask && (moved_ == 0 || cpu == caller_cpu_)) return;
  mask_ = mask;
  caller_cpu_ = cpu;
  for (int worker = 0; worker < static_cast<int>(workers_.size()); ++worker) {
    if (other_mask || off_caller_[static_cast<std::size_t>(worker)]) apply(worker);
  }
}

void Placement::move_off_caller(int worker) {
  if (rests_ > 0) {
    --rests_;
    return;
  }
  follow_caller();
  if (!works_ || CPU_COUNT(&mask_) < 2) return;
  caller_cpu_ = sched_getcpu();
  const auto index = static_cast<std::size_t>(worker);
  if (!off_caller_[index]) ++moved_;
  off_caller_[index] = true;
  apply(worker);
}

void Placement::rest() {
  rests_ = kRests;
  moved_ = 0;
  for (int worker = 0; worker < static_cast<int>(workers_.size()); ++worker) {
    const auto index = static_cast<std::size_t>(worker);
    if (!off_caller_[index]) continue;
    off_caller_[index] = false;
    apply(worker);
  }
}

void Placement::apply(int worker) {
  const auto index = static_cast<std::size_t>(worker);
  cpu_set_t mask = mask_;
  if (off_caller_[index] && CPU_COUNT(&mask) > 1) CPU_CLR(caller_cpu_, &mask);
  works_ = pthread_setaffinity_np(workers_[index], sizeof mask, &mask) == 0;
}

}  // namespace mobileone
