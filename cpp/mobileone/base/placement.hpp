// Where the workers of a pool may run: on the CPUs of its caller, but for the one the caller is on.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <vector>

namespace mobileone {

/// The affinity masks of a pool's workers. They are the caller's, so that a process that is
/// confined to other CPUs takes its workers along; and a worker that did not come, because the
/// system queued it on the CPU that the caller keeps busy, is moved off that CPU: a mask without it
/// makes the kernel move a queued thread at once. In the same way one that is queued elsewhere,
/// with work in hand that the caller waits for, is brought to the caller's CPU. Where the system
/// refuses masks, nothing happens.
///
/// Used by one caller at a time.
class Placement {
 public:
  /// Of threads that have the calling thread's mask.
  explicit Placement(std::vector<pthread_t> workers);

  /// Takes over a mask of the caller that has changed, and keeps workers that were moved off its
  /// CPU off the one it is on now.
  void follow_caller();

  /// Lets a worker run on every CPU of the caller's mask but the caller's. Does nothing where there
  /// is no other. Returns whether that was so already: then something else computes over there.
  bool move_off_caller(int worker);

  /// The CPU time that a worker has used: it stands still while the worker waits for a CPU.
  std::chrono::nanoseconds cpu_time(int worker) const;

  /// Lets a worker run on the caller's CPU alone. The caller is about to sleep.
  void bring_to_caller(int worker);
  /// Moves those that were brought off the caller's CPU again.
  void send_back();
  /// Lets all run anywhere: the caller is about to sleep for long.
  void release();

 private:
  enum class Where { anywhere, off_caller, with_caller };
  Where& where(int worker) { return where_[static_cast<std::size_t>(worker)]; }
  void apply(int worker);

  std::vector<pthread_t> workers_;
  std::vector<Where> where_;  // by worker
  cpu_set_t mask_;
  int caller_cpu_ = -1;  // when masks were last set by it
  bool works_ = true;
};

/// Asks the system to let the calling thread run sooner when it wakes up where something else
/// computes, in exchange for shorter turns: a quarter of its slice, down to 0.1 ms
/// (sched_setattr(2), Linux 6.12; nothing happens before). Its share of the CPU stays what it is.
void shorten_slice();

}  // namespace mobileone
