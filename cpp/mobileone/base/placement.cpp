#include "mobileone/base/placement.hpp"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace mobileone {

Placement::Placement(std::vector<pthread_t> workers)
    : workers_(std::move(workers)), where_(workers_.size(), Where::anywhere) {
  works_ = sched_getaffinity(0, sizeof mask_, &mask_) == 0;
}

void Placement::follow_caller() {
  cpu_set_t mask;
  if (!works_ || sched_getaffinity(0, sizeof mask, &mask) != 0) return;
  const bool other_mask = CPU_EQUAL(&mask, &mask_) == 0;
  const int cpu = sched_getcpu();
  if (!other_mask && cpu == caller_cpu_) return;
  mask_ = mask;
  caller_cpu_ = cpu;
  for (int worker = 0; worker < static_cast<int>(workers_.size()); ++worker) {
    if (other_mask || where(worker) != Where::anywhere) apply(worker);
  }
}

bool Placement::move_off_caller(int worker) {
  follow_caller();
  if (!works_ || CPU_COUNT(&mask_) < 2) return false;
  caller_cpu_ = sched_getcpu();
  const Where before = std::exchange(where(worker), Where::off_caller);
  apply(worker);
  return before == Where::off_caller;
}

std::chrono::nanoseconds Placement::cpu_time(int worker) const {
  clockid_t clock;
  timespec time{};
  if (pthread_getcpuclockid(workers_[static_cast<std::size_t>(worker)], &clock) == 0) {
    clock_gettime(clock, &time);
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void Placement::bring_to_caller(int worker) {
  follow_caller();
  if (!works_ || CPU_COUNT(&mask_) < 2) return;
  caller_cpu_ = sched_getcpu();
  where(worker) = Where::with_caller;
  apply(worker);
}

void Placement::send_back() {
  for (int worker = 0; worker < static_cast<int>(workers_.size()); ++worker) {
    if (where(worker) != Where::with_caller) continue;
    caller_cpu_ = sched_getcpu();
    where(worker) = Where::off_caller;
    apply(worker);
  }
}

void Placement::release() {
  for (int worker = 0; worker < static_cast<int>(workers_.size()); ++worker) {
    if (where(worker) == Where::anywhere) continue;
    where(worker) = Where::anywhere;
    apply(worker);
  }
}

void Placement::apply(int worker) {
  cpu_set_t mask = mask_;
  if (where(worker) == Where::off_caller && CPU_COUNT(&mask) > 1) CPU_CLR(caller_cpu_, &mask);
  if (where(worker) == Where::with_caller) {
    CPU_ZERO(&mask);
    CPU_SET(caller_cpu_, &mask);
  }
  const pthread_t thread = workers_[static_cast<std::size_t>(worker)];
  works_ = pthread_setaffinity_np(thread, sizeof mask, &mask) == 0;
}

namespace {

// As the kernel defines struct sched_attr (version 1, 56 bytes); C libraries have it only lately.
struct SchedulingAttributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;  // runtime: of ordinary threads, the slice in ns
  std::uint32_t utilization_min, utilization_max;
};
static_assert(sizeof(SchedulingAttributes) == 56);

}  // namespace

void shorten_slice() {
  constexpr std::uint64_t kShortest = 100'000;  // what the kernel takes at least
  SchedulingAttributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  const bool ordinary = attributes.policy == SCHED_OTHER || attributes.policy == SCHED_BATCH;
  if (!ordinary || attributes.runtime == 0) return;
  attributes.runtime = std::max(attributes.runtime / 4, kShortest);
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace mobileone
